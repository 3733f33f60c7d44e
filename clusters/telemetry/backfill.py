"""Reads a cluster's past back from its Prometheus: hour by hour, the newest first.

It works in the background of the live scrape: few clusters at a time, a day of each in turn so
that all have their last day soon, two requests a second at most, on a thread of its own. After a
restart it goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from clusters.engine.shapes import Pod
from clusters.engine.telemetry import promql
from clusters.engine.telemetry.chunks import Hour
from clusters.engine.telemetry.past import PastHour, hour_of, subject_of_pod, ticks_of
from clusters.engine.telemetry.prometheus import Answer, PodName, gpus_over_time, pods_over_time
from clusters.engine.telemetry.targets import subject_of
from clusters.engine.telemetry.types import Tick
from clusters.gateway.errors import Garbage
from clusters.selectors.metrics import MetricsSettings
from clusters.services.telemetry_backfill import (
    Progress,
    backfill_begin,
    backfill_done,
    backfill_idle,
    backfill_store,
)
from clusters.telemetry.asking import Prometheus
from clusters.telemetry.storing import Storer
from fleetportal.kit.errors import PortalError

log = logging.getLogger(__name__)

HOUR, STEP = 3600.0, 60  # seconds of one window, and between its samples
LEAST = 300.0  # seconds of engines that are asked for at once, at least
COARSE = 300  # seconds between samples of GPUs that are older than a day
FINE_FOR = 86_400.0  # seconds
DEADLINE = 30.0  # seconds for one query
SPACING = 0.5  # seconds between two queries to one Prometheus
KEPT = 48  # hours that wait until the cards have been seen
TURN = 24  # hours of one cluster, before others have their turn
EMPTY = 24  # hours without any sample, after which there is nothing older
RETRY = (30.0, 900.0)  # seconds after a failure: the first time, and at most
AT_ONCE = 2  # clusters whose past is read at the same time

_historian = ThreadPoolExecutor(1, "metrics-historian")


class Backfill:
    """One cluster's past. `pods` are those that the cluster has now."""

    def __init__(
        self,
        cluster_id: UUID,
        token: int,
        prometheus: Prometheus,
        metrics: MetricsSettings,
        storer: Storer,
        pods: Callable[[], Sequence[Pod]],
        turns: asyncio.Semaphore,
        *,
        clock: Callable[[], float] = time.time,
        turn: int = TURN,
    ) -> None:
        self._cluster_id = cluster_id
        self._token = token
        self._prometheus = prometheus
        self._metrics = metrics
        self._storer = storer
        self._pods = pods
        self._turns = turns
        self._clock = clock
        self._turn = turn
        self._empty = 0  # hours in a row
        self._told: deque[tuple[float, Hour]] = deque(maxlen=KEPT)  # that no idle clock has heard

    async def run(self) -> None:
        """Until all is read, or the watch went to another collector."""
        pause = RETRY[0]
        while True:
            try:
                async with self._turns:
                    if await self._read():
                        return
                pause = RETRY[0]
            except PortalError as error:
                log.info(
                    "telemetry.backfill_waits",
                    extra={"cluster": str(self._cluster_id), "reason": error.message},
                )
                await asyncio.sleep(pause)
                pause = min(RETRY[1], pause * 2)

    async def _read(self) -> bool:
        """One turn. True: there is nothing more to read, or it is not ours any more."""
        now = self._clock()
        progress = await self._storer.call(backfill_begin, cluster_id=self._cluster_id, now=now)
        for _ in range(self._turn):
            if progress is None or progress.done_to <= progress.until:
                return True
            start = (progress.done_to - 1) // HOUR * HOUR
            ticks, gpus = await self._window(start, progress.done_to)
            stored = await self._storer.call(
                backfill_store,
                cluster_id=self._cluster_id,
                token=self._token,
                start=start,
                ticks=ticks,
                gpus=gpus,
            )
            if not stored:
                return True
            await self._idle(start, gpus)
            self._empty = 0 if ticks or gpus else self._empty + 1
            if self._empty >= EMPTY:
                await self._storer.call(
                    backfill_done, cluster_id=self._cluster_id, until=progress.until
                )
                return True
            progress = Progress(start, progress.until)
        return False

    async def _idle(self, start: float, gpus: PastHour | None) -> None:
        """Hour by hour, so that the idle list is true long before all is read."""
        if gpus is not None:
            self._told.append((start, gpus.hour))
        if not self._told:
            return
        heard = await self._storer.call(
            backfill_idle, cluster_id=self._cluster_id, token=self._token, hours=[*self._told]
        )
        if heard:
            self._told.clear()

    async def _window(
        self, start: float, end: float
    ) -> tuple[dict[str, dict[float, Tick]], PastHour | None]:
        ticks = await self._engines(start, end)
        step = STEP if self._clock() - start < FINE_FOR else COARSE
        return ticks, await self._gpus(start, step)

    async def _engines(self, start: float, end: float) -> dict[str, dict[float, Tick]]:
        """By halves where one answer would be too large; nothing where even minutes are."""
        text = promql.raw_counters(
            matchers=self._metrics.matchers_text, prefix=self._metrics.prefix
        )
        try:
            answer = await self._range(text, start - STEP, end, STEP)
        except Garbage as error:
            if end - start <= LEAST:
                log.warning(
                    "telemetry.past_too_large",
                    extra={"cluster": str(self._cluster_id), "reason": error.message},
                )
                return {}
            middle = start + (end - start) // (2 * STEP) * STEP
            found = await self._engines(start, middle)
            for subject, ticks in (await self._engines(middle, end)).items():
                found.setdefault(subject, {}).update(ticks)
            return found
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_historian, self._ticks, answer, start, end)

    def _ticks(self, answer: Answer, start: float, end: float) -> dict[str, dict[float, Tick]]:
        """On the historian's thread."""
        history = pods_over_time(answer, prefix=self._metrics.prefix)
        known = _subjects(self._pods())
        subjects = {pod: subject_of_pod(pod, known, set(known.values())) for pod in history}
        return ticks_of(history, subjects, start=start, end=end, step=STEP)

    async def _gpus(self, start: float, step: int) -> PastHour | None:
        """DCGM's cards, else AMD's. A cluster that is too big for minutes is read coarser."""
        for kind in ("dcgm", "amd"):
            text = promql.raw_gpus(kind, matchers=self._metrics.matchers_text)
            try:
                answer = await self._range(text, start, start + HOUR - step, step)
            except Garbage:
                if step == COARSE:
                    continue
                return await self._gpus(start, COARSE)
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(_historian, _hour, answer, kind, start, step)
            if found is not None:
                return found
        return None

    async def _range(self, text: str, start: float, end: float, step: int) -> Answer:
        await asyncio.sleep(SPACING)
        answer = await self._prometheus.query_range(
            text, start=start, end=end, step=step, deadline=DEADLINE
        )
        if answer.problem:
            raise Garbage(f"The Prometheus refuses: {answer.problem}")
        return answer


def _hour(answer: Answer, kind: str, start: float, step: int) -> PastHour | None:
    return hour_of(gpus_over_time(answer, kind), start=start, step=step)


def _subjects(pods: Sequence[Pod]) -> dict[PodName, str]:
    found = {(pod.metadata.namespace, pod.metadata.name): subject_of(pod) for pod in pods}
    return {pod: subject for pod, subject in found.items() if subject}
