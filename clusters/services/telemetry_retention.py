"""What was measured is kept for so long, then goes in small transactions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet

from clusters.models import GpuHour, ServingPack, ServingTick
from clusters.models.telemetry import SPANS

Row = TypeVar("Row", bound=Model)

KEEP = {15: timedelta(hours=6), 60: timedelta(days=14), 3600: timedelta(days=400)}
KEEP_MINUTES = timedelta(days=7)  # of GPUs; their sums by the hour stay as long as ticks of 1 h
BATCH = 250  # rows of one transaction
_LOOK_BACK = timedelta(days=30)  # how far behind its time an hour is still looked for


def ticks_prune(now: datetime, *, batches: int = 10) -> int:
    """Delete ticks that are too old, at most so many batches of each length. How many rows went.

    A pack goes when all of its span is too old.
    """
    gone = 0
    for resolution, keep in KEEP.items():
        rows = ServingTick.objects.filter(resolution=resolution, at__lt=now - keep)
        gone += _prune(rows.order_by("at"), batches)
    for resolution, span in SPANS.items():
        before = now - KEEP[resolution] - timedelta(seconds=span)
        packs = ServingPack.objects.filter(resolution=resolution, start__lte=before)
        gone += _prune(packs.order_by("start"), batches)
    return gone


def _prune(old: QuerySet[Row], batches: int) -> int:
    gone = 0
    for _ in range(batches):
        found = list(old.values_list("pk", flat=True)[:BATCH])
        gone += old.model._base_manager.filter(pk__in=found).delete()[0]
        if len(found) < BATCH:
            break
    return gone


def hours_prune(now: datetime, *, batches: int = 10) -> int:
    """Forget the minutes of old hours, and hours whose sums are too old. How many rows changed."""
    old = GpuHour.objects.filter(hour__lt=now - KEEP[3600])
    return _forget_minutes(now - KEEP_MINUTES, batches) + _prune(old, batches)


def _forget_minutes(before: datetime, batches: int) -> int:
    changed = 0
    old = GpuHour.objects.filter(hour__lt=before, hour__gte=before - _LOOK_BACK).exclude(packed=b"")
    for _ in range(batches):
        with transaction.atomic():
            found = list(old.values_list("pk", flat=True)[:BATCH])
            changed += GpuHour.objects.filter(pk__in=found).update(packed=b"")
        if len(found) < BATCH:
            break
    return changed
