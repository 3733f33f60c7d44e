"""What the fleet's GPUs do and cost now: use, money, traffic. One figure each, with what it omits.

All of it is of the clusters that a principal sees. What is not measured is in no mean and no sum;
every figure says over how much it speaks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeVar
from uuid import UUID

import numpy as np
from django.db.models import Model, QuerySet

from clusters.engine.heat import FULL, MOST, PERCENT_STEPS
from clusters.models import Cluster, HeatRow, ServingTick
from clusters.selectors.idle import IdleCount, idle_count, readable
from clusters.selectors.money import Money, money
from clusters.selectors.telemetry import unpack_tick
from workspaces.models import Workspace

MINUTE = 60
TOKENS = ("prompt_tokens", "generation_tokens")
TICKS_OLD = timedelta(minutes=5)
MOST_NAMED = 100  # clusters
Row = TypeVar("Row", bound=Model)
Idle = Sequence[tuple[Cluster, HeatRow, IdleCount]]


@dataclass(frozen=True, slots=True)
class Use:
    """`mean` utilisation (0..1) of the `measured` allocated cards; None: none is measured. `at`:
    of the oldest measurement in it. `silent`: clusters with GPUs that say nothing now."""

    mean: float | None
    measured: int
    silent: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class IdleSum:
    """Allocated cards that have idled for half an hour. None: no cluster is measured."""

    gpus: int | None
    usd_per_hour: float
    unpriced: int
    clusters: Idle


@dataclass(frozen=True, slots=True)
class Traffic:
    """Finished requests and tokens (prompt and generated) a second, of the minute that began at
    `at`. None: nothing was measured. Tokens are those of `counted` workspaces: not every runtime
    counts them. `silent`: ready workspaces that are in neither."""

    requests: float | None
    tokens: float | None
    at: datetime | None
    counted: int
    silent: int


@dataclass(frozen=True, slots=True)
class Usage:
    use: Use
    idle: IdleSum
    money: Money
    traffic: Traffic


def usage(clusters: Sequence[Cluster], now: datetime) -> Usage:
    """Three queries, whatever the number of clusters."""
    rows = heat_rows(clusters, now)
    return Usage(_use(clusters, rows), idle_sum(rows), money(clusters), traffic(clusters, now))


Rows = Sequence[tuple[Cluster, HeatRow]]


def heat_rows(clusters: Sequence[Cluster], now: datetime) -> Rows:
    """Clusters that are measured now, with their bytes (one query)."""
    found = _theirs(HeatRow.objects.all(), [cluster.pk for cluster in clusters])
    by_pk = {row.cluster_id: row for row in found.only("at", "util", "allocation", "idle")}
    rows = [(cluster, by_pk.get(cluster.pk)) for cluster in clusters]
    return [(cluster, row) for cluster, row in rows if row and readable(cluster, row, now)]


def _use(clusters: Sequence[Cluster], rows: Rows) -> Use:
    util = np.frombuffer(b"".join(bytes(row.util) for _, row in rows), np.uint8)
    held = np.frombuffer(b"".join(bytes(row.allocation) for _, row in rows), np.uint8) == FULL
    known = util[held & (util <= MOST)]
    return Use(
        mean=float(known.mean()) / PERCENT_STEPS / 100 if len(known) else None,
        measured=len(known),
        silent=sum(bool(cluster.gpus_physical) for cluster in clusters)
        - sum(bool(cluster.gpus_physical) for cluster, _ in rows),
        at=min((row.at for _, row in rows if row.at), default=None),
    )


def idle_sum(rows: Rows) -> IdleSum:
    counts = [(cluster, row, idle_count(cluster, row)) for cluster, row in rows]
    found = [(cluster, row, count) for cluster, row, count in counts if count is not None]
    return IdleSum(
        gpus=sum(count.gpus for _, _, count in found) if rows else None,
        usd_per_hour=sum(count.usd_per_hour for _, _, count in found),
        unpriced=sum(count.unpriced for _, _, count in found),
        clusters=found,
    )


def traffic(clusters: Sequence[Cluster], now: datetime) -> Traffic:
    """Of the newest minute that is stored for these clusters (two queries). So young a minute is
    never in a pack (telemetry_packs.SETTLED)."""
    pks = {cluster.pk for cluster in clusters}
    rows = _theirs(ServingTick.objects.filter(resolution=MINUTE, at__gte=now - TICKS_OLD), pks)
    found = rows.order_by("at").values_list("cluster_id", "subject", "at", "packed")
    newest = {(pk, subject): (at, bytes(packed)) for pk, subject, at, packed in found if pk in pks}
    rates = [_rates(packed) for _, packed in newest.values()]
    requests = [rate for rate, _ in rates if rate is not None]
    tokens = [rate for _, rate in rates if rate is not None]
    return Traffic(
        requests=sum(requests) if requests else None,
        tokens=sum(tokens) if tokens else None,
        at=min((at for at, _ in newest.values()), default=None),
        counted=len(tokens),
        silent=_silent(pks, set(newest)),
    )


def _silent(clusters: Collection[UUID], told: set[tuple[UUID, str]]) -> int:
    ready = _theirs(Workspace.objects.filter(state="ready"), clusters)
    columns = ready.values_list("cluster_id", "namespace", "name")
    return sum(
        pk in clusters and (pk, f"{namespace}/{name}") not in told
        for pk, namespace, name in columns
    )


def _theirs(rows: QuerySet[Row], clusters: Collection[UUID]) -> QuerySet[Row]:
    """Rows of these clusters, and where they are many of all: naming a thousand takes longer than
    leaving some out afterwards, as every caller does."""
    return rows if len(clusters) > MOST_NAMED else rows.filter(cluster_id__in=clusters)


@lru_cache(maxsize=32768)
def _rates(packed: bytes) -> tuple[float | None, float | None]:
    """Requests and tokens a second of one tick; a minute's ticks are read by many pages."""
    tick = unpack_tick(packed)
    if tick.seconds <= 0:
        return None, None
    tokens = [tick.counters[name] for name in TOKENS if name in tick.counters]
    requests = tick.counters.get("requests")
    return (
        None if requests is None else requests / tick.seconds,
        sum(tokens) / tick.seconds if tokens else None,
    )
