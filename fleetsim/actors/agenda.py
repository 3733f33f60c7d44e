"""Things that will happen: one heap of timers for the whole fleet.

Durations are simulated seconds, divided by the fleet's speed; due times are wall clock. It runs
nothing by itself: the actors' loop (or a test with its own clock) calls `run_due`.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from fleetsim.store import ApiError, Fleet

Step = Callable[[], None]
RETRY = 10.0  # simulated seconds
log = logging.getLogger(__name__)


class Agenda:
    """Timers in order of their due time; equal times keep the order of their making."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._heap: list[tuple[datetime, int, Step]] = []
        self._order = itertools.count()

    def after(self, seconds: float, step: Step) -> None:
        """Run `step` once, `seconds` simulated seconds from now."""
        self.after_real(self.fleet.seconds(seconds), step)

    def after_real(self, seconds: float, step: Step) -> None:
        """Run `step` once, `seconds` real seconds from now."""
        due = self.fleet.clock.now() + timedelta(seconds=seconds)
        heapq.heappush(self._heap, (due, next(self._order), step))

    def wait(self) -> float | None:
        """Real seconds until the next timer is due (0 when overdue); None when there is none."""
        if not self._heap:
            return None
        return max(0.0, (self._heap[0][0] - self.fleet.clock.now()).total_seconds())

    def next_due(self) -> datetime | None:
        """When the next timer is due."""
        return self._heap[0][0] if self._heap else None

    def run_next(self) -> bool:
        """Run the next timer whether due or not. False when there is none."""
        if not self._heap:
            return False
        self._run(heapq.heappop(self._heap)[2])
        return True

    def run_due(self) -> bool:
        """Run every timer that is due now. True when at least one ran."""
        now = self.fleet.clock.now()
        ran = False
        while self._heap and self._heap[0][0] <= now:
            self._run(heapq.heappop(self._heap)[2])
            ran = True
        return ran

    def _run(self, step: Step) -> None:
        """A step that the API refuses comes again later; every step looks first whether it may."""
        try:
            step()
        except ApiError as error:
            log.info("a step was refused and will come again: %s", error.message)
            self.after(RETRY, step)
