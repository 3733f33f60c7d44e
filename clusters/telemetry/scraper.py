"""One cluster's metrics, every 15 s, for as long as somebody watches it. Decides nothing.

It never raises but cancellation, and asks nothing of a cluster that is not well.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from clusters.engine.telemetry.types import Scrape, Target
from clusters.telemetry.roads import Road

log = logging.getLogger(__name__)

PERIOD = 15.0  # seconds
JITTER = 1 / 30  # of the period, either way
QUIET = 60.0  # seconds between two stored looks at a cluster that has nothing to scrape

Put = Callable[[UUID, Scrape], None]


class Scraper:
    """`targets` are the pods to ask now; `well` says whether the cluster may be asked at all.

    Looks of one cluster are `period` seconds apart, at a phase that its id gives: clusters do not
    all come at once, and each tick has one look.
    """

    def __init__(
        self,
        cluster_id: UUID,
        road: Road,
        targets: Callable[[], Sequence[Target]],
        well: Callable[[], bool],
        put: Put,
        *,
        period: float = PERIOD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster_id = cluster_id
        self._road = road
        self._targets = targets
        self._well = well
        self._put = put
        self._clock = clock
        self._period, self._jitter = period, period * JITTER
        self._phase = self._jitter + (cluster_id.int % 1000) / 1000 * (period - 2 * self._jitter)
        self._stored = 0.0  # when something was last handed on

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._pause())
                await self._look()
        finally:
            self._road.close()

    def _pause(self) -> float:
        """Seconds to the next moment of this cluster, not before the road has rested."""
        earliest = self._clock() + max(self._road.hold, 2 * self._jitter)
        turns = -(-(earliest - self._phase) // self._period)  # rounded up
        swing = random.uniform(-self._jitter, self._jitter)  # noqa: S311
        moment = turns * self._period + self._phase + swing
        return max(0.0, moment - self._clock())

    async def _look(self) -> None:
        if not self._well():
            return
        try:
            scrape = await self._road.scrape(self._targets())
        except Exception:
            log.exception("telemetry.scrape_failed", extra={"cluster": str(self._cluster_id)})
            return
        idle = not scrape.targets and not scrape.gpus and not scrape.problem
        if idle and scrape.at - self._stored < QUIET - PERIOD / 2:
            return
        self._stored = scrape.at
        self._put(self._cluster_id, scrape)
