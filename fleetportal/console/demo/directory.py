"""The demo's directory: ours alone while it runs, and empty of the last run's state at the start.

What a run leaves there is deleted by the next one. So a directory that holds anything is only
taken when a demo has been in it before: DATA_DIR may name somebody's home by mistake.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fleetportal.console.demo.options import CannotStart
from fleetportal.kit.crypto import generate_key

LOCK = "demo.lock"
LOGS = "logs"
KEYS = ("SECRET_KEY", "FLEETPORTAL_KEYS")


def directory_take(data: Path) -> IO[str]:
    """The directory, made where it is missing; the lock is held until the file is closed.

    Raises CannotStart where another demo runs in it, others use it, or it cannot be written.
    """
    with _usable(data):
        data.mkdir(parents=True, exist_ok=True)
        if not (data / LOCK).exists() and any(data.iterdir()):
            raise CannotStart(
                f"DATA_DIR {data} holds something else, and a demo empties its directory. "
                "Choose an empty or a new one."
            )
        lock = (data / LOCK).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"A demo runs in {data} already. Stop it, or choose another DATA_DIR."
            ) from error
        data.chmod(0o700)
        (data / LOGS).mkdir(exist_ok=True)
    return lock


def directory_clear(data: Path) -> None:
    """Delete the state of the last run. Raises CannotStart where that is not allowed."""
    with _usable(data):
        for old in (*data.glob("portal.sqlite3*"), *(data / LOGS).glob("*.log")):
            old.unlink()
        shutil.rmtree(data / "fleet", ignore_errors=True)


def directory_keys(data: Path) -> dict[str, str]:
    """Kept between runs, readable by the owner alone. A file that a crash left unfinished is
    replaced: nothing is left that was sealed with it."""
    path = data / "keys.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: str(kept[name]) for name in KEYS}
    except (OSError, ValueError, KeyError, TypeError):
        fresh = dict(zip(KEYS, (secrets.token_urlsafe(48), generate_key()), strict=True))
    with _usable(data):
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(fresh, file)
    return fresh


@contextmanager
def _usable(data: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotStart(
            f"DATA_DIR {data} cannot be used: {error.strerror}. Choose a directory that you may "
            "write: DATA_DIR=~/fleetportal-demo make demo"
        ) from error
