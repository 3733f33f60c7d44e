"""Nodes and pods of one cluster to pools of GPUs.

Pools of bring-your-own clusters hold the nodes that exist; pools of auto-provisioning clusters hold
what an operator says may exist, with the nodes of that instance type counted in. A pool is one or
the other, since KAITO uses one or the other. Nothing here raises on what a cluster sends, and the
order of nodes and pods does not matter. Prices are not known here: callers add them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from clusters.engine.accelerators import ALL_OF_IT
from clusters.engine.dra import NO_DRA, DraCluster, cards_of, read_dra, waiting
from clusters.engine.holding import Owner, node_facts
from clusters.engine.nodes import NodeReading, read_node
from clusters.engine.pods import PodHold, pod_name, read_hold, started_at, workspace_of
from clusters.engine.pools import (
    Groups,
    Quota,
    declared_quotas,
    gpus_per_node,
    group_nodes,
    make_pool,
)
from clusters.engine.shapes import Node, Pod, ResourceClaim, ResourceSlice
from clusters.engine.signs import GFD_COUNT, GFD_PRODUCT, SkuFacts, SkuLookup
from clusters.engine.types import NodeFacts, PoolFacts, PoolKind, ProvisionerMode

__all__ = ["Inventory", "Quota", "SkuFacts", "SkuLookup", "Totals", "build_inventory", "slots"]

MOST_NOTES = 40


@dataclass(frozen=True, slots=True)
class Totals:
    """Cards of the whole cluster; used + free + faulty + blocked + shared = gpus.

    `blocked`: not held, on a node that takes no pods. `shared`: cards that are given out in parts;
    how many parts there are is `shares`, which is in no sum.
    """

    nodes: int
    nodes_ready: int
    gpus: int
    used: int
    free: int
    faulty: int
    blocked: int
    whole_free_nodes: int
    shared: int
    shares: int
    pending: int  # GPUs that pods without a node wait for
    # nobody said how many cards these have; offered ones are counted, parts are not
    nodes_of_unknown_size: int


@dataclass(frozen=True, slots=True)
class Inventory:
    nodes: tuple[NodeFacts, ...]
    pools: tuple[PoolFacts, ...]
    totals: Totals
    region: str  # "" if nodes name none, or several
    provider: str  # azure | aws | gcp | byo; "" if there are no nodes, or of several
    warnings: tuple[str, ...] = ()  # sentences for an operator

    @property
    def notes(self) -> str:
        """The warnings as they are stored: a line each, and a bound for a hostile cluster."""
        more = len(self.warnings) - MOST_NOTES
        lines = self.warnings[:MOST_NOTES]
        return "\n".join((*lines, f"And {more} more like these.") if more > 0 else lines)

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
    slices: Iterable[ResourceSlice] = (),
    claims: Iterable[ResourceClaim] = (),
    quotas: Iterable[Quota] = (),
    skus: SkuLookup,
    mode: ProvisionerMode | None,
    now: datetime | None = None,
    ahead: float = 0.0,
) -> Inventory:
    """Everything a cluster says about its GPUs.

    `mode` None means that the probe could not tell: then nodes are existing ones unless a quota
    for their instance type was declared. `now` None: nobody knows the time, and HAMi's handshakes
    are not judged by age. `ahead`: seconds that the cluster's clock is ahead of the one that `now`
    is by; it is taken off what the cluster stamped.
    """
    pods, claims = _unique(pods), _unique(claims)
    nodes, slices = _unique(nodes), _unique(slices)
    dra = read_dra(nodes, slices, claims) if slices else NO_DRA
    named = ((node, dra.nodes.get(node.metadata.name)) for node in nodes)
    there = now and now + timedelta(seconds=ahead)
    readings = [r for node, own in named if (r := read_node(node, skus, own, there)) is not None]
    sized = [reading for reading in readings if gpus_per_node(reading)]
    holds = [h for pod in pods if (h := read_hold(pod, ahead)) is not None]
    declared = {} if mode is ProvisionerMode.BYO else declared_quotas(quotas, skus)
    groups = group_nodes(sized, declared, mode)
    facts = _all_facts(groups, holds, dra, _owners(pods, ahead) if dra.pods else {})
    pools = tuple(make_pool(key, groups, facts, declared, skus) for key in sorted(groups))
    pending = sum(h.units for h in holds if not h.node and h.units < ALL_OF_IT)
    return Inventory(
        nodes=facts,
        pools=tuple(pool for pool in pools if pool.gpus_per_node),
        totals=_totals(facts, pending + (waiting(claims, pods) if claims else 0)),
        region=_only({r.place.region for r in readings if r.place.region}),
        provider=_only({r.place.provider for r in readings}),
        warnings=tuple(sorted({*_warnings(readings, pools, groups), *_gaps(dra)})),
    )


_Object = TypeVar("_Object", Node, Pod, ResourceSlice, ResourceClaim)
_UNSIZED_NODE = "Node {}: it has GPUs, but no label says how many and none is offered. Left out."
_UNCOUNTED = "Node {}: it shares GPUs, and nothing says how many cards. They are in no total."
_LOOSE = "DRA pool {}: {} that {} can use, {} held. Counted at no node and in no total."
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


def _canonical(item: msgspec.Struct) -> str:
    return json.dumps(msgspec.to_builtins(item), sort_keys=True, default=repr, skipkeys=True)


def _all_facts(
    groups: Groups, holds: Iterable[PodHold], dra: DraCluster, owners: Mapping[str, Owner]
) -> tuple[NodeFacts, ...]:
    by_node: dict[str, list[PodHold]] = defaultdict(list)
    for hold in holds:
        by_node[hold.node].append(hold)
    return tuple(
        node_facts(reading, key, by_node.get(reading.name, ()), dra, owners)
        for key, group in sorted(groups.items())
        for reading in sorted(group, key=lambda r: r.name)
    )


def _owners(pods: Iterable[Pod], ahead: float) -> dict[str, Owner]:
    return {pod_name(pod): Owner(workspace_of(pod), started_at(pod, ahead)) for pod in pods}


def _only(values: set[str]) -> str:
    return next(iter(values)) if len(values) == 1 else ""


def _totals(facts: Sequence[NodeFacts], pending: int) -> Totals:
    plain = [node for node in facts if node.sharing == "none"]
    others = [node for node in facts if node.sharing != "none"]
    offered = sum(node.allocatable for node in plain)
    used, free = sum(node.used for node in plain), sum(node.free for node in plain)
    faulty = sum(node.faulty for node in facts)
    shared = sum(node.whole_shared for node in others)
    return Totals(
        nodes=len(facts),
        nodes_ready=sum(node.ready for node in facts),
        gpus=offered + faulty + shared,
        used=used,
        free=free,
        faulty=faulty,
        blocked=offered - used - free,
        whole_free_nodes=sum(n.free > 0 and n.free >= (n.physical or n.allocatable) for n in plain),
        shared=shared,
        shares=sum(node.allocatable for node in others),
        pending=pending,
        nodes_of_unknown_size=sum(node.physical is None for node in facts),
    )


def _warnings(
    readings: Iterable[NodeReading], pools: Iterable[PoolFacts], groups: Groups
) -> Iterator[str]:
    for reading in readings:
        if not gpus_per_node(reading):
            yield _UNSIZED_NODE.format(reading.name)
        if reading.sharing != "none" and reading.physical is None:
            yield _UNCOUNTED.format(reading.name)
    for pool in pools:
        if not pool.gpus_per_node:
            yield _UNSIZED_POOL.format(pool.key)
        yield from _pool_warnings(pool, groups[pool.key])


def _gaps(dra: DraCluster) -> Iterator[str]:
    for pool in dra.incomplete:
        yield f"DRA pool {pool}: its newest slices are not all there. Its devices are left out."
    for (pool, reached), bag in dra.loose.items():
        cards = cards_of(bag)
        held = sum(card.shares_used > 0 for card in cards)
        what = f"{len(cards)} GPU{'s' if len(cards) > 1 else ''}"
        whose = f"{reached} nodes" if reached else "no node here"
        yield _LOOSE.format(pool, what, whose, held)


def _pool_warnings(pool: PoolFacts, readings: Sequence[NodeReading]) -> Iterator[str]:
    if pool.sharing != "none":
        yield f"Pool {pool.key}: GPUs are shared ({pool.sharing}); no whole cards to promise."
    if pool.kind is PoolKind.PROVISIONABLE:
        return
    if pool.vendor not in ("nvidia", ""):
        yield f"Pool {pool.key}: KAITO's presets ask for nvidia.com/gpu and cannot run here."
    elif not pool.selector:
        yield (
            f"Pool {pool.key}: nodes lack the labels {GFD_PRODUCT} and {GFD_COUNT}. "
            "KAITO cannot use them until GPU Feature Discovery runs there."
        )
    if len({reading.gpu_memory_mib for reading in readings}) > 1:
        yield f"Pool {pool.key}: nodes report different GPU memory; KAITO refuses such a mix."
