"""What loading the pages must not load: a web process should start fast and stay small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOAD = """
import sys
import django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
HEAVY = {"kubernetes", "plotly", "fleetsim", "playwright", "redis"}


def test_loading_every_url_imports_no_kubernetes_client_and_no_plotly() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split())
    assert "workspaces" in loaded
    assert not loaded & HEAVY
