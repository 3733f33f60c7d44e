"""The lock files name packages and hashes, and no registry: a build takes the configured one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def python_problems(name: str) -> Iterator[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*--(index-url|extra-index-url|find-links|trusted-host)", line):
            yield f"{name}:{number} names an index"
        if "://" in line:
            yield f"{name}:{number} holds an address"
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        pinned = re.match(r"([A-Za-z0-9._-]+)(\[[^\]]*\])?==", block)
        if pinned and "--hash=sha256:" not in block:
            yield f"{name}: {pinned.group(1)} has no hash"


def npm_problems(name: str) -> Iterator[str]:
    lock: dict[str, Any] = json.loads((ROOT / name).read_text(encoding="utf-8"))
    for path, entry in lock["packages"].items():
        if path and "resolved" in entry:
            yield f"{name}: {path} says where it was resolved"
        if path and "integrity" not in entry:
            yield f"{name}: {path} has no integrity"


def main() -> None:
    problems = [
        *python_problems("requirements.txt"),
        *python_problems("requirements-dev.txt"),
        *npm_problems("package-lock.json"),
    ]
    if problems:
        raise SystemExit("\n".join(problems))
    print("requirements.txt, requirements-dev.txt and package-lock.json are clean")


if __name__ == "__main__":
    main()
