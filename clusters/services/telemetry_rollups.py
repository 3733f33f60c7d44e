"""Ticks of 15 s into minutes, minutes into hours: when they are complete, and twice equals once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from clusters.engine.telemetry.differences import merge
from clusters.engine.telemetry.packing import pack_tick, unpack_tick
from clusters.engine.telemetry.types import Tick
from clusters.models import ServingTick

MINUTE, HOUR = 60, 3600  # seconds
_FINER = {MINUTE: 15, HOUR: MINUTE}


def floor(at: float, seconds: int) -> float:
    """The start of the tick of so many seconds that the moment (unix seconds) is in."""
    return at // seconds * seconds


def rolled_up(
    cluster_id: UUID, subjects: Collection[str], at: float, *, hours: Collection[str]
) -> list[ServingTick]:
    """The minute around `at` for all subjects, and the hour for `hours` of them; not yet saved."""
    minutes = _merged(cluster_id, subjects, MINUTE, at)
    rows = _rows(cluster_id, MINUTE, at, minutes)
    if hours:
        fresh = {subject: tick for subject, tick in minutes.items() if subject in hours}
        rows += _rows(cluster_id, HOUR, at, _merged(cluster_id, hours, HOUR, at, fresh))
    return rows


def _merged(
    cluster_id: UUID,
    subjects: Collection[str],
    resolution: int,
    at: float,
    fresh: Mapping[str, Tick] | None = None,
) -> dict[str, Tick]:
    """One tick for each subject out of finer ones. `fresh`: the last finer ones, not yet saved."""
    start = datetime.fromtimestamp(floor(at, resolution), UTC)
    finer = _FINER[resolution]
    last = datetime.fromtimestamp(floor(at, finer), UTC)
    found: dict[str, list[Tick]] = defaultdict(list)
    rows = ServingTick.objects.filter(
        cluster_id=cluster_id,
        subject__in=list(subjects),
        resolution=finer,
        at__gte=start,
        at__lt=start + timedelta(seconds=resolution),
    ).order_by("at")
    for subject, when, packed in rows.values_list("subject", "at", "packed"):
        if fresh is None or subject not in fresh or when != last:
            found[subject].append(unpack_tick(bytes(packed)))
    for subject, tick in (fresh or {}).items():
        found[subject].append(tick)
    return {subject: merge(ticks) for subject, ticks in found.items()}


def hour_again(cluster_id: UUID, subjects: Collection[str], at: float) -> list[ServingTick]:
    """The hour around `at` out of the minutes that are stored; not yet saved."""
    return _rows(cluster_id, HOUR, at, _merged(cluster_id, subjects, HOUR, at))


def _rows(
    cluster_id: UUID, resolution: int, at: float, ticks: Mapping[str, Tick]
) -> list[ServingTick]:
    start = datetime.fromtimestamp(floor(at, resolution), UTC)
    return list(_each(cluster_id, resolution, start, ticks))


def _each(
    cluster_id: UUID, resolution: int, start: datetime, ticks: Mapping[str, Tick]
) -> Iterable[ServingTick]:
    for subject, tick in ticks.items():
        yield ServingTick(
            cluster_id=cluster_id,
            subject=subject,
            resolution=resolution,
            at=start,
            packed=pack_tick(tick),
        )
