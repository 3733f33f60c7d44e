"""The road through a Prometheus that already scrapes the cluster: two to five queries a look.

What it answers is the state of its own last scrape, up to five minutes old for a pod that it lost.
A pod of a StatefulSet comes back under the same name: what was scraped before it began is not its.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from clusters.engine.telemetry import promql
from clusters.engine.telemetry.prometheus import Answer, gpus_in, newest_in, pods_of
from clusters.engine.telemetry.types import GpuSample, RuntimeReading, Scrape, Target
from clusters.selectors.metrics import MetricsSettings
from clusters.telemetry.asking import Prometheus, words
from clusters.telemetry.cards import joined
from clusters.telemetry.roads import LONGEST, Backoff
from fleetportal.kit.errors import PortalError

DEADLINE = 10.0  # seconds for one query
UNSEEN = "The Prometheus has no metrics of this pod. Does it scrape it?"
_KINDS = ("dcgm", "hami", "amd")


class PrometheusRoad:
    """One cluster by its Prometheus."""

    def __init__(
        self,
        prometheus: Prometheus,
        metrics: MetricsSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.hold = 0.0
        self._prometheus = prometheus
        self._metrics = metrics
        self._clock = clock
        self._backoff = Backoff()
        self._own: set[str] = set()  # pods (uid) that were scraped since they began

    async def scrape(self, targets: Sequence[Target]) -> Scrape:
        at = self._clock()
        problem = ""
        readings: dict[str, RuntimeReading] = {}
        gpus: tuple[GpuSample, ...] | None = None
        try:
            readings = await self._readings(targets, at)
            gpus = await self._gpus(targets, at)
        except PortalError as error:
            problem = words(error)
        self.hold = self._backoff.after(bool(problem))
        serving = [target for target in targets if target.kind == "serving"]
        return Scrape(
            at=at,
            road="prometheus",
            readings=readings,
            targets=tuple(targets),
            gpus=gpus,
            problems={t.uid: problem or UNSEEN for t in serving if t.uid not in readings},
            problem=problem,
        )

    def close(self) -> None:
        self._prometheus.close()

    async def _readings(self, targets: Sequence[Target], at: float) -> dict[str, RuntimeReading]:
        serving = {(t.namespace, t.pod): t for t in targets if t.kind == "serving"}
        if not serving:
            return {}
        text = promql.raw_counters(
            matchers=self._metrics.matchers_text, prefix=self._metrics.prefix
        )
        found = pods_of(await self._vector(text, at), prefix=self._metrics.prefix)
        answered = [serving[pod] for pod in found if pod in serving]
        await self._know(answered, at)
        self._own &= {target.uid for target in serving.values()}
        own = (target for target in answered if target.uid in self._own)
        return {target.uid: found[target.namespace, target.pod] for target in own}

    async def _know(self, answered: Sequence[Target], at: float) -> None:
        """Which of these pods were scraped themselves; asked once for each pod."""
        new = [target for target in answered if target.uid not in self._own]
        if not new:
            return
        text = promql.newest(matchers=self._metrics.matchers_text, prefix=self._metrics.prefix)
        scraped = newest_in(await self._vector(text, at))
        for target in new:
            last = scraped.get((target.namespace, target.pod))
            if last is None or target.started is None or last >= target.started:
                self._own.add(target.uid)

    async def _gpus(self, targets: Sequence[Target], at: float) -> tuple[GpuSample, ...]:
        """Cards of every exporter that the Prometheus knows, whether the portal sees it or not."""
        cards: list[tuple[str, GpuSample]] = []
        for kind in _KINDS:
            text = promql.raw_gpus(kind, matchers=self._metrics.matchers_text)
            answer = await self._vector(text, at)
            nodes = exporters(targets, kind)
            cards += [(kind, card) for card in gpus_in(answer, kind, exporters=nodes)]
        return joined(cards)

    async def _vector(self, text: str, at: float) -> Answer:
        answer = await self._prometheus.query(text, at=at, deadline=DEADLINE)
        if answer.problem:
            raise Refusal(f"The Prometheus refuses: {answer.problem}"[:LONGEST])
        return answer


class Refusal(PortalError):
    """Prometheus answered that it cannot."""


def exporters(targets: Sequence[Target], kind: str) -> Mapping[str, str]:
    """Pods (namespace/name) of exporters of this kind -> their nodes."""
    return {f"{t.namespace}/{t.pod}": t.node for t in targets if t.kind == kind}
