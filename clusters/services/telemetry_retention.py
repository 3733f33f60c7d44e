"""What was measured is kept for so long, then goes in small transactions."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from clusters.models import GpuHour, ServingTick

KEEP = {15: timedelta(hours=6), 60: timedelta(days=14), 3600: timedelta(days=400)}
KEEP_MINUTES = timedelta(days=7)  # of GPUs; their sums by the hour stay as long as ticks of 1 h
BATCH = 500  # rows of one transaction
_LOOK_BACK = timedelta(days=30)  # how far behind its time an hour is still looked for


def ticks_prune(now: datetime, *, batches: int = 10) -> int:
    """Delete ticks that are too old, at most so many batches of each length. How many went."""
    return sum(_prune(resolution, now - keep, batches) for resolution, keep in KEEP.items())


def _prune(resolution: int, before: datetime, batches: int) -> int:
    gone = 0
    for _ in range(batches):
        old = ServingTick.objects.filter(resolution=resolution, at__lt=before).order_by("at")
        found = list(old.values_list("pk", flat=True)[:BATCH])
        gone += ServingTick.objects.filter(pk__in=found).delete()[0]
        if len(found) < BATCH:
            break
    return gone


def hours_prune(now: datetime, *, batches: int = 10) -> int:
    """Forget the minutes of old hours, and hours whose sums are too old. How many rows changed."""
    return _forget_minutes(now - KEEP_MINUTES, batches) + _drop(now - KEEP[3600], batches)


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


def _drop(before: datetime, batches: int) -> int:
    gone = 0
    for _ in range(batches):
        found = list(GpuHour.objects.filter(hour__lt=before).values_list("pk", flat=True)[:BATCH])
        gone += GpuHour.objects.filter(pk__in=found).delete()[0]
        if len(found) < BATCH:
            break
    return gone
