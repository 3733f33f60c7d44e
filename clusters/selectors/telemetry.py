"""What was measured, as it is stored: the last look at every cluster, and ticks of the past."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from clusters.engine.telemetry.packing import pack_tick, unpack_tick
from clusters.engine.telemetry.types import GpuSample, ServingNow, Tick
from clusters.models import ServingTick, Telemetry

_samples = msgspec.msgpack.Decoder(tuple[GpuSample, ...])
_serving = msgspec.msgpack.Decoder(tuple[ServingNow, ...])

__all__ = [
    "Measured",
    "TickAt",
    "decode_samples",
    "decode_serving",
    "measured",
    "pack_tick",
    "ticks",
    "unpack_tick",
]


class Measured(NamedTuple):
    """The last look at one cluster. `at`: of the last answer; None: there never was one.

    `gpus` None: no GPU exporter was ever asked. `problem`: why there is nothing now.
    """

    cluster_id: UUID
    road: str
    at: datetime | None
    problem: str
    gpus_at: datetime | None
    gpus: tuple[GpuSample, ...] | None
    serving: tuple[ServingNow, ...]

    def serving_of(self, subject: str) -> tuple[ServingNow, ...]:
        """The pods of one object of ours ("namespace/name")."""
        return tuple(pod for pod in self.serving if pod.subject == subject)


class TickAt(NamedTuple):
    """One tick with its place. `at`: its start; `resolution`: seconds of its row."""

    cluster_id: UUID
    subject: str
    resolution: int
    at: datetime
    tick: Tick


_COLUMNS = ("cluster_id", "road", "at", "problem", "gpus_at", "gpus_packed", "serving_packed")


def measured(clusters: Iterable[object]) -> dict[UUID, Measured]:
    """By cluster id, for clusters that were ever looked at: one query."""
    rows = Telemetry.objects.filter(cluster_id__in=list(clusters)).values_list(*_COLUMNS)
    return {
        pk: Measured(
            *(pk, road, at, problem, gpus_at),
            gpus=None if gpus_at is None else decode_samples(gpus),
            serving=decode_serving(serving),
        )
        for pk, road, at, problem, gpus_at, gpus, serving in rows
    }


def ticks(
    *,
    clusters: Iterable[object],
    subjects: Collection[str],
    resolution: int,
    start: datetime,
    end: datetime,
) -> Iterator[TickAt]:
    """Ticks that begin in [start, end), by cluster, subject and time: one query."""
    rows = (
        ServingTick.objects.filter(
            cluster_id__in=list(clusters),
            subject__in=list(subjects),
            resolution=resolution,
            at__gte=start,
            at__lt=end,
        )
        .order_by("cluster_id", "subject", "at")
        .values_list("cluster_id", "subject", "at", "packed")
    )
    for cluster_id, subject, at, packed in rows:
        yield TickAt(cluster_id, subject, resolution, at, unpack_tick(bytes(packed)))


def decode_samples(packed: bytes | memoryview) -> tuple[GpuSample, ...]:
    return _samples.decode(packed) if packed else ()


def decode_serving(packed: bytes | memoryview) -> tuple[ServingNow, ...]:
    return _serving.decode(packed) if packed else ()
