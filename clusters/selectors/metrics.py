"""By which road a cluster's metrics are read, and how that goes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from clusters.engine.raw import mapping, text
from clusters.models import Cluster, Telemetry
from clusters.selectors.telemetry import decode_samples, decode_serving
from fleetportal.kit.errors import Permanent

ROADS = ("direct", "prometheus", "off")
SERVICE = re.compile(
    r"([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)/([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)"
    # a number up to 65535, or a name, which has a letter
    r":([1-9]\d{0,3}|[1-5]\d{4}|6(?:[0-4]\d{3}|5(?:[0-4]\d\d|5(?:[0-2]\d|3[0-5])))"
    r"|(?=[0-9-]*[a-z])[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?)"
)


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """`service` and `found`: "namespace/name:port"; `found` is one that the portal saw by itself
    and reads the past from. `prefix` stands before every metric name of runtimes.
    """

    road: str = "direct"
    service: str = ""
    url: str = ""
    ca_pem: str = ""
    found: str = ""
    prefix: str = ""
    matchers: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str, str]:
        """Namespace, name and port of the service. Raises Permanent when there is none."""
        match = SERVICE.fullmatch(self.service or self.found)
        if match is None:
            raise Permanent("No service is named.", remedy="Write namespace/name:port.")
        return match[1], match[2], match[3]

    @property
    def readable(self) -> bool:
        """Is there a Prometheus to read the past from?"""
        return bool(self.url or self.service or self.found)

    @property
    def matchers_text(self) -> str:
        """As PromQL wants them: `cluster="west",job="vllm"`."""
        return ",".join(f'{key}="{_escaped(value)}"' for key, value in self.matchers.items())


def metrics_of(cluster: Cluster) -> MetricsSettings:
    """What is stored; parts that cannot be used count as not said."""
    held = mapping(cluster.metrics)
    prometheus = mapping(held.get("prometheus"))
    road = text(held.get("road"))
    matchers = mapping(held.get("matchers"))
    return MetricsSettings(
        road=road if road in ROADS else "direct",
        service=text(prometheus.get("service")),
        url=_plain(prometheus.get("url")),
        ca_pem=_plain(prometheus.get("ca_pem")),
        found=text(held.get("found")),
        prefix=text(held.get("prefix")),
        matchers={k: v for k, v in matchers.items() if isinstance(v, str)},
    )


class MetricsLine(NamedTuple):
    """How it goes. `cards` None: no exporter was ever asked. `silent`: pods without an answer.

    `past`: from when on there is history that a Prometheus told.
    """

    road: str
    problem: str
    at: datetime | None
    cards: int | None
    pods: int
    silent: int
    prometheus: str
    past: datetime | None


_COLUMNS = ("at", "problem", "gpus_at", "gpus_packed", "serving_packed", "backfilled_to")


def metrics_line(cluster: Cluster) -> MetricsLine:
    """One query."""
    held = metrics_of(cluster)
    where = held.url or held.service or held.found
    row = Telemetry.objects.filter(cluster=cluster).values_list(*_COLUMNS).first()
    if row is None:
        return MetricsLine(held.road, "", None, None, 0, 0, where, None)
    at, problem, gpus_at, gpus, packed, past = row
    serving = decode_serving(packed)
    cards = None if gpus_at is None else len(decode_samples(gpus))
    silent = sum(bool(pod.problem) for pod in serving)
    return MetricsLine(held.road, problem, at, cards, len(serving), silent, where, past)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
