"""The pool filters in words: value, limit and reason behind each bit of the kernel.

Which filter fails is decided in `kernel.check` alone. Nothing here may decide again; an unknown
value is reported as not evaluated (passed None).
"""

from __future__ import annotations

from functools import lru_cache
from math import isnan
from typing import NamedTuple

from clusters.engine.types import ClusterFacts, PoolFacts, PoolKind
from workspaces.engine.kernel import POOL_FILTERS, Rows
from workspaces.engine.table import Table, kind_for, pool_problem, room_of
from workspaces.engine.types import Demand, Estimate, FilterResult


class PoolView(NamedTuple):
    """One pool of one cluster, with what the kernel found about it."""

    cluster: ClusterFacts
    pool: PoolFacts
    claimed: int
    estimate: Estimate | None
    fails: int  # bits, see kernel.POOL_FILTERS
    nodes: int | None
    cost: float | None  # $/h of one replica
    demand: Demand

    @property
    def room(self) -> int | None:
        return room_of(self.pool, self.claimed)

    @property
    def needs(self) -> int:
        return self.nodes or 1


def view(table: Table, rows: Rows, row: int, demand: Demand) -> PoolView:
    nodes, cost = rows.nodes.item(row), rows.cost.item(row)
    return PoolView(
        cluster=table.clusters[table.columns.owner.item(row)],
        pool=table.pools[row],
        claimed=table.claimed[row],
        estimate=table.estimates[table.columns.shape.item(row)],
        fails=rows.fails.item(row),
        nodes=None if isnan(nodes) else int(nodes),
        cost=None if isnan(cost) else cost,
        demand=demand,
    )


# Most pools of a fleet give the same answers: a thousand verdicts share one result.
_result = lru_cache(maxsize=8192)(FilterResult)
_AFTER_SIZING = ("capacity", "nodes_limit", "budget")


def results(pool: PoolView, *, known: bool) -> list[FilterResult]:
    """One result per pool filter. `known` False: the inventory is too old to say anything about
    what is free."""
    made = []
    for bit, name in enumerate(POOL_FILTERS):
        failed = bool(pool.fails & (1 << bit))
        value, limit, reason, unknown = _WORDS[name](pool, failed)
        passed = None if unknown and not failed else not failed
        if name == "capacity" and not known:
            passed, reason = None, "Not evaluated: the inventory is out of date."
        elif pool.nodes is None and name in _AFTER_SIZING and not failed:
            passed, value, reason = None, "", "Not evaluated: one replica could not be sized."
        made.append(_result(name, passed, value, limit, reason))
    return made


def nothing(reason: str) -> list[FilterResult]:
    """The pool filters of a cluster without a single GPU pool."""
    first = FilterResult(POOL_FILTERS[0], False, "0 pools", "at least 1 pool", reason)
    rest = [
        FilterResult(name, None, "", "", "Not evaluated: no pool.") for name in POOL_FILTERS[1:]
    ]
    return [first, *rest]


Words = tuple[str, str, str, bool]  # value, limit, reason, unknown


def _pool(v: PoolView, failed: bool) -> Words:
    reason = pool_problem(v.pool, kind_for(v.cluster.capabilities.provisioner)) if failed else ""
    return (f"{v.pool.key}, {v.pool.kind}", "usable by KAITO here", reason, False)


def _capability(v: PoolView, failed: bool) -> Words:
    have, want = v.pool.compute_capability, v.demand.model.min_compute_capability
    if want is None:
        return (_text(have), "none asked", "", False)
    if have is None:
        reason = f"Nobody could tell the compute capability of {v.pool.gpu_model}."
        return ("unknown", f">= {want:.1f}", reason, True)
    reason = f"{v.pool.gpu_model} has compute capability {have:.1f}; {v.demand.model.hf_id} needs "
    return (f"{have:.1f}", f">= {want:.1f}", f"{reason}{want:.1f}." if failed else "", False)


def _text(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"


def _sizing(v: PoolView, failed: bool) -> Words:
    limit = "fits"
    if v.estimate is None:
        why = f"The memory of {v.pool.gpu_model or 'the GPUs'} is unknown"
        if v.pool.kind is PoolKind.PROVISIONABLE:
            why = f"KAITO does not know the instance type {v.pool.instance_type or '(none)'}"
        return ("unknown", limit, f"{why}, so the model cannot be sized.", False)
    if failed:
        return ("does not fit", limit, v.estimate.reason, False)
    return (f"{count(v.needs, 'node')} per replica", limit, "", False)


def _capacity(v: PoolView, failed: bool) -> Words:
    limit = count(v.needs, "node")
    if v.pool.kind is PoolKind.PROVISIONABLE:
        return _quota(v, failed, limit)
    value = f"{count(v.room or 0, 'whole node')} free"
    if not failed:
        return (value, limit, "", False)
    if v.claimed and v.pool.whole_free_nodes >= v.needs:
        reason = (
            f"{count(v.pool.whole_free_nodes, 'whole node')} free, {v.claimed} promised to other "
            f"plans (needs {v.needs})."
        )
        return (value, limit, reason, False)
    reason = f"{count(v.pool.free, 'GPU')} free, {count(v.room or 0, 'whole node')} free "
    reason += f"(needs {v.needs})."
    if v.pool.gpus_per_node > 1 and v.pool.free:
        reason += f" KAITO takes all {v.pool.gpus_per_node} GPUs of a node."
    return (value, limit, reason, False)


def _quota(v: PoolView, failed: bool, limit: str) -> Words:
    quota = v.pool.quota_nodes
    if quota is None:
        reason = f"Quota not declared for {v.pool.instance_type}: nobody can tell whether it fits."
        return ("quota not declared", limit, reason, True)
    value = f"{count(v.room or 0, 'node')} left of quota {quota}"
    if not failed:
        return (value, limit, "", False)
    used = f"{v.pool.nodes} in use"
    if v.claimed:
        used += f", {v.claimed} promised to other plans"
    reason = f"Quota {count(quota, 'node')} of {v.pool.instance_type}, {used}: "
    return (value, limit, f"{reason}{v.room} left (needs {v.needs}).", False)


def _nodes_limit(v: PoolView, failed: bool) -> Words:
    most = v.demand.policy.max_nodes_per_replica
    value = "" if v.nodes is None else count(v.nodes, "node")
    if most is None:
        return (value, "no limit", "", False)
    reason = f"One replica would take {value} (your limit is {most})." if failed else ""
    return (value, f"at most {most}", reason, False)


def _budget(v: PoolView, failed: bool) -> Words:
    most, value = v.demand.policy.max_price_per_hour, money(v.cost)
    if most is None:
        return (value, "no limit", "", False)
    if v.cost is None:
        return (value, f"at most {money(most)}", "Nobody stored a price for this pool.", True)
    reason = f"One replica costs {value} (your limit is {money(most)})." if failed else ""
    return (value, f"at most {money(most)}", reason, False)


_WORDS = dict(
    zip(
        POOL_FILTERS,
        (_pool, _capability, _sizing, _capacity, _nodes_limit, _budget),
        strict=True,
    )
)


def count(number: int, noun: str) -> str:
    """ "1 node", "3 nodes", "1,024 nodes"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def money(per_hour: float | None) -> str:
    return "price unknown" if per_hour is None else f"${per_hour:,.2f}/h"
