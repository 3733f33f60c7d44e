"""What was measured, as it is stored: the last look at every cluster, and ticks of the past."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db.models import Q, Value

from clusters.engine.telemetry.packing import pack_tick, unpack_tick, unpack_ticks
from clusters.engine.telemetry.types import GpuSample, ServingNow, Tick
from clusters.models import ServingPack, ServingTick, Telemetry
from clusters.models.telemetry import SPANS

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
    """Ticks that begin in [start, end), by cluster, subject and time: one query.

    A tick that is a row and in a pack is the row's.
    """
    mine = Q(cluster_id__in=list(clusters), subject__in=list(subjects), resolution=resolution)
    fresh: dict[_Key, bytes] = {}
    found: dict[_Key, Tick] = {}
    for pk, subject, at, packed, is_pack in _stored(mine, resolution, start, end):
        if is_pack:
            found |= {(pk, subject, when): one for when, one in _each(packed, at, resolution)}
        else:
            fresh[pk, subject, at] = bytes(packed)
    for key in sorted({*fresh, *found}):
        if start <= key[2] < end:
            tick = unpack_tick(fresh[key]) if key in fresh else found[key]
            yield TickAt(key[0], key[1], resolution, key[2], tick)


_Key = tuple[UUID, str, datetime]


def _stored(
    mine: Q, resolution: int, start: datetime, end: datetime
) -> Iterable[tuple[UUID, str, datetime, bytes | memoryview, int]]:
    """Cluster, subject, start, bytes, and whether it is a pack. In one statement, so that a tick
    which moves into its pack meanwhile is seen in one of them."""
    rows = ServingTick.objects.filter(mine, at__gte=start, at__lt=end).values_list(
        "cluster_id", "subject", "at", "packed", Value(0)
    )
    if resolution not in SPANS:
        return rows
    earlier = start - timedelta(seconds=SPANS[resolution])
    packs = ServingPack.objects.filter(mine, start__gt=earlier, start__lt=end).values_list(
        "cluster_id", "subject", "start", "packed", Value(1)
    )
    return rows.union(packs, all=True)


def _each(
    packed: bytes | memoryview, start: datetime, resolution: int
) -> Iterator[tuple[datetime, Tick]]:
    for place, tick in unpack_ticks(bytes(packed)).items():
        yield start + timedelta(seconds=place * resolution), tick


def decode_samples(packed: bytes | memoryview) -> tuple[GpuSample, ...]:
    return _samples.decode(packed) if packed else ()


def decode_serving(packed: bytes | memoryview) -> tuple[ServingNow, ...]:
    return _serving.decode(packed) if packed else ()
