"""What becomes of a cluster's metrics while the Prometheus that they are read from is away."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import msgspec

from clusters.engine.telemetry.types import Scrape, Target
from clusters.telemetry.roads import LONGEST, Road

GONE = 3  # looks in a row that fail, until another road is taken
AGAIN = 300.0  # seconds until the first road is tried again
MEANWHILE = " Read directly meanwhile."


class Fallback:
    """`first` while it answers, else `other`; `problem` says so. Both give the same readings."""

    def __init__(self, first: Road, other: Road, *, clock: Callable[[], float] = time.time) -> None:
        self.hold = 0.0
        self._first = first
        self._other = other
        self._clock = clock
        self._failures = 0
        self._problem = ""
        self._due = 0.0  # when the first road is tried again

    async def scrape(self, targets: Sequence[Target]) -> Scrape:
        if self._clock() >= self._due:
            found = await self._first.scrape(targets)
            self.hold = self._first.hold
            self._failures = self._failures + 1 if found.problem else 0
            if self._failures < GONE:
                return found
            self._problem = found.problem
            self._due = self._clock() + AGAIN * random.uniform(0.8, 1.2)  # noqa: S311 - spread
        direct = await self._other.scrape(targets)
        self.hold = self._other.hold
        note = "" if direct.problem else MEANWHILE
        said = self._problem[: LONGEST - len(note)] + note
        return msgspec.structs.replace(direct, problem=said)

    def close(self) -> None:
        self._first.close()
        self._other.close()
