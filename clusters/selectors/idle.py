"""Idle GPUs of clusters, from the heatmap's rows and the last measurements of a few of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

from clusters.engine.idle import Floats, IdleGroup, Mask, card_prices, idle_groups, idle_mask
from clusters.models import Cluster, HeatRow
from clusters.selectors.census import SILENT
from clusters.selectors.facts import decode_nodes, decode_pools, nodes_of, pools_of
from clusters.selectors.telemetry import measured

STALE = 600.0  # seconds after which a measurement says nothing about now


@dataclass(frozen=True, slots=True)
class IdleLine:
    """Idle cards of one holder on one node of a cluster."""

    cluster: Cluster
    group: IdleGroup
    since: datetime


@dataclass(frozen=True, slots=True)
class IdleCount:
    """Idle cards of one cluster. `usd_per_hour` leaves `unpriced` cards out."""

    gpus: int
    usd_per_hour: float
    unpriced: int
    mask: Mask


def readable(cluster: Cluster, row: HeatRow | None, now: datetime) -> bool:
    """Whether the row says anything about the cluster as it is now."""
    if row is None or row.at is None or cluster.state in SILENT:
        return False
    return (now - row.at).total_seconds() <= STALE


def idle_count(cluster: Cluster, row: HeatRow) -> IdleCount | None:
    """None: no card is idle, or the row is of other nodes than those stored now."""
    mask = idle_mask(bytes(row.allocation), bytes(row.idle))
    if not mask.any():
        return None
    prices = _prices(bytes(cluster.nodes_packed), bytes(cluster.pools_packed))
    if len(prices) != len(mask):
        return None
    idle = prices[mask]
    known = idle[~np.isnan(idle)]
    return IdleCount(int(mask.sum()), float(known.sum()), len(idle) - len(known), mask)


@lru_cache(maxsize=4096)
def _prices(nodes: bytes, pools: bytes) -> Floats:
    """Stored facts change rarely; nobody may write to what is kept."""
    return card_prices(decode_nodes(nodes), decode_pools(pools))


def idle_lines(
    found: Sequence[tuple[Cluster, HeatRow, IdleCount]], now: datetime
) -> list[IdleLine]:
    """The idle cards of these clusters by node and holder, dearest first (one query)."""
    seen = measured(cluster.pk for cluster, _, _ in found)
    lines = [
        IdleLine(cluster, group, datetime.fromtimestamp(group.since, UTC))
        for cluster, row, count in found
        for group in idle_groups(
            nodes_of(cluster),
            pools_of(cluster),
            count.mask,
            bytes(row.idle),
            (seen[cluster.pk].gpus or ()) if cluster.pk in seen else (),
            now.timestamp(),
        )
    ]
    return sorted(lines, key=_dearest)


def _dearest(line: IdleLine) -> tuple[bool, float, float]:
    group = line.group
    return group.usd_per_hour is None, -(group.usd_per_hour or 0.0), group.since
