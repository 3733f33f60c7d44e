"""Which clusters can take one replica of a model now, before anybody asks for a plan.

The same filters as placement, by the same kernel, so that a catalog, a model's page and a plan
never disagree. `fit_counts` answers for a whole catalog at once; `fit_rows` explains every pool for
one model. Pure: no clock, no database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clusters.engine.types import ClusterFacts
from workspaces.engine import kernel, pool_filters, sizing
from workspaces.engine.evaluation import Evaluation, evaluate
from workspaces.engine.filters import Context, findings, passes
from workspaces.engine.sizing_kernel import PoolTable, nodes_for, pool_table
from workspaces.engine.table import ShapeKey, Table, build, shape_of
from workspaces.engine.types import Demand, Estimate, ModelSpec, Shape, Situation

_UNSIZED = Estimate(False, "", None, None, None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class Fit:
    """`fits` of `clusters` can take a replica now; `price_from` is $/h of one replica where it is
    cheapest (None: unknown, or it fits nowhere)."""

    fits: int
    clusters: int
    price_from: float | None


@dataclass(frozen=True, slots=True)
class FitRow:
    """One pool of one cluster, or a cluster without any (pool ""). `price_per_hour` is that of one
    replica; `room` counts replicas that fit now (None: no quota declared); `best`: the pool that
    speaks for its cluster."""

    cluster: str
    environment: str
    region: str
    fits: bool
    reason: str
    pool: str
    instance_type: str
    gpu_model: str
    shape: Shape | None
    estimate: Estimate | None
    price_per_hour: float | None
    room: int | None
    best: bool


def fit_counts(
    models: Sequence[ModelSpec],
    demand: Demand,
    clusters: Sequence[ClusterFacts],
    situation: Situation,
) -> list[Fit]:
    """One Fit per model, for one replica each. `demand` gives team and context; whether a team has
    the token of a gated model is left out of the count."""
    table, shapes = columns_of(demand, clusters, situation)
    able = _able(demand, table, situation)
    known: dict[tuple[bytes, float], Fit] = {}  # many models need the same of every shape
    found = []
    for model in models:
        ask = replica_of(model, demand, shapes)
        key = (ask.nodes.tobytes(), ask.min_capability)
        if key not in known:
            known[key] = _count(ask, table, able)
        found.append(known[key])
    return found


def fit_rows(
    demand: Demand, clusters: Sequence[ClusterFacts], situation: Situation
) -> tuple[FitRow, ...]:
    """Every pool of every cluster by cluster name; the clusters' own pools in the order of keys."""
    ev = evaluate(_ungated(demand), clusters, situation, sizing.estimate)
    return tuple(row for number in range(len(ev.table.clusters)) for row in _rows(ev, number))


def columns_of(
    demand: Demand, clusters: Sequence[ClusterFacts], situation: Situation
) -> tuple[Table, PoolTable]:
    """The fleet's columns, and its distinct node shapes ready to be sized for any model."""
    keys: list[ShapeKey | None] = [None]

    def note(model: ModelSpec, shape: Shape, context: int | None, version: str) -> Estimate:
        keys.append((shape, version))
        return _UNSIZED

    table = build(_ungated(demand), clusters, situation, note)
    shapes = pool_table(
        [None if key is None else key[0] for key in keys],
        ["" if key is None else key[1] for key in keys],
    )
    return table, shapes


def _able(demand: Demand, table: Table, situation: Situation) -> kernel.Bools:
    ctx = Context.of(_ungated(demand), situation)
    return np.array([passes(findings(ctx, one)) for one in table.clusters], dtype=np.bool_)


def _ungated(demand: Demand) -> Demand:
    return replace(demand, has_secret=True)


def _count(ask: kernel.Ask, table: Table, able: kernel.Bools) -> Fit:
    rows = kernel.check(table.columns, ask)
    chosen = kernel.cheapest(table.columns, rows, len(table.clusters))
    fits = able & (chosen >= 0)
    if not fits.any():
        return Fit(0, len(table.clusters), None)
    cost = rows.cost[chosen[fits]]
    known = cost[~np.isnan(cost)]
    return Fit(int(fits.sum()), len(table.clusters), float(known.min()) if len(known) else None)


def replica_of(model: ModelSpec, demand: Demand, shapes: PoolTable) -> kernel.Ask:
    """What one replica of a model needs of each node shape."""
    nodes = nodes_for(model, shapes, demand.max_model_len).astype(np.float64)
    if "vllm" not in model.runtimes:
        nodes[:] = np.nan
    least = model.min_compute_capability
    return kernel.Ask(
        nodes=np.where(nodes < 1, np.nan, nodes),
        min_capability=-np.inf if least is None else least,
        max_nodes=np.inf,
        max_price=np.inf,
    )


def _rows(ev: Evaluation, number: int) -> Iterator[FitRow]:
    owner = ev.table.columns.owner
    start, end = (int(place) for place in np.searchsorted(owner, [number, number + 1]))
    problem = next((answer[3] for answer in ev.answers[number] if answer[0] is False), "")
    if start == end:
        yield _no_pool(ev.cluster(number), problem)
    for row in range(start, end):
        yield _row(ev, number, row, problem)


def _no_pool(cluster: ClusterFacts, problem: str) -> FitRow:
    reason = problem or "The cluster has no GPU pool."
    place = (cluster.name, cluster.environment, cluster.region)
    return FitRow(*place, False, reason, "", "", "", None, None, None, 0, True)


def _row(ev: Evaluation, number: int, row: int, problem: str) -> FitRow:
    view = pool_filters.view(ev.table, ev.rows, row, ev.demand)
    cluster, pool = view.cluster, view.pool
    reason = problem or _failed(view)
    room = view.room
    return FitRow(
        cluster=cluster.name,
        environment=cluster.environment,
        region=cluster.region,
        fits=not reason,
        reason=reason,
        pool=pool.key,
        instance_type=pool.instance_type,
        gpu_model=pool.gpu_model,
        shape=shape_of(pool),
        estimate=view.estimate,
        price_per_hour=view.cost,
        room=_room(cluster, room, view.nodes) if not reason else 0,
        best=row == ev.row(number),
    )


def _failed(view: pool_filters.PoolView) -> str:
    """The reason of the first pool filter that fails; only those in the way are put into words."""
    if not view.fails:
        return ""
    results = pool_filters.results(view, known=True)
    return next(one.reason for one in results if one.passed is False)


def _room(cluster: ClusterFacts, free: int | None, nodes: int | None) -> int | None:
    """Replicas; without InferenceSet never more than one, as in placement."""
    if free is None or nodes is None:
        return None
    slots = free // nodes
    return slots if cluster.capabilities.inference_set_works else min(1, slots)
