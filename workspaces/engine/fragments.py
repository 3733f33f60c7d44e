"""Where GPUs are free and yet of no use: the largest model that fits each cluster, and those that
the number of free GPUs would allow but no node has enough of. Pure.

The same columns and filters as placement and the catalog's "fits n of m", so that they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from clusters.engine.types import ClusterFacts, PoolKind
from workspaces.engine import kernel
from workspaces.engine.filters import Context, findings
from workspaces.engine.fits import columns_of, replica_of
from workspaces.engine.table import Table
from workspaces.engine.types import Demand, ModelSpec, Situation

_CAPACITY = np.uint8(1 << kernel.POOL_FILTERS.index("capacity"))


@dataclass(frozen=True, slots=True)
class Room:
    """What one cluster can still take. `largest`, `blocked`: numbers of models, largest first;
    `largest` None: none fits. `blocked` would fit by `free` GPUs, but no node has enough.
    `addable`: nodes that declared quota still lets come; None: nobody declared one. `why`: nothing
    may be placed there at all."""

    cluster: ClusterFacts
    free: int
    whole_free_nodes: int
    addable: int | None
    largest: int | None
    fits: int
    blocked: tuple[int, ...]
    why: str = ""


def rooms(
    models: Sequence[ModelSpec],
    demand: Demand,
    clusters: Sequence[ClusterFacts],
    situation: Situation,
) -> list[Room]:
    """One Room a cluster, by name, for one replica of each model at its default context.

    `demand` gives no model; whose team it is does not matter here.
    """
    anybody = [replace(cluster, teams=None) for cluster in clusters]
    table, shapes = columns_of(demand, anybody, situation)
    free = _free(table)
    order = sorted(range(len(models)), key=lambda n: (-models[n].weights_gib, models[n].slug))
    count = len(table.clusters)
    fits, blocked = np.zeros((2, len(models), count), dtype=np.bool_)
    for number in order:
        rows = kernel.check(table.columns, replica_of(models[number], demand, shapes))
        fits[number] = kernel.cheapest(table.columns, rows, count) >= 0
        alone = (rows.fails == _CAPACITY) & (rows.nodes * _gpus(table) <= free)
        np.logical_or.at(blocked[number], table.columns.owner, alone)
    ctx = Context.of(demand, situation)
    whys = [_why(ctx, cluster) for cluster in table.clusters]
    return [
        _room(table, number, whys[number], order, fits[:, number], blocked[:, number])
        for number in range(count)
    ]


def _gpus(table: Table) -> kernel.Floats:
    return np.array([pool.gpus_per_node for pool in table.pools], dtype=np.float64)


def _free(table: Table) -> kernel.Floats:
    """Free GPUs of pools of existing nodes, net of claims; others have none to be split up."""
    pairs = zip(table.pools, table.claimed, strict=True)
    return np.array(
        [
            max(0, pool.free - claimed * pool.gpus_per_node)
            if pool.kind is PoolKind.EXISTING
            else 0
            for pool, claimed in pairs
        ],
        dtype=np.float64,
    )


def _why(ctx: Context, cluster: ClusterFacts) -> str:
    return next((answer[3] for answer in findings(ctx, cluster) if answer[0] is False), "")


def _room(
    table: Table,
    number: int,
    why: str,
    order: Sequence[int],
    fits: kernel.Bools,
    blocked: kernel.Bools,
) -> Room:
    cluster = table.clusters[number]
    counts = (
        sum(pool.free for pool in cluster.pools if pool.sharing == "none"),
        sum(pool.whole_free_nodes for pool in cluster.pools),
        _addable(cluster),
    )
    if why:
        return Room(cluster, *counts, None, 0, (), why)
    return Room(
        cluster,
        *counts,
        largest=next((model for model in order if fits[model]), None),
        fits=int(fits.sum()),
        blocked=tuple(model for model in order if blocked[model] and not fits[model]),
    )


def _addable(cluster: ClusterFacts) -> int | None:
    """Before claims: what the quota says."""
    found = [pool for pool in cluster.pools if pool.kind is PoolKind.PROVISIONABLE]
    left = [None if p.quota_nodes is None else max(0, p.quota_nodes - p.nodes) for p in found]
    known = [count for count in left if count is not None]
    return sum(known) if len(known) == len(left) else None
