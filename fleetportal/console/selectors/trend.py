"""Allocation and use of the fleet's GPUs by the hour: the sums of hours, one grouped query.

Both are shares of the GPUs known in that hour, so that an hour cut short, or a cluster that came
late, bends neither line. An hour without a measurement is a gap, never 0; one that lacks clusters
says of how many it speaks, since the others might have bent it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum

from clusters.models import Cluster, GpuHour
from fleetportal.kit import charts
from fleetportal.kit.format import percent

DAYS = 7
RANGES = {1: "24 hours", 7: "7 days", 30: "30 days", 90: "90 days"}
HOUR = timedelta(hours=1)
Sums = Mapping[datetime, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class TrendHour:
    """Shares of 0..1. `allocated`: of all GPUs; `used`: mean utilisation of measured ones.

    `knowing` clusters are in the first share, `measuring` in the second.
    """

    hour: datetime
    allocated: float | None
    used: float | None
    knowing: int = 0
    measuring: int = 0


@dataclass(frozen=True, slots=True)
class TrendDay:
    """Means over the hours of a day that are known; `measured` hours have a use, each of at least
    `fewest` and at most `most` clusters."""

    day: date
    allocated: float | None
    used: float | None
    measured: int
    fewest: int
    most: int


@dataclass(frozen=True, slots=True)
class Trend:
    """Every hour of the span, oldest first. `backfilled`: some were read from a Prometheus.
    `clusters`: how many there are now, which each hour is held against."""

    hours: Sequence[TrendHour]
    backfilled: bool
    clusters: int

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
    """The last `days`, up to and with the hour under way (at most one query)."""
    last = now.replace(minute=0, second=0, microsecond=0)
    first = last - timedelta(days=days) + HOUR
    found = _sums(tuple(cluster.pk for cluster in clusters), first, int(now.timestamp() // 60))
    hours = [first + HOUR * number for number in range(days * 24)]
    return Trend(
        [_hour(hour, found.get(hour)) for hour in hours],
        any(row["read_back"] for row in found.values()),
        len(clusters),
    )


@lru_cache(maxsize=32)
def _sums(clusters: tuple[UUID, ...], first: datetime, minute: int) -> Sums:
    """By hour. Kept for a minute: many pages ask, and hours hardly move."""
    rows = (
        GpuHour.objects.filter(cluster_id__in=clusters, hour__gte=first)
        .order_by()
        .values("hour")
        .annotate(
            gpus=Sum("gpu"),
            held=Sum("allocated"),
            seen=Sum("measured"),
            work=Sum("busy"),
            read_back=Count("id", filter=Q(backfilled=True)),
            knowing=Count("id"),
            measuring=Count("id", filter=Q(measured__gt=0) | Q(gpu=0)),  # nothing to measure
        )
    )
    return {row["hour"]: row for row in rows}


def _hour(hour: datetime, row: Mapping[str, Any] | None) -> TrendHour:
    if row is None:
        return TrendHour(hour, None, None)
    return TrendHour(
        hour,
        row["held"] / row["gpus"] if row["gpus"] else None,
        row["work"] / row["seen"] if row["seen"] else None,
        row["knowing"],
        row["measuring"],
    )


def _day(day: date, hours: Sequence[TrendHour]) -> TrendDay:
    used = [one.used for one in hours if one.used is not None]
    held = [one.allocated for one in hours if one.allocated is not None]
    counts = [one.measuring for one in hours if one.used is not None]
    fewest, most = min(counts, default=0), max(counts, default=0)
    return TrendDay(day, _mean(held), _mean(used), len(used), fewest, most)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


EMPTY = (
    "Nothing is drawn yet: no hour of GPUs has been measured. The first comes within minutes of "
    "a cluster's first measurement."
)
THIN = "Shaded: hours of which less than half of the clusters are known."


def figures(found: Trend) -> dict[str, Any]:
    """JSON for charts.js: one figure, or the reason why there is none."""
    empty = EMPTY if found.empty else ""
    x = [int(one.hour.timestamp() * 1000) for one in found.hours]
    thin = _thin(found)
    shown = {"figure": None if empty else _figure(found, thin), "words": _now(found)}
    common = {"marks": [], "revisions": "", "sources": []}
    note = THIN if thin else ""
    return {"x": x, "charts": {"trend": shown}, "empty": empty, "note": note, **common}


def _figure(found: Trend, thin: Sequence[charts.Shade]) -> dict[str, Any]:
    """Between the lines lies what is held and not used."""
    held = [_of_hundred(one.allocated) for one in found.hours]
    used = [_of_hundred(one.used) for one in found.hours]
    lacking = [charts.lacking(one.knowing, found.clusters) for one in found.hours]
    unmeasured = [charts.lacking(one.measuring, found.clusters) for one in found.hours]
    figure = charts.lines(
        [
            charts.Curve("In use", used, hover=_said(used, unmeasured)),
            charts.Curve("Allocated", held, "second", hover=_said(held, lacking)),
        ],
        unit="%",
        bands=[charts.Band(used, held)],
        shades=thin,
    )
    day = "%H:%M" if len(found.hours) <= 24 else "%-d %b"
    figure["layout"]["xaxis"] |= {"tickformat": day, "nticks": 8}
    figure["layout"]["yaxis"] |= {"range": [0, 100], "rangemode": "normal"}
    return figure


def _said(values: Sequence[float | None], lacking: Sequence[str]) -> list[str]:
    """ "27 %, without 2 of 9 clusters" for each hour."""
    return [
        "unknown" if value is None else f"{value:g} %{words}"
        for value, words in zip(values, lacking, strict=True)
    ]


def _thin(found: Trend) -> list[charts.Shade]:
    """Hours that speak of less than half of the clusters, in stretches."""
    stretches: list[charts.Shade] = []
    for one in found.hours:
        start = one.hour.timestamp() * 1000
        end = start + HOUR.total_seconds() * 1000
        if one.used is None or 2 * one.measuring >= found.clusters:
            continue
        if stretches and stretches[-1].end == start:
            start = stretches.pop().start
        stretches.append(charts.Shade(start, end))
    return stretches


def _of_hundred(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 1)


def _now(found: Trend) -> str:
    """The newest hour that was measured, and which clusters it lacks."""
    held = next((one.allocated for one in reversed(found.hours) if one.allocated is not None), None)
    last = next((one for one in reversed(found.hours) if one.used is not None), None)
    if last is None:
        return f"{percent(held)} allocated, use unknown"
    lacking = charts.lacking(last.measuring, found.clusters)
    return f"{percent(held)} allocated, {percent(last.used)} in use{lacking}"
