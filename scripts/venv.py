"""Make .venv and install hash-pinned requirements into it: with uv where it is, else with pip.

Runs on the system's Python and its standard library alone. Usage: python3 scripts/venv.py FILE...
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NEEDS = (3, 11)


def works() -> bool:
    """Whether .venv holds a Python that starts (a copied or half-made one does not)."""
    try:
        code = f"import sys; sys.exit(sys.version_info < {NEEDS})"
        return subprocess.run([str(PYTHON), "-c", code], check=False).returncode == 0
    except OSError:
        return False


def interpreter() -> str:
    """A Python that is new enough: this one, else one found by name."""
    if sys.version_info >= NEEDS:
        return sys.executable
    for minor in (13, 12, 11):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    raise SystemExit("FleetPortal needs Python 3.11 or newer: install it or set PYTHON=/path")


def create(uv: str | None) -> None:
    python = interpreter()
    if uv:
        run([uv, "venv", "--quiet", "--clear", "--python", python, str(VENV)])
        return
    run([python, "-m", "venv", "--clear", str(VENV)])


def install(uv: str | None, files: list[str]) -> None:
    wanted = [part for name in files for part in ("-r", name)]
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", str(PYTHON)]
    else:
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*command, "--require-hashes", *wanted])


def run(command: list[str]) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise SystemExit(f"failed: {' '.join(command)}")


def main() -> None:
    uv = shutil.which("uv")
    print(f"Installing {', '.join(sys.argv[1:])} with {'uv' if uv else 'pip'}", flush=True)
    if not works():
        create(uv)
    install(uv, sys.argv[1:])


if __name__ == "__main__":
    main()
