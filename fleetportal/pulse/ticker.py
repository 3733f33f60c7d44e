"""The ticker: finds rows that are due and rings for them, again and again.

It runs as a thread in every worker child, started in `worker_process_init` (never in the forking
parent), and one of them at a time holds the lease. When ringing fails it runs the step itself, so
that a dead broker costs speed and nothing else. Apps say what is due by `register`.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from django.db import close_old_connections
from django.utils import timezone

from fleetportal.kit.doorbell import try_ring
from fleetportal.pulse import heartbeats, leases

log = logging.getLogger(__name__)

Due = Callable[[datetime, int], Iterable[object]]
Step = Callable[[str], object]

PERIOD = 1.0  # seconds between looks
LEASE = 10.0  # seconds until another child may take over
RING_AGAIN = timedelta(seconds=5)  # a row rung for is left alone that long
BATCH = 200  # rows of a kind in one look, beside those already rung for

Sources = Mapping[str, tuple[Due, Step]]
_sources: dict[str, tuple[Due, Step]] = {}


def register(task: str, due: Due, step: Step) -> None:
    """Say which rows are due: `due(now, limit)` gives primary keys, `step(pk)` runs one."""
    _sources[task] = (due, step)


class Ticker:
    """Looks once per `tick`; keeps in memory for whom it has just rung. `sources`: task -> what is
    due and its step; without any those that the apps registered."""

    def __init__(self, sources: Sources | None = None) -> None:
        self._sources = _sources if sources is None else sources
        self._rung: dict[tuple[str, str], datetime] = {}
        self.silent = False  # the last ring failed

    def tick(self, now: datetime | None = None) -> int:
        """Ring for everything due; how many rings or steps. 0 while another holds the lease."""
        if leases.hold("ticker", seconds=LEASE) is None:
            return 0
        now = now or timezone.now()
        heartbeats.beat("ticker", "ticker")
        self._rung = {key: at for key, at in self._rung.items() if now - at < RING_AGAIN}
        sources = list(self._sources.items())
        return sum(self._look(task, due, step, now) for task, (due, step) in sources)

    def _look(self, task: str, due: Due, step: Step, now: datetime) -> int:
        count = 0
        for pk in _safely(task, due, now, BATCH + len(self._rung)):
            key = (task, str(pk))
            if key in self._rung:
                continue
            self._rung[key] = now
            count += 1
            self.silent = not try_ring(task, pk)
            if self.silent:
                _run(task, step, str(pk))
        return count


def _safely(task: str, due: Due, now: datetime, limit: int) -> list[object]:
    """What is due; nothing when the look-up fails, so that one app cannot silence the others."""
    try:
        return list(due(now, limit))
    except Exception:
        log.exception("ticker.look_failed", extra={"task": task})
        return []


def _run(task: str, step: Step, pk: str) -> None:
    try:
        step(pk)
    except Exception:
        log.exception("ticker.step_failed", extra={"task": task, "pk": pk})


def run_forever(stop: threading.Event) -> None:
    """The thread's body: tick, wait a jittered period, survive everything but `stop`."""
    ticker = Ticker()
    while not stop.wait(PERIOD * random.uniform(0.8, 1.2)):  # noqa: S311 - jitter, not a secret
        close_old_connections()
        try:
            ticker.tick()
        except Exception:
            log.exception("ticker.failed")


def start() -> threading.Event:
    """Start the thread; set the returned event to end it."""
    stop = threading.Event()
    threading.Thread(target=run_forever, args=(stop,), name="ticker", daemon=True).start()
    return stop
