"""History that a Prometheus told, into the same rows: never over what the portal saw itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from django.db import transaction
from django.utils import timezone

from clusters.engine.telemetry import chunks
from clusters.engine.telemetry.chunks import Hour
from clusters.engine.telemetry.past import PastHour, idle_longer
from clusters.engine.telemetry.types import Tick
from clusters.models import Cluster, GpuHour, ServingTick, Telemetry, Watch
from clusters.selectors.telemetry import decode_samples
from clusters.services.heat import heat_store
from clusters.services.telemetry_packs import SERIES, ticks_fill
from clusters.services.telemetry_rollups import HOUR, MINUTE, hour_again
from fleetportal.kit.news import changed

REACH = timedelta(days=7)  # by the minute
FAR = timedelta(days=90)  # by the hour: charts and the time machine go no further


@dataclass(frozen=True, slots=True)
class Progress:
    """`done_to`: everything from here to the present is read, `minutes_to`: from where on by the
    minute; `until`: how far back to go."""

    done_to: float
    minutes_to: float
    until: float


def backfill_begin(*, cluster_id: UUID, now: float, reach: timedelta = FAR) -> Progress | None:
    """Where to go on, remembering where it began; None: all is read."""
    row, _ = Telemetry.objects.get_or_create(cluster_id=cluster_id)
    if row.backfill_from is None:
        row.backfill_from = datetime.fromtimestamp(now, UTC)
        Telemetry.objects.filter(pk=row.pk).update(backfill_from=row.backfill_from)
    began = row.backfill_from.timestamp()
    minutes_to, until = (
        (began - span.total_seconds()) // HOUR * HOUR for span in (min(REACH, reach), reach)
    )
    done = row.backfilled_to.timestamp() if row.backfilled_to else began // MINUTE * MINUTE
    return Progress(done, minutes_to, until) if done > until else None


def backfill_store(
    *,
    cluster_id: UUID,
    token: int,
    start: float,
    ticks: Mapping[str, Mapping[float, Tick]],
    gpus: PastHour | None,
) -> bool:
    """Store an hour by the minute that was read from `start` on, and that it was. False: the watch
    is not ours.

    In small transactions; the one that says so comes last, so that a crash reads it again.
    """
    if not _insert_all(cluster_id, token, MINUTE, ticks):
        return False
    hour = datetime.fromtimestamp(start // HOUR * HOUR, UTC)
    over = hour + timedelta(hours=1) <= timezone.now()
    again = hour_again(cluster_id, list(ticks), start) if ticks and over else []
    hours = []
    if gpus is not None and over:
        hours = [_hour(cluster_id, hour, gpus, chunks.encode(gpus.hour, closed=True))]
    return _finish(cluster_id, token, start, again, hours)


def backfill_store_hours(
    *,
    cluster_id: UUID,
    token: int,
    start: float,
    ticks: Mapping[str, Mapping[float, Tick]],
    gpus: Mapping[float, PastHour],
) -> bool:
    """As backfill_store, of hours that are too old for minutes; both by the start of the hour."""
    if not _insert_all(cluster_id, token, HOUR, ticks):
        return False
    hours = [
        _hour(cluster_id, datetime.fromtimestamp(at, UTC), held, b"") for at, held in gpus.items()
    ]
    return _finish(cluster_id, token, start, [], hours)


def backfill_done(*, cluster_id: UUID, until: float) -> None:
    """Nothing older is to be had."""
    at = datetime.fromtimestamp(until, UTC)
    Telemetry.objects.filter(cluster_id=cluster_id).update(backfilled_to=at)


def backfill_idle(*, cluster_id: UUID, token: int, hours: Sequence[tuple[float, Hour]]) -> bool:
    """Set the idle clocks of the cards that idle now back by these hours, the newest first.

    Call it on the thread that stores scrapes. False: no card was measured yet, ask again later.
    """
    row = Telemetry.objects.filter(cluster_id=cluster_id).first()
    if row is None or row.gpus_at is None:
        return False
    cards = decode_samples(row.gpus_packed)
    longer = idle_longer(cards, hours)
    if longer == cards:
        return True
    with transaction.atomic():
        if not _ours(cluster_id, token):
            return True
        rows = Telemetry.objects.filter(pk=row.pk, gpus_at=row.gpus_at)
        rows.update(gpus_packed=msgspec.msgpack.encode(longer))
        changed(f"heat:{cluster_id}", "fleet")
    heat_store(cluster=Cluster(pk=cluster_id), at=row.gpus_at)
    return True


def _insert_all(
    cluster_id: UUID, token: int, resolution: int, ticks: Mapping[str, Mapping[float, Tick]]
) -> bool:
    subjects = list(ticks)
    for first in range(0, len(subjects), SERIES):
        part = {subject: ticks[subject] for subject in subjects[first : first + SERIES]}
        if not _insert(cluster_id, token, resolution, part):
            return False
    return True


def _insert(
    cluster_id: UUID, token: int, resolution: int, ticks: Mapping[str, Mapping[float, Tick]]
) -> bool:
    read = {
        subject: {datetime.fromtimestamp(at, UTC): tick for at, tick in held.items()}
        for subject, held in ticks.items()
    }
    with transaction.atomic():
        if not _ours(cluster_id, token):
            return False
        ticks_fill(cluster_id, resolution, read)
        return True


def _finish(
    cluster_id: UUID,
    token: int,
    start: float,
    again: Sequence[ServingTick],
    hours: Sequence[GpuHour],
) -> bool:
    with transaction.atomic():
        if not _ours(cluster_id, token):
            return False
        ServingTick.objects.bulk_create(
            again,
            update_conflicts=True,
            unique_fields=["cluster", "subject", "resolution", "at"],
            update_fields=["packed"],
        )
        GpuHour.objects.bulk_create(hours, ignore_conflicts=True)
        backfill_done(cluster_id=cluster_id, until=start)
        return True


def _hour(cluster_id: UUID, hour: datetime, gpus: PastHour, packed: bytes) -> GpuHour:
    return GpuHour(
        cluster_id=cluster_id,
        hour=hour,
        packed=packed,
        minutes=gpus.minutes,
        gpu=gpus.gpu,
        allocated=gpus.allocated,
        measured=gpus.measured,
        busy=gpus.busy,
        backfilled=True,
    )


def _ours(cluster_id: UUID, token: int) -> bool:
    rows = Watch.objects.select_for_update().filter(cluster_id=cluster_id, lease_token=token)
    return rows.first() is not None
