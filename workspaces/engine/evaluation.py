"""Everything that the filters and scores found out about every cluster, before anyone is picked.

A value: built once by `evaluate`, read by the choice, the sentences and the digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, isnan

import numpy as np

from clusters.engine.types import ClusterFacts
from workspaces.engine import kernel
from workspaces.engine.affinity import labels_of
from workspaces.engine.filters import Context, Finding, findings, passes
from workspaces.engine.kernel import Bools, Floats, Ints, Rows
from workspaces.engine.scores import Board, affinity_sums, score
from workspaces.engine.spread import Domains
from workspaces.engine.table import Estimator, Table, build
from workspaces.engine.types import Demand, Situation


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Indexed by cluster number, which is the cluster's place in the order of names.

    `chosen` is the row of the cheapest feasible pool (-1: none), `cost` $/h of one replica there
    (NaN: unknown), `slots` how many replicas fit (None: no quota declared).
    """

    demand: Demand
    situation: Situation
    table: Table
    answers: tuple[tuple[Finding, ...], ...]
    rows: Rows
    chosen: Ints
    eligible: Bools
    cost: Floats
    slots: tuple[int | None, ...]
    board: Board
    affinity: Floats | None  # KubeFleet's sums, in its scoring mode only
    domains: tuple[Domains, ...]
    closest: dict[int, int | None] = field(default_factory=dict)  # what `row` has found so far

    def cluster(self, number: int) -> ClusterFacts:
        return self.table.clusters[number]

    def price(self, number: int) -> float | None:
        """$/h of one replica in the cluster's chosen pool."""
        cost = self.cost.item(number)
        return None if isnan(cost) else cost

    def row(self, number: int) -> int | None:
        """The row that speaks for this cluster: the chosen one, else the one that came closest."""
        if (chosen := self.chosen.item(number)) >= 0:
            return chosen
        if number not in self.closest:
            start, end = np.searchsorted(self.table.columns.owner, [number, number + 1])
            self.closest[number] = _closest(self.rows, int(start), int(end))
        return self.closest[number]

    @property
    def kubefleet(self) -> bool:
        return self.demand.policy.scoring == "kubefleet"


def _closest(rows: Rows, start: int, end: int) -> int | None:
    """The row that came furthest through the filters, then the one that breaks the fewest, then
    the cheapest: it explains best why a cluster cannot take the replica. None: no pool at all."""
    fails, costs = rows.fails[start:end].tolist(), rows.cost[start:end].tolist()

    def order(place: int) -> tuple[int, int, float, int]:
        bits, cost = fails[place], costs[place]
        first = (bits & -bits).bit_length()
        return (-first, bits.bit_count(), inf if isnan(cost) else cost, place)

    best = min(range(end - start), key=order, default=None)
    return None if best is None else start + best


def evaluate(
    demand: Demand, clusters: Sequence[ClusterFacts], situation: Situation, estimate: Estimator
) -> Evaluation:
    """Filter and score every cluster by its cheapest feasible pool.

    Raises ValueError for a policy with an unknown operator, unit, sort order or weight.
    """
    table = build(demand, clusters, situation, estimate)
    ctx = Context.of(demand, situation)
    answers = tuple([findings(ctx, cluster) for cluster in table.clusters])
    rows = kernel.check(table.columns, _ask(demand, table))
    return _assemble(demand, situation, table, answers, rows, 1)


def with_room(ev: Evaluation, replicas: int) -> Evaluation:
    """The same, but by pools that can hold `replicas` where a cluster has one: dearer ones."""
    return _assemble(ev.demand, ev.situation, ev.table, ev.answers, ev.rows, replicas)


def _assemble(
    demand: Demand,
    situation: Situation,
    table: Table,
    answers: tuple[tuple[Finding, ...], ...],
    rows: Rows,
    replicas: int,
) -> Evaluation:
    chosen = kernel.cheapest(table.columns, rows, len(table.clusters), replicas)
    able = np.array([passes(a) for a in answers], dtype=np.bool_) & (chosen >= 0)
    policy = demand.policy
    return Evaluation(
        demand=demand,
        situation=situation,
        table=table,
        answers=answers,
        rows=rows,
        chosen=chosen,
        eligible=able,
        cost=_cost(rows, chosen),
        slots=_slots(table, rows, chosen),
        board=score(demand, table, situation, chosen, able),
        affinity=affinity_sums(policy, table, able) if policy.scoring == "kubefleet" else None,
        domains=_domains(demand, table),
    )


def _ask(demand: Demand, table: Table) -> kernel.Ask:
    policy, least = demand.policy, demand.model.min_compute_capability
    most, budget = policy.max_nodes_per_replica, policy.max_price_per_hour
    return kernel.Ask(
        nodes=table.nodes,
        min_capability=-np.inf if least is None else least,
        max_nodes=np.inf if most is None else most,
        max_price=np.inf if budget is None else budget,
    )


def _cost(rows: Rows, chosen: Ints) -> Floats:
    if not len(rows.cost):
        return np.full(len(chosen), np.nan)
    return np.where(chosen < 0, np.nan, rows.cost[chosen])


def _slots(table: Table, rows: Rows, chosen: Ints) -> tuple[int | None, ...]:
    """Whole replicas that the chosen pool can hold; without InferenceSet never more than one,
    because plain Workspaces share no label that one Service could select."""
    room, slots = table.columns.room, list[int | None]()
    for cluster, row in zip(table.clusters, chosen, strict=True):
        found: int | None = 0
        if row >= 0:
            free = room[row]
            found = None if np.isnan(free) else int(free // rows.nodes[row])
            if not cluster.capabilities.inference_set_works:
                found = 1 if found is None else min(1, found)
        slots.append(found)
    return tuple(slots)


def _domains(demand: Demand, table: Table) -> tuple[Domains, ...]:
    keys = [constraint.topology_key for constraint in demand.policy.spread]
    if not keys or demand.policy.placement_type != "PickN":
        return tuple(() for _ in table.clusters)
    return tuple([_values(cluster, keys) for cluster in table.clusters])


def _values(cluster: ClusterFacts, keys: Sequence[str]) -> Domains:
    labels = labels_of(cluster)
    return tuple([labels.get(key) for key in keys])
