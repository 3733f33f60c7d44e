"""Two ways to a cluster's metrics, one interface. A road never raises on what a cluster sends."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from clusters.engine.telemetry.types import Scrape, Target

# Pages are read beside the event loop: a page of some MiB would hold up every watch.
reader = ThreadPoolExecutor(1, "metrics-reader")

LONGEST = 300  # characters of a problem; the column's width


class Road(Protocol):
    """How one cluster's metrics are read."""

    hold: float  # seconds that the cluster is to be left alone after the last scrape

    async def scrape(self, targets: Sequence[Target]) -> Scrape:
        """One look. What failed is said in `problems` and `problem`, never raised."""

    def close(self) -> None:
        """Cut what is open."""


class Backoff:
    """How long a road rests after scrapes that brought nothing: 15 s, doubled up to a minute."""

    FIRST, MOST = 15.0, 60.0  # seconds

    def __init__(self) -> None:
        self._next = self.FIRST

    def after(self, failed: bool, wanted: float | None = None) -> float:
        """Seconds to rest. `wanted`: what the cluster asked for (Retry-After)."""
        if not failed:
            self._next = self.FIRST
            return wanted or 0.0
        pause, self._next = self._next, min(self.MOST, self._next * 2)
        return max(pause, wanted or 0.0)
