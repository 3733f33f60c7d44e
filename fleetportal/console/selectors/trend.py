"""Allocation and use of the fleet's GPUs by the hour: the sums of hours, one grouped query.

Both are shares of the GPUs known in that hour, so that an hour cut short, or a cluster that came
late, bends neither line. An hour without a measurement is a gap, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, Q, Sum

from clusters.models import Cluster, GpuHour

DAYS = 7
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TrendHour:
    """Shares of 0..1. `allocated`: of all GPUs; `used`: mean utilisation of measured ones."""

    hour: datetime
    allocated: float | None
    used: float | None


@dataclass(frozen=True, slots=True)
class TrendDay:
    """Means over the hours of a day that are known; `measured` hours have a use."""

    day: date
    allocated: float | None
    used: float | None
    measured: int


@dataclass(frozen=True, slots=True)
class Trend:
    """Every hour of the span, oldest first. `backfilled`: some were read from a Prometheus."""

    hours: Sequence[TrendHour]
    backfilled: bool

    @property
    def days(self) -> list[TrendDay]:
        """The means of each day's measured hours, newest first."""
        found: dict[date, list[TrendHour]] = {}
        for one in self.hours:
            found.setdefault(one.hour.date(), []).append(one)
        return [_day(day, hours) for day, hours in sorted(found.items(), reverse=True)]

    @property
    def empty(self) -> bool:
        return all(one.allocated is None and one.used is None for one in self.hours)


def trend(clusters: Sequence[Cluster], now: datetime, days: int = DAYS) -> Trend:
    """The last `days`, up to and with the hour under way (one query)."""
    last = now.replace(minute=0, second=0, microsecond=0)
    first = last - timedelta(days=days) + HOUR
    rows = (
        GpuHour.objects.filter(cluster_id__in=[c.pk for c in clusters], hour__gte=first)
        .order_by()
        .values("hour")
        .annotate(
            gpus=Sum("gpu"),
            held=Sum("allocated"),
            seen=Sum("measured"),
            work=Sum("busy"),
            read_back=Count("id", filter=Q(backfilled=True)),
        )
    )
    found = {row["hour"]: row for row in rows}
    hours = [first + HOUR * number for number in range(days * 24)]
    return Trend(
        [_hour(hour, found.get(hour)) for hour in hours],
        any(row["read_back"] for row in found.values()),
    )


def _hour(hour: datetime, row: Mapping[str, Any] | None) -> TrendHour:
    if row is None:
        return TrendHour(hour, None, None)
    return TrendHour(
        hour,
        row["held"] / row["gpus"] if row["gpus"] else None,
        row["work"] / row["seen"] if row["seen"] else None,
    )


def _day(day: date, hours: Sequence[TrendHour]) -> TrendDay:
    used = [one.used for one in hours if one.used is not None]
    held = [one.allocated for one in hours if one.allocated is not None]
    return TrendDay(day, _mean(held), _mean(used), len(used))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
