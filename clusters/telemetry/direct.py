"""The road that needs nothing installed: `/metrics` of each pod through the API server's proxy.

It asks politely: two requests at a time, three seconds and four MiB for each, and it gives a round
up when nothing answers. It has connections of its own, so that no list and no heartbeat waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from clusters.engine.telemetry.gpus import read_gpus
from clusters.engine.telemetry.looks import LATE, NOT_ALLOWED
from clusters.engine.telemetry.runtimes import read_runtime
from clusters.engine.telemetry.types import GpuSample, RuntimeReading, Scrape, Target
from clusters.gateway import kinds
from clusters.gateway.errors import (
    Answer,
    Forbidden,
    TlsFailed,
    TooMany,
    Unauthorized,
    Unreachable,
)
from clusters.gateway.stream import StreamClient
from clusters.telemetry.cards import joined
from clusters.telemetry.roads import LONGEST, Backoff, reader
from fleetportal.kit.errors import PortalError
from fleetportal.kit.net import AddressRefused

LANES = 2  # requests at a time
DEADLINE = 3.0  # seconds for one page
CAP = 4 << 20  # bytes of one page
GIVE_UP = 5  # failures in a row, with no answer before, that end a round
FORBIDDEN = (
    f"{NOT_ALLOWED}: the portal lacks get on pods/proxy in {{where}}. Without it latency, "
    "requests and GPU use stay unknown there; everything else works. Bind fleetportal-observe."
)
_HOPELESS = (TooMany, Unauthorized, TlsFailed, AddressRefused)


class _Round:
    """What one scrape has found so far."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self.queue = deque(targets)
        self.readings: dict[str, RuntimeReading] = {}
        self.gpus: list[tuple[str, GpuSample]] = []  # kind of exporter, card
        self.problems: dict[str, str] = {}
        self.answered: set[str] = set()
        self.forbidden: set[str] = set()  # namespaces
        self.failures = 0  # in a row
        self.end: PortalError | None = None  # why the rest was not asked

    def failed(self, target: Target, error: PortalError) -> None:
        self.problems[target.uid] = error.message[:LONGEST]
        self.failures += 1
        lost = self.failures >= GIVE_UP and not self.answered
        if isinstance(error, Forbidden):
            self.forbidden.add(target.namespace)
            self.problems[target.uid] = FORBIDDEN.format(where=target.namespace)
        elif isinstance(error, _HOPELESS) or lost:
            self.end = error

    def took(self, target: Target, found: RuntimeReading | tuple[GpuSample, ...] | None) -> None:
        self.failures = 0
        self.answered.add(target.uid)
        if isinstance(found, RuntimeReading):
            self.readings[target.uid] = found
        elif found is None:
            self.problems[target.uid] = "It answers, but with no metrics that the portal knows."
        else:
            self.gpus += [(target.kind, card) for card in found]


class DirectRoad:
    """One cluster by its API server. `client` is this road's own; `prefix` of metric names."""

    def __init__(
        self, client: StreamClient, *, prefix: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self.hold = 0.0
        self._client = client
        self._prefix = prefix
        self._clock = clock
        self._backoff = Backoff()
        self._good: set[str] = set()  # pods that answered last time: they are asked first

    async def scrape(self, targets: Sequence[Target]) -> Scrape:
        at = self._clock()
        order = sorted(targets, key=lambda target: target.uid not in self._good)
        found = _Round(order)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(LANES):
                tasks.create_task(self._lane(found))
        for target in found.queue:
            found.problems[target.uid] = found.end.message[:LONGEST] if found.end else ""
        self._good = found.answered
        delay = found.end.delay if isinstance(found.end, TooMany) else None
        self.hold = self._backoff.after(bool(targets) and not found.answered, delay)
        return Scrape(
            at=at,
            road="direct",
            readings=found.readings,
            targets=tuple(targets),
            gpus=joined(found.gpus) if any(t.kind != "serving" for t in targets) else None,
            problems=found.problems,
            problem=_problem(found, bool(targets)),
        )

    def close(self) -> None:
        self._client.close()

    async def _lane(self, found: _Round) -> None:
        while found.queue and found.end is None:
            target = found.queue.popleft()
            if target.namespace in found.forbidden:
                found.problems[target.uid] = FORBIDDEN.format(where=target.namespace)
                continue
            try:
                found.took(target, await self._ask(target))
            except PortalError as error:
                found.failed(target, error)

    async def _ask(self, target: Target) -> RuntimeReading | tuple[GpuSample, ...] | None:
        path = kinds.pod_proxy_path(target.namespace, target.pod, target.port, target.path)
        try:
            async with asyncio.timeout(DEADLINE):
                answer = await self._client.get_raw(path, deadline=DEADLINE, cap=CAP)
        except TimeoutError as error:
            raise Unreachable(f"{LATE} {DEADLINE:.0f} s.") from error
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(reader, _read, target, answer, self._prefix)


def _read(
    target: Target, answer: Answer, prefix: str
) -> RuntimeReading | tuple[GpuSample, ...] | None:
    if target.kind != "serving":
        return read_gpus(answer.body, target.kind, target.node)
    return read_runtime(answer.body, answer.headers.get("content-type", ""), prefix=prefix)


def _problem(found: _Round, asked: bool) -> str:
    """Why there is nothing at all; "" when something answered, or nobody was asked."""
    if found.answered or not asked:
        return ""
    if found.end is not None:
        return found.end.message[:LONGEST]
    if found.forbidden:
        return FORBIDDEN.format(where=", ".join(sorted(found.forbidden)))[:LONGEST]
    return next(iter(found.problems.values()), "")
