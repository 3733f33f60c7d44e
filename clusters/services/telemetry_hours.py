"""Hours of a cluster's GPUs: each minute is added once it is over, each hour is compressed then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from clusters.engine.telemetry import chunks
from clusters.engine.telemetry.looks import measured
from clusters.engine.telemetry.minutes import Minute, means
from clusters.engine.telemetry.types import GpuSample
from clusters.models import Cluster, GpuHour

HOUR_COLUMNS = ("packed", "minutes", "gpu", "allocated", "measured", "busy")


def minute_closed(
    cluster_id: UUID, at: float, minute: Minute | None, cards: Sequence[GpuSample]
) -> list[GpuHour]:
    """Rows with the minute around `at` added, and the hour before it closed; not yet saved.

    Cards that are known and held by pods are counted from the inventory, which needs no exporter;
    where it knows neither, from the cards that were measured.
    """
    hour = datetime.fromtimestamp(at // 3600 * 3600, UTC)
    row = GpuHour.objects.filter(cluster_id=cluster_id, hour=hour).first()
    closed = [] if row is not None else _closed(cluster_id, hour)
    row = _unsaved(row or GpuHour(cluster_id=cluster_id, hour=hour))
    now: tuple[GpuSample, ...] = ()
    if minute is not None and minute.number == at // 60:
        now = means(minute, cards)
    _count(row, now)
    if now:
        row.packed = chunks.append(bytes(row.packed), int(at // 60 % 60), now)
        row.minutes += 1
    return [*closed, row]


def _closed(cluster_id: UUID, hour: datetime) -> list[GpuHour]:
    """The hour before, compressed: it is over. After a pause there may be an older one open."""
    before = GpuHour.objects.filter(
        cluster_id=cluster_id, hour__lt=hour, hour__gte=hour - timedelta(days=1), backfilled=False
    ).order_by("-hour")
    row = before.first()
    if row is None or not row.packed:
        return []
    row.packed = chunks.close(bytes(row.packed))
    return [_unsaved(row)]


def _unsaved(row: GpuHour) -> GpuHour:
    """Without its number: the row is found again by cluster and hour, whoever saved it first."""
    row.pk = None
    return row


def _count(row: GpuHour, now: Sequence[GpuSample]) -> None:
    cards, busy = measured(now)
    physical, used = (
        Cluster.objects.filter(pk=row.cluster_id).values_list("gpus_physical", "gpus_used").first()
    ) or (None, None)
    seen = {(gpu.node, gpu.index): bool(gpu.pods) for gpu in now}
    row.gpu += len(seen) if physical is None else physical
    row.allocated += sum(seen.values()) if used is None else used
    row.measured += cards
    row.busy += busy
