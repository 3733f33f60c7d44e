"""Names of collectors, from which others on the same machine can tell that one is gone.

A killed collector leaves leases that run out after seconds; who sees that its process is not there
any more need not wait. A wrong guess would cost nothing but work: fences still decide who stores.
"""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from functools import lru_cache
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PID_SPACE = Path("/proc/self/ns/pid")


def holder_name(name: str = "") -> str:
    """Of this process and this run: "name/machine.pid.random"."""
    name = name or socket.gethostname()
    return f"{name[:60]}/{_machine()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"


def is_gone(holder: str) -> bool:
    """Was this a process of this machine that is not there any more? False when nobody can tell."""
    machine, _, rest = holder.rpartition("/")[2].partition(".")
    pid = rest.partition(".")[0]
    if not machine or machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@lru_cache(maxsize=1)
def _machine() -> str:
    """This boot of this machine, and the space that its process ids are counted in; "" unknown."""
    try:
        found = f"{BOOT_ID.read_text()} {PID_SPACE.stat().st_ino}"
    except OSError:
        return ""
    return hashlib.sha256(found.encode()).hexdigest()[:12]
