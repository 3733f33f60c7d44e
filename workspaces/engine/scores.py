"""What makes one feasible cluster better than another, in points that add up.

Every term is a value of 0..1 times its weight, rounded to hundredths of a point; sums are made of
integers. A term without data weighs nothing and says so. The `spread` term is added turn by turn
while clusters are picked (`spread`), since it depends on what was picked before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workspaces.engine.affinity import affinity_score, extents
from workspaces.engine.kernel import (
    Bools,
    Floats,
    Ints,
    headroom_values,
    points,
    price_values,
)
from workspaces.engine.table import Table
from workspaces.engine.types import Demand, Policy, Situation

# Points that a perfect value of each term earns. All but `spread` make 100 together; `spread`
# weighs as much as all others, so that by default no price can buy a second cluster in one
# environment before every environment has its first.
DEFAULT_WEIGHTS: Mapping[str, float] = {
    "price": 35.0,
    "affinity": 15.0,
    "region": 10.0,
    "headroom": 10.0,
    "spot": 10.0,
    "stability": 10.0,
    "weights": 5.0,
    "throughput": 5.0,
    "spread": 100.0,
}
TERMS = tuple(DEFAULT_WEIGHTS)
PICKED_LATER = "spread"
_EARLY = tuple(name for name in TERMS if name != PICKED_LATER)


@dataclass(frozen=True, slots=True)
class Board:
    """Values and points per term and cluster. NaN: no data. `total` is in hundredths, without
    the spread term."""

    weights: Mapping[str, float]
    values: Mapping[str, Floats]
    points: Mapping[str, Ints]
    total: Ints


def weights_for(policy: Policy) -> dict[str, float]:
    """The default weights with the policy's own; ValueError names an unknown or negative one."""
    for name, weight in policy.weights.items():
        if name not in DEFAULT_WEIGHTS:
            raise ValueError(f"weights: there is no term {name!r}; use one of {', '.join(TERMS)}")
        if not 0 <= weight <= 1000:
            raise ValueError(f"weights.{name}: {weight} is not between 0 and 1000")
    return {name: float(policy.weights.get(name, default)) for name, default in _defaults()}


def _defaults() -> list[tuple[str, float]]:
    return list(DEFAULT_WEIGHTS.items())


def score(
    demand: Demand, table: Table, situation: Situation, chosen: Ints, eligible: Bools
) -> Board:
    """Score every cluster by its chosen pool (`chosen[c]` a row, -1 for none)."""
    row = np.where(chosen < 0, 0, chosen)
    weights = weights_for(demand.policy)
    values = _columns(demand, table, situation, row, eligible)
    earned = points(
        np.array([values[name] for name in _EARLY]), np.array([weights[n] for n in _EARLY])
    )
    return Board(
        weights=weights,
        values=values,
        points={name: earned[index] for index, name in enumerate(_EARLY)},
        total=earned.sum(axis=0),
    )


def _columns(
    demand: Demand, table: Table, situation: Situation, row: Ints, eligible: Bools
) -> dict[str, Floats]:
    columns, clusters = table.columns, table.clusters
    if not len(table.pools):
        return {name: np.full(len(clusters), np.nan) for name in _EARLY}
    nodes = table.nodes[columns.shape[row]]
    cost = columns.price[row] * nodes
    pack = demand.policy.headroom == "pack"
    return {
        "price": price_values(cost, eligible),
        "affinity": _affinity(demand.policy, table, eligible),
        "region": _region(demand.policy, table),
        "headroom": headroom_values(columns.room[row], nodes, table.size[row], pack),
        "spot": np.where(table.spot[row], 0.0, 1.0),
        "stability": _membership(table, situation.running_on),
        "weights": _membership(table, situation.weights_on),
        "throughput": _throughput(table, situation, row, cost, eligible),
    }


def _membership(table: Table, ids: frozenset[str]) -> Floats:
    """1 where the cluster is in the set; no data at all while the set is empty."""
    if not ids:
        return np.full(len(table.clusters), np.nan)
    return np.array([c.id in ids for c in table.clusters], dtype=np.float64)


def _region(policy: Policy, table: Table) -> Floats:
    """Regions are listed in the order of preference: the first earns 1, the last 1/n."""
    if not policy.regions:
        return np.full(len(table.clusters), np.nan)
    size = len(policy.regions)
    rank = {region: (size - index) / size for index, region in enumerate(policy.regions)}
    return np.array([rank.get(c.region, 0.0) for c in table.clusters])


def _affinity(policy: Policy, table: Table, eligible: Bools) -> Floats:
    """KubeFleet's preference sum, moved into 0..1 between the least and the most it can be."""
    least = sum(min(0, p.weight) for p in policy.preferred)
    most = sum(max(0, p.weight) for p in policy.preferred)
    if least == most:
        return np.full(len(table.clusters), np.nan)
    raw = affinity_sums(policy, table, eligible)
    return (raw - least) / (most - least)


def affinity_sums(policy: Policy, table: Table, eligible: Bools) -> Floats:
    """KubeFleet's preference sum per cluster; 0 for clusters that cannot be chosen anyway."""
    known = extents(policy.preferred, table.clusters)
    return np.array(
        [
            affinity_score(policy.preferred, cluster, known) if able else 0
            for cluster, able in zip(table.clusters, eligible, strict=True)
        ],
        dtype=np.float64,
    )


def _throughput(
    table: Table, situation: Situation, row: Ints, cost: Floats, eligible: Bools
) -> Floats:
    """Measured tokens per minute per dollar, as a share of the best eligible one."""
    measured = situation.tokens_per_minute
    if not measured:
        return np.full(len(table.clusters), np.nan)
    keys = [(c.id, table.pools[int(r)].key) for c, r in zip(table.clusters, row, strict=True)]
    tokens = np.array([measured.get(key, np.nan) for key in keys], dtype=np.float64)
    value: Floats = np.full(len(keys), np.nan)
    np.divide(tokens, cost, out=value, where=cost > 0)
    known = value[eligible & ~np.isnan(value)]
    if not len(known) or known.max() <= 0:
        return np.full(len(keys), np.nan)
    share: Floats = np.clip(value / known.max(), 0.0, 1.0)
    return share
