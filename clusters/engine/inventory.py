"""Nodes and pods of one cluster to pools of GPUs.

Pools of bring-your-own clusters hold the nodes that exist; pools of auto-provisioning clusters hold
what an operator says may exist, with the nodes of that instance type counted in. A pool is one or
the other, since KAITO uses one or the other. Nothing here raises on what a cluster sends, and the
order of nodes and pods does not matter. Prices are not known here: callers add them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from clusters.engine.nodes import (
    GFD_COUNT,
    GFD_PRODUCT,
    NodeReading,
    SkuFacts,
    SkuLookup,
    blocking_taint,
    read_node,
)
from clusters.engine.pods import PodHold, read_hold
from clusters.engine.pools import (
    Groups,
    Quota,
    declared_quotas,
    gpus_per_node,
    group_nodes,
    make_pool,
)
from clusters.engine.shapes import Node, Pod
from clusters.engine.types import NodeFacts, PoolFacts, PoolKind, ProvisionerMode

__all__ = ["Inventory", "Quota", "SkuFacts", "SkuLookup", "Totals", "build_inventory", "slots"]


@dataclass(frozen=True, slots=True)
class Totals:
    """GPUs of the whole cluster; shared ones are counted apart, as slices are not cards.

    used + free + faulty + blocked = gpus. `blocked`: not held, on a node that takes no pods.
    """

    nodes: int
    nodes_ready: int
    gpus: int
    used: int
    free: int
    faulty: int
    blocked: int
    whole_free_nodes: int
    shared: int  # slices or replicas on shared nodes
    pending: int  # GPUs that pods without a node wait for
    nodes_of_unknown_size: int  # nobody said how many cards these have; offered ones are counted


@dataclass(frozen=True, slots=True)
class Inventory:
    nodes: tuple[NodeFacts, ...]
    pools: tuple[PoolFacts, ...]
    totals: Totals
    region: str  # "" if nodes name none, or several
    warnings: tuple[str, ...] = ()  # sentences for an operator

    def slots(self, pool_key: str, gpus_per_request: int) -> int | None:
        """How many requests of R GPUs each the pool can take now; None: nobody declared a quota."""
        pool = next(pool for pool in self.pools if pool.key == pool_key)
        if pool.kind is PoolKind.EXISTING:
            return slots((n for n in self.nodes if n.pool == pool_key), gpus_per_request)
        if pool.quota_nodes is None:
            return None
        creatable = max(0, pool.quota_nodes - pool.nodes)
        return creatable * (pool.gpus_per_node // max(1, gpus_per_request))


def slots(nodes: Iterable[NodeFacts], gpus_per_request: int) -> int:
    """Sum over nodes of floor((allocatable - used) / R). Shared nodes break that rule: none."""
    wanted = max(1, gpus_per_request)
    return sum(node.free // wanted for node in nodes if node.sharing == "none")


def build_inventory(
    nodes: Iterable[Node],
    pods: Iterable[Pod],
    *,
    quotas: Iterable[Quota] = (),
    skus: SkuLookup,
    mode: ProvisionerMode | None,
) -> Inventory:
    """Everything a cluster says about its GPUs.

    `mode` None means that the probe could not tell: then nodes are existing ones unless a quota
    for their instance type was declared.
    """
    readings = [r for node in _unique(nodes) if (r := read_node(node, skus)) is not None]
    sized = [reading for reading in readings if gpus_per_node(reading)]
    holds = [h for pod in _unique(pods) if (h := read_hold(pod)) is not None]
    declared = {} if mode is ProvisionerMode.BYO else declared_quotas(quotas, skus)
    groups = group_nodes(sized, declared, mode)
    facts = _all_facts(groups, holds)
    pools = tuple(make_pool(key, groups, facts, declared, skus) for key in sorted(groups))
    warnings = [
        *(_UNSIZED_NODE.format(r.name) for r in readings if r not in sized),
        *(_UNSIZED_POOL.format(pool.key) for pool in pools if not pool.gpus_per_node),
        *(line for pool in pools for line in _pool_warnings(pool, groups[pool.key])),
    ]
    return Inventory(
        nodes=facts,
        pools=tuple(pool for pool in pools if pool.gpus_per_node),
        totals=_totals(facts, holds),
        region=_only({r.region for r in readings if r.region}),
        warnings=tuple(sorted(warnings)),
    )


_Object = TypeVar("_Object", Node, Pod)
_UNSIZED_NODE = "Node {}: it has GPUs, but no label says how many and none is offered. Left out."
_UNSIZED_POOL = "Pool {}: the quota names an instance type of unknown shape. Left out."


def _unique(objects: Iterable[_Object]) -> list[_Object]:
    """One object per namespace and name. Which of two twins stays does not hang on their order."""
    found: dict[tuple[str, str], _Object] = {}
    for item in objects:
        key = (item.metadata.namespace, item.metadata.name)
        twin = found.setdefault(key, item)
        if twin is not item and _canonical(item) > _canonical(twin):
            found[key] = item
    return [found[key] for key in sorted(found)]


def _canonical(item: Node | Pod) -> str:
    return json.dumps(msgspec.to_builtins(item), sort_keys=True, default=repr, skipkeys=True)


def _all_facts(groups: Groups, holds: Iterable[PodHold]) -> tuple[NodeFacts, ...]:
    by_node: dict[str, list[PodHold]] = defaultdict(list)
    for hold in holds:
        by_node[hold.node].append(hold)
    return tuple(
        _facts(reading, key, by_node[reading.name])
        for key, group in sorted(groups.items())
        for reading in sorted(group, key=lambda r: r.name)
    )


def _facts(reading: NodeReading, key: str, holds: Sequence[PodHold]) -> NodeFacts:
    return NodeFacts(
        name=reading.name,
        pool=key,
        instance_type=reading.instance_type,
        ready=reading.ready,
        cordoned=reading.cordoned,
        physical=reading.physical,
        allocatable=reading.allocatable,
        used=min(reading.allocatable, sum(hold.gpus for hold in holds)),
        zone=reading.zone,
        taints=reading.taints,
        holders=tuple(sorted((hold.name, hold.gpus, hold.workspace) for hold in holds)),
        sharing=reading.sharing,
        workspace=reading.workspace,
        blocked=_why_blocked(reading),
    )


def _why_blocked(reading: NodeReading) -> str:
    taint = blocking_taint(reading.taints)
    if taint is not None:
        value = f"={taint.value}" if taint.value else ""
        return f"taint {taint.key}{value}:{taint.effect}"
    return f"made for KAITO workspace {reading.workspace}" if reading.workspace else ""


def _only(values: set[str]) -> str:
    return next(iter(values)) if len(values) == 1 else ""


def _totals(facts: Sequence[NodeFacts], holds: Sequence[PodHold]) -> Totals:
    plain = [node for node in facts if node.sharing == "none"]
    offered = sum(node.allocatable for node in plain)
    used, free = sum(node.used for node in plain), sum(node.free for node in plain)
    faulty = sum(node.faulty for node in plain)
    return Totals(
        nodes=len(facts),
        nodes_ready=sum(node.ready for node in facts),
        gpus=offered + faulty,
        used=used,
        free=free,
        faulty=faulty,
        blocked=offered - used - free,
        whole_free_nodes=sum(n.free > 0 and n.free >= (n.physical or n.allocatable) for n in plain),
        shared=sum(node.allocatable for node in facts if node.sharing != "none"),
        pending=sum(hold.gpus for hold in holds if not hold.node),
        nodes_of_unknown_size=sum(node.physical is None for node in plain),
    )


def _pool_warnings(pool: PoolFacts, readings: Sequence[NodeReading]) -> Iterable[str]:
    if pool.sharing != "none":
        yield f"Pool {pool.key}: GPUs are shared ({pool.sharing}); no whole cards to promise."
    if pool.kind is PoolKind.PROVISIONABLE:
        return
    if not pool.selector:
        yield (
            f"Pool {pool.key}: nodes lack the labels {GFD_PRODUCT} and {GFD_COUNT}. "
            "KAITO cannot use them until GPU Feature Discovery runs there."
        )
    if len({reading.gpu_memory_mib for reading in readings}) > 1:
        yield f"Pool {pool.key}: nodes report different GPU memory; KAITO refuses such a mix."
