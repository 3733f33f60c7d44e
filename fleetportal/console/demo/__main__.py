"""`python -m fleetportal.console.demo`: the same as `manage.py demo`, without waiting for Django.

The supervisor needs none of it; `make demo` starts a second earlier so.
"""

from __future__ import annotations

import os
from pathlib import Path

from fleetportal.console.demo.options import options_from
from fleetportal.console.demo.supervisor import Demo

ROOT = Path(__file__).resolve().parents[3]

if __name__ == "__main__":
    os.chdir(ROOT)
    Demo(options_from(dict(os.environ), ROOT / "var" / "demo")).run()
