"""Follows a file of faults: what it says is in force a second later. A bad file changes nothing."""

import asyncio
import logging
from pathlib import Path

import yaml

from fleetsim.http.state import Sim

PAUSE = 0.5  # seconds between two looks
log = logging.getLogger(__name__)


async def follow(sim: Sim, path: Path) -> None:
    """Until cancelled. A missing file means no faults."""
    seen: tuple[int, int] | None = None
    while True:
        now = _mark(path)
        if now != seen:
            seen = now
            read(sim, path)
        await asyncio.sleep(PAUSE)


def _mark(path: Path) -> tuple[int, int] | None:
    """What changes when the file does."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def read(sim: Sim, path: Path) -> None:
    """Put the file's faults in force instead of its former ones."""
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        sim.faults.replace(yaml.safe_load(text) or [], str(path))
    except (OSError, ValueError, yaml.YAMLError) as error:
        log.warning("%s is left aside: %s", path, error)
        return
    sim.faults_changed()
