"""What goes along with the watch of each cluster: its scraper, and the reading back of its past.

One `Metrics` serves all clusters of a collector. It looks at the settings of all of them in one
query; a cluster whose settings change is begun anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from clusters.engine.shapes import Pod
from clusters.engine.telemetry.targets import target_of
from clusters.engine.telemetry.types import Scrape, Target
from clusters.gateway.stream import StreamClient
from clusters.models import Cluster
from clusters.selectors.metrics import MetricsSettings, metrics_of
from clusters.services.metrics import prometheus_found, token_of
from clusters.telemetry.asking import Prometheus, prometheus_of, words
from clusters.telemetry.backfill import AT_ONCE, Backfill
from clusters.telemetry.direct import DirectRoad
from clusters.telemetry.fallback import Fallback
from clusters.telemetry.finding import Lookout
from clusters.telemetry.prometheus import PrometheusRoad
from clusters.telemetry.roads import Road
from clusters.telemetry.scraper import Scraper
from clusters.telemetry.storing import Storer
from fleetportal.kit.errors import PortalError

log = logging.getLogger(__name__)

LOOK = 5.0  # seconds between two looks at the settings

Companion = Callable[[StreamClient], Coroutine[Any, Any, None]]
Pods = Callable[[], Sequence[Pod]]


class _Settings(NamedTuple):
    """`sealed`: the token as it is stored; another one means beginning anew."""

    metrics: MetricsSettings
    sealed: bytes


class Metrics:
    """Metrics of all clusters of one collector. `run` must run for anything to be stored."""

    def __init__(self, lookout: Lookout | None = None) -> None:
        self.storer = Storer()
        self._settings: dict[UUID, _Settings] = {}
        self._used: dict[UUID, tuple[_Settings | None, asyncio.Event]] = {}
        self._looked = asyncio.Event()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._lookout = lookout or Lookout()

    async def run(self) -> None:
        """Until cancelled."""
        storing = asyncio.create_task(self.storer.run())
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK)
        finally:
            storing.cancel()
            await asyncio.gather(storing, return_exceptions=True)

    def companion(self, cluster: str, token: int, pods: Pods) -> Companion:
        """For one watch of a cluster: its fencing token, and the pods that it knows."""

        async def accompany(client: StreamClient) -> None:
            pk = UUID(cluster)
            await self._looked.wait()
            while True:
                used = self._used[pk] = self._settings.get(pk), asyncio.Event()
                metrics = used[0].metrics if used[0] else MetricsSettings()
                work = asyncio.create_task(self._safely(pk, token, pods, client, metrics))
                try:
                    await used[1].wait()
                finally:
                    if self._used.get(pk) is used:
                        del self._used[pk]
                    work.cancel()
                    await asyncio.gather(work, return_exceptions=True)

        return accompany

    async def _look(self) -> None:
        try:
            found = await self.storer.call(_all_settings)
        except Exception:
            log.exception("telemetry.settings_failed")
            return
        self._settings = found
        for pk, (used, changed) in self._used.items():
            if pk in found and found[pk] != used:
                changed.set()
        self._looked.set()

    async def _safely(
        self, pk: UUID, token: int, pods: Pods, client: StreamClient, metrics: MetricsSettings
    ) -> None:
        """A fault of ours costs this cluster its metrics until the next session, nothing else."""
        try:
            await self._work(pk, token, pods, client, metrics)
        except Exception:
            log.exception("telemetry.ended", extra={"cluster": str(pk)})

    async def _work(
        self, pk: UUID, token: int, pods: Pods, client: StreamClient, metrics: MetricsSettings
    ) -> None:
        """Scrape, and read the past where there is a Prometheus. Ends only by being cancelled."""
        if metrics.road == "off":
            return
        try:
            prometheus = await self._prometheus(pk, metrics, client)
        except PortalError as error:
            self._complain(pk, token, metrics, error)
            return
        road = _road(metrics, prometheus, client)
        scraper = Scraper(
            pk,
            road,
            targets=lambda: _targets(pods(), client.ahead),
            well=lambda: not client.pace.slow,
            put=lambda cluster, scrape: self.storer.put(cluster, scrape, token),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scraper.run())
            if not metrics.service and not metrics.url:
                tasks.create_task(self._lookout.run(pk, client, metrics.found, self._tell(pk)))
            if prometheus is not None:
                past = Backfill(pk, token, prometheus, metrics, self.storer, pods, self._turns)
                tasks.create_task(_and_close(past, prometheus))

    async def _prometheus(
        self, pk: UUID, metrics: MetricsSettings, client: StreamClient
    ) -> Prometheus | None:
        bearer = await self.storer.call(_token, pk) if metrics.url else ""
        return prometheus_of(metrics, _own(client), bearer)

    def _tell(self, pk: UUID) -> Callable[[str], Awaitable[None]]:
        async def tell(service: str) -> None:
            await self.storer.call(_found, pk, service)

        return tell

    def _complain(self, pk: UUID, token: int, metrics: MetricsSettings, error: PortalError) -> None:
        said = Scrape(time.time(), metrics.road, {}, (), None, {}, words(error))
        self.storer.put(pk, said, token)


async def _and_close(past: Backfill, prometheus: Prometheus) -> None:
    """Connections do not stay open for a past that is read; a road that needs them opens anew."""
    try:
        await past.run()
    finally:
        prometheus.close()


def _own(client: StreamClient) -> StreamClient:
    """Connections of its own, so that no list waits; the same pace, so that both are polite."""
    own = StreamClient(client.connection)
    own.pace = client.pace
    return own


def _road(metrics: MetricsSettings, prometheus: Prometheus | None, client: StreamClient) -> Road:
    direct = DirectRoad(_own(client), prefix=metrics.prefix)
    if metrics.road == "prometheus" and prometheus is not None:
        return Fallback(PrometheusRoad(prometheus, metrics), direct)
    return direct


def _targets(pods: Sequence[Pod], ahead: float) -> list[Target]:
    return [target for pod in pods if (target := target_of(pod, ahead)) is not None]


def _all_settings() -> dict[UUID, _Settings]:
    rows = Cluster.objects.managed().only("pk", "metrics", "metrics_token_sealed")
    return {row.pk: _Settings(metrics_of(row), bytes(row.metrics_token_sealed)) for row in rows}


def _token(pk: UUID) -> str:
    return token_of(Cluster.objects.get(pk=pk))


def _found(pk: UUID, service: str) -> None:
    cluster = Cluster.objects.filter(pk=pk).first()
    if cluster is not None:
        prometheus_found(cluster=cluster, service=service)
