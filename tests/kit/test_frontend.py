"""The parts keep the content policy, the page authors' list is complete, the lock file is clean."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.template.loader import get_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
PARTS = sorted(path.stem for path in (ROOT / "templates" / "components").glob("[!_]*.html"))
FORBIDDEN = {
    "an inline style": re.compile(r"\sstyle\s*=", re.I),
    "a style element": re.compile(r"<style", re.I),
    "an inline script": re.compile(r"<script(?![^>]*\b(src|type=\"application/json\"))", re.I),
    "an inline handler": re.compile(r"\s(on[a-z]+|hx-on[:a-z-]*)\s*=", re.I),
    "script in hx-vals": re.compile(r"hx-vals=['\"]js:", re.I),
    "a morph that needs eval": re.compile(r"morph:\{"),
    "a file from elsewhere": re.compile(r"(src|href)=['\"](https?:)?//", re.I),
    "a filter condition that needs eval": re.compile(r"hx-trigger=['\"][^'\"]*\["),
}


def read(path: Path) -> dict[str, Any]:
    if not path.exists():
        pytest.skip(f"{path.name} is not there: run scripts/vendor.py")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_template_holds_nothing_that_the_content_policy_refuses(path: Path) -> None:
    html = re.sub(r"\{%.*?%\}", "", path.read_text(), flags=re.S)
    found = [what for what, pattern in FORBIDDEN.items() if pattern.search(html)]
    assert not found


@pytest.mark.parametrize("name", PARTS)
def test_a_part_compiles_and_is_listed_for_page_authors(name: str) -> None:
    get_template(f"components/{name}.html")
    assert re.search(rf"\b{name}\b", (ROOT / "docs" / "ui.md").read_text())


def test_comments_do_not_leak_into_pages() -> None:
    spilled = [p.name for p in TEMPLATES if re.search(r"\{#[^}]*\n", p.read_text())]
    assert not spilled


def test_the_lock_file_names_no_registry() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert all(p.get("integrity") for name, p in json.loads(lock)["packages"].items() if name)


def test_the_chart_bundle_is_the_version_that_builds_the_figures() -> None:
    from plotly.offline import get_plotlyjs_version

    files = read(ROOT / "static" / "vendor" / "VENDOR.json")["files"]
    versions = {entry["name"]: entry["version"] for entry in files}
    assert versions["plotly.js-cartesian-dist-min"] == get_plotlyjs_version()
