"""Ticks of 15 s into minutes, minutes into hours: when they are complete, and twice equals once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from clusters.engine.telemetry.differences import merge
from clusters.engine.telemetry.packing import pack_tick
from clusters.engine.telemetry.types import Tick
from clusters.models import ServingTick
from clusters.selectors.telemetry import ticks

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
    stored = ticks(
        clusters=[cluster_id],
        subjects=subjects,
        resolution=finer,
        start=start,
        end=start + timedelta(seconds=resolution),
    )
    for one in stored:
        if fresh is None or one.subject not in fresh or one.at != last:
            found[one.subject].append(one.tick)
    for subject, tick in (fresh or {}).items():
        found[subject].append(tick)
    return {subject: merge(parts) for subject, parts in found.items()}


def hour_again(cluster_id: UUID, subjects: Collection[str], at: float) -> list[ServingTick]:
    """The hour around `at` out of the minutes that are stored; not yet saved."""
    return _rows(cluster_id, HOUR, at, _merged(cluster_id, subjects, HOUR, at))


def _rows(
    cluster_id: UUID, resolution: int, at: float, merged: Mapping[str, Tick]
) -> list[ServingTick]:
    start = datetime.fromtimestamp(floor(at, resolution), UTC)
    return list(_each(cluster_id, resolution, start, merged))


def _each(
    cluster_id: UUID, resolution: int, start: datetime, merged: Mapping[str, Tick]
) -> Iterable[ServingTick]:
    for subject, tick in merged.items():
        yield ServingTick(
            cluster_id=cluster_id,
            subject=subject,
            resolution=resolution,
            at=start,
            packed=pack_tick(tick),
        )
