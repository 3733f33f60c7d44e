"""How long a process takes before it does anything: what every command and every worker pays."""

from __future__ import annotations

import os
import subprocess
import sys
from math import inf
from pathlib import Path

from bench.report import Line, ms

ROOT = Path(__file__).resolve().parents[1]
TARGET, ROUNDS = 15.0, 3


def lines() -> list[Line]:
    ours = theirs = inf
    for _ in range(ROUNDS):
        ours = min(ours, _cpu([sys.executable, "manage.py", "check"]))
        theirs = min(theirs, _cpu([sys.executable, "-c", "import django.db.models"]))
    times = ours / theirs
    return [
        Line(
            "manage.py check: CPU of the process",
            ms(ours),
            ms(theirs),
            times,
            f"<= {TARGET:g}x",
            times <= TARGET,
        )
    ]


def _cpu(command: list[str]) -> float:
    """Milliseconds of CPU time of a child."""
    before = os.times()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    after = os.times()
    spent = after.children_user + after.children_system
    return (spent - before.children_user - before.children_system) * 1e3
