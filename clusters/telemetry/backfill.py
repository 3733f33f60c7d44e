"""Reads a cluster's past back from its Prometheus: hour by hour, the newest first. What is older
than the minutes that are worth reading comes in longer windows, and is kept by the hour.

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
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from clusters.engine.shapes import Pod
from clusters.engine.telemetry import promql
from clusters.engine.telemetry.chunks import Hour
from clusters.engine.telemetry.past import (
    PastHour,
    hour_of,
    hours_of,
    subject_of_pod,
    ticks_of,
)
from clusters.engine.telemetry.prometheus import Answer, PodName, gpus_over_time, pods_over_time
from clusters.engine.telemetry.targets import subject_of
from clusters.engine.telemetry.types import Tick
from clusters.gateway.errors import Garbage
from clusters.selectors.metrics import MetricsSettings
from clusters.services.telemetry_backfill import (
    FAR,
    Progress,
    backfill_begin,
    backfill_done,
    backfill_idle,
    backfill_store,
    backfill_store_hours,
)
from clusters.telemetry.asking import Prometheus
from clusters.telemetry.storing import Storer
from fleetportal.kit.errors import PortalError

log = logging.getLogger(__name__)

HOUR, STEP = 3600.0, 60  # seconds of one window, and between its samples
LEAST = 300.0  # seconds of engines that are asked for at once, at least
COARSE = 300  # seconds between samples of GPUs that are older than a day
FINE_FOR = 86_400.0  # seconds
WIDE = 6 * HOUR  # seconds of one window beyond the minutes, COARSE seconds between its samples
DEADLINE = 30.0  # seconds for one query
SPACING = 0.5  # seconds between two queries to one Prometheus
KEPT = 48  # hours that wait until the cards have been seen
TURN = 24  # windows of one cluster, before others have their turn
EMPTY = 24  # hours without any sample, after which there is nothing older
RETRY = (30.0, 900.0)  # seconds after a failure: the first time, and at most
AT_ONCE = 2  # clusters whose past is read at the same time

_historian = ThreadPoolExecutor(1, "metrics-historian")

Ticks = dict[str, dict[float, Tick]]  # by subject and start


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
        reach: timedelta = FAR,
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
        self._reach = reach
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
        progress = await self._storer.call(
            backfill_begin, cluster_id=self._cluster_id, now=now, reach=self._reach
        )
        for _ in range(self._turn):
            if progress is None or progress.done_to <= progress.until:
                return True
            read = self._minutes if progress.done_to > progress.minutes_to else self._hours
            start = await read(progress)
            if start is None:
                return True
            if self._empty >= EMPTY:
                await self._storer.call(
                    backfill_done, cluster_id=self._cluster_id, until=progress.until
                )
                return True
            progress = replace(progress, done_to=start)
        return False

    async def _minutes(self, progress: Progress) -> float | None:
        """The hour before by the minute. Where it began; None: the watch is not ours."""
        end = progress.done_to
        start = (end - 1) // HOUR * HOUR
        ticks = await self._engines(start, end, STEP)
        step = STEP if self._clock() - start < FINE_FOR else COARSE
        gpus = (await self._gpus(start, start + HOUR, step)).get(start)
        if not await self._store(backfill_store, start=start, ticks=ticks, gpus=gpus):
            return None
        await self._idle(start, gpus)
        self._empty = 0 if ticks or gpus else self._empty + 1
        return start

    async def _hours(self, progress: Progress) -> float | None:
        """The window before by the hour. Where it began; None: the watch is not ours."""
        end = progress.done_to
        start = max(progress.until, end - WIDE)
        ticks = hours_of(await self._engines(start, end, COARSE))
        gpus = await self._gpus(start, end, COARSE)
        if not await self._store(backfill_store_hours, start=start, ticks=ticks, gpus=gpus):
            return None
        self._empty = 0 if ticks or gpus else self._empty + int((end - start) // HOUR)
        return start

    async def _store(self, service: Callable[..., bool], **found: Any) -> bool:
        return await self._storer.call(
            service, cluster_id=self._cluster_id, token=self._token, **found
        )

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

    async def _engines(self, start: float, end: float, step: int) -> Ticks:
        """By halves where one answer would be too large; nothing where even minutes are."""
        text = promql.raw_counters(
            matchers=self._metrics.matchers_text, prefix=self._metrics.prefix
        )
        try:
            answer = await self._range(text, start - step, end, step)
        except Garbage as error:
            if end - start <= LEAST:
                log.warning(
                    "telemetry.past_too_large",
                    extra={"cluster": str(self._cluster_id), "reason": error.message},
                )
                return {}
            middle = start + (end - start) // (2 * step) * step
            found = await self._engines(start, middle, step)
            for subject, ticks in (await self._engines(middle, end, step)).items():
                found.setdefault(subject, {}).update(ticks)
            return found
        work = partial(self._ticks, answer, start=start, end=end, step=step)
        return await asyncio.get_running_loop().run_in_executor(_historian, work)

    def _ticks(self, answer: Answer, *, start: float, end: float, step: int) -> Ticks:
        """On the historian's thread."""
        history = pods_over_time(answer, prefix=self._metrics.prefix)
        known = _subjects(self._pods())
        subjects = {pod: subject_of_pod(pod, known, set(known.values())) for pod in history}
        return ticks_of(history, subjects, start=start, end=end, step=step)

    async def _gpus(self, start: float, end: float, step: int) -> dict[float, PastHour]:
        """DCGM's cards, else AMD's, by the start of the hour. A cluster that is too big for
        minutes is read coarser."""
        for kind in ("dcgm", "amd"):
            text = promql.raw_gpus(kind, matchers=self._metrics.matchers_text)
            try:
                answer = await self._range(text, start, end - step, step)
            except Garbage:
                if step == COARSE:
                    continue
                return await self._gpus(start, end, COARSE)
            work = partial(_hours, answer, kind, start=start, end=end, step=step)
            found = await asyncio.get_running_loop().run_in_executor(_historian, work)
            if found:
                return found
        return {}

    async def _range(self, text: str, start: float, end: float, step: int) -> Answer:
        await asyncio.sleep(SPACING)
        answer = await self._prometheus.query_range(
            text, start=start, end=end, step=step, deadline=DEADLINE
        )
        if answer.problem:
            raise Garbage(f"The Prometheus refuses: {answer.problem}")
        return answer


def _hours(
    answer: Answer, kind: str, *, start: float, end: float, step: int
) -> dict[float, PastHour]:
    looks = gpus_over_time(answer, kind)
    hours = {
        at: hour_of(looks, start=at, step=step)
        for at in map(float, range(int(start), int(end), int(HOUR)))
    }
    return {at: hour for at, hour in hours.items() if hour is not None}


def _subjects(pods: Sequence[Pod]) -> dict[PodName, str]:
    found = {(pod.metadata.namespace, pod.metadata.name): subject_of(pod) for pod in pods}
    return {pod: subject for pod, subject in found.items() if subject}
