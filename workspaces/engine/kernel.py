"""Filter and score all pools of the fleet at once, as columns.

One row per pool, the rows of a cluster together. Unknown is NaN, and a comparison with NaN is
false, so "fails" is always written as the comparison that is true when the limit is broken: an
unknown value breaks nothing here and is marked as not evaluated where the verdict is explained.
This module holds the only copy of the pool filters; `pool_filters` only puts them into words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bits = NDArray[np.uint8]
Bools = NDArray[np.bool_]

# The filters of one pool, in the order in which they are reported; bit k is filter k.
POOL_FILTERS = ("pool", "compute_capability", "sizing", "capacity", "nodes_limit", "budget")

_NO_PRICE = 1e9  # $/h: after every pool with a price
_TOO_SMALL = 1e10  # after every pool that holds all replicas of the cluster
_NO_QUOTA = 1e12  # after every pool with known room
_NEVER = np.inf


@dataclass(frozen=True, slots=True)
class PoolColumns:
    """One row per pool. `starts[k]` is the first row of the k-th cluster that has pools."""

    owner: Ints  # row -> cluster number
    starts: Ints
    usable: Bools  # right kind for the provisioner, whole GPUs, taints that KAITO tolerates
    capability: Floats  # NaN: unknown
    room: Floats  # whole nodes still to be had, net of claims; NaN: no quota declared
    price: Floats  # $/h of one node; NaN: unknown
    shape: Ints  # row -> number of its node shape


@dataclass(frozen=True, slots=True)
class Ask:
    """What one replica needs. `nodes` is per shape; NaN: does not fit or cannot be sized."""

    nodes: Floats
    min_capability: float  # -inf: none asked
    max_nodes: float  # inf: no limit
    max_price: float  # $/h; inf: no limit


@dataclass(frozen=True, slots=True)
class Rows:
    """Per pool: which filters fail (bits), nodes of one replica, and its price in $/h."""

    fails: Bits
    nodes: Floats
    cost: Floats


def check(pools: PoolColumns, ask: Ask) -> Rows:
    """All filters over all pools."""
    nodes = ask.nodes[pools.shape]
    cost = pools.price * nodes
    fails: Bits = (~pools.usable).view(np.uint8)
    broken: tuple[Bools, ...] = (
        pools.capability < ask.min_capability,
        np.isnan(nodes),
        pools.room < nodes,
        nodes > ask.max_nodes,
        cost > ask.max_price,
    )
    for bit, mask in enumerate(broken, start=1):
        fails |= mask.view(np.uint8) << np.uint8(bit)
    return Rows(fails, nodes, cost)


def cheapest(pools: PoolColumns, rows: Rows, clusters: int, replicas: int = 1) -> Ints:
    """The row of every cluster's cheapest pool that passes all filters; -1: none does.

    Known room goes before undeclared quota, a known price before an unknown one; equal prices go
    to the first row, and the rows of a cluster are in the order of their keys. Pools that cannot
    hold `replicas` come after those that can.
    """
    chosen = np.full(clusters, -1, dtype=np.int64)
    if not len(pools.owner):
        return chosen
    key = np.where(np.isnan(rows.cost), _NO_PRICE, rows.cost)
    key += np.isnan(pools.room) * _NO_QUOTA
    if replicas > 1:
        key += (pools.room < rows.nodes * replicas) * _TOO_SMALL
    key[rows.fails != 0] = _NEVER
    least = np.full(clusters, _NEVER)
    least[pools.owner[pools.starts]] = np.minimum.reduceat(key, pools.starts)
    best = np.flatnonzero((key == least[pools.owner]) & (key < _NEVER))[::-1]
    chosen[pools.owner[best]] = best  # reversed: the first of equal rows is written last
    return chosen


def price_values(cost: Floats, eligible: Bools) -> Floats:
    """Cheapest eligible price over this one: 1 for the cheapest, 0.5 at twice its price."""
    known = cost[eligible & ~np.isnan(cost)]
    if not len(known):
        return np.full(len(cost), np.nan)
    values: Floats = np.ones(len(cost))
    np.divide(known.min(), cost, out=values, where=~(cost <= 0))
    return values


def headroom_values(room: Floats, nodes: Floats, size: Floats, pack: bool) -> Floats:
    """Share of a pool's nodes still to be had after one replica; `pack` prefers the fullest."""
    left: Floats = np.clip((room - nodes) / np.maximum(size, 1.0), 0.0, 1.0)
    return 1.0 - left if pack else left


def points(values: Floats, weights: Floats) -> Ints:
    """Hundredths of a point per term and cluster: (terms, clusters); no data gives 0.

    Integers, so that the terms add up to the total exactly.
    """
    raw = np.rint(values * (weights * 100.0)[:, None])
    return np.where(np.isnan(raw), 0.0, raw).astype(np.int64)
