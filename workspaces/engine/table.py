"""The fleet as columns: one row per pool, and the node shapes that have to be sized.

Built once per placement from the facts of the clusters. A cluster's pools stand together, ordered
by key, so that equal prices always go to the same pool whatever order the facts came in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from clusters.engine.types import ClusterFacts, PoolFacts, PoolKind, ProvisionerMode, Toleration
from workspaces.engine.affinity import taint_in_words, tolerates
from workspaces.engine.kernel import Bools, Floats, PoolColumns
from workspaces.engine.skus import shape_of_pool
from workspaces.engine.types import Demand, Estimate, ModelSpec, Shape, Situation

Estimator = Callable[[ModelSpec, Shape, int | None, str], Estimate]

DEFAULT_KAITO = "0.12.0"  # sized with these constants where a cluster does not tell its version

# What KAITO gives every pod it makes; nobody can add to it, so a policy's tolerations are about
# taints of clusters, never about taints of nodes.
KAITO_TOLERATIONS = (
    Toleration("nvidia.com/gpu", "Exists", effect="NoSchedule"),
    Toleration("sku", "Equal", "gpu", "NoSchedule"),
    Toleration("kubernetes.azure.com/scalesetpriority", "Equal", "spot", "NoSchedule"),
)

ShapeKey = tuple[Shape, str]  # shape and KAITO version


@dataclass(frozen=True, slots=True)
class Table:
    """`clusters` in the order of their names; `pools[row]` is what the columns' row stands for.

    `room` counts whole nodes net of claims, `size` all nodes of the pool (or its quota);
    `estimates` is per shape, None where the card's memory is unknown.
    """

    clusters: tuple[ClusterFacts, ...]
    pools: tuple[PoolFacts, ...]
    claimed: tuple[int, ...]
    columns: PoolColumns
    size: Floats
    spot: Bools
    estimates: tuple[Estimate | None, ...]
    nodes: Floats  # per shape; NaN: does not fit


def kind_for(mode: ProvisionerMode | None) -> PoolKind | None:
    """KAITO pins pods to nodes it made itself in both auto modes, and never makes one in byo."""
    if mode is None:
        return None
    return PoolKind.EXISTING if mode is ProvisionerMode.BYO else PoolKind.PROVISIONABLE


def pool_problem(pool: PoolFacts, kind: PoolKind | None) -> str:
    """Why a workload cannot use this pool at all; empty: it can."""
    if kind is None:
        return "KAITO's provisioner mode is unknown, so nobody can tell which nodes it would use."
    if pool.kind is not kind:
        return _WRONG_KIND[kind]
    if kind is PoolKind.EXISTING and not pool.selector:
        return "The nodes lack the labels of GPU Feature Discovery, by which KAITO finds them."
    if pool.sharing != "none":
        return f"The GPUs are shared ({pool.sharing}); a replica needs whole GPUs of its own."
    if pool.taints:
        for taint in pool.taints:
            if not tolerates(KAITO_TOLERATIONS, taint):
                return f"KAITO's pods do not tolerate the taint {taint_in_words(taint)}."
    return ""


_WRONG_KIND = {
    PoolKind.EXISTING: "KAITO runs on existing nodes here (bring-your-own) and creates none.",
    PoolKind.PROVISIONABLE: "KAITO creates its own nodes here and cannot use existing ones.",
}


def shape_of(pool: PoolFacts) -> Shape | None:
    """The node shape as KAITO sees it, or None when nobody can tell it."""
    shape = shape_of_pool(pool)
    return shape if shape is not None and shape.gpu_memory_bytes > 0 else None


def room_of(pool: PoolFacts, claimed: int) -> int | None:
    """Whole nodes still to be had, net of claims; None: nobody declared a quota."""
    if pool.kind is PoolKind.EXISTING:
        return max(0, pool.whole_free_nodes - claimed)
    return None if pool.quota_nodes is None else max(0, pool.quota_nodes - pool.nodes - claimed)


def build(
    demand: Demand, clusters: Sequence[ClusterFacts], situation: Situation, estimate: Estimator
) -> Table:
    """The table of these clusters, with one estimate per distinct shape and KAITO version."""
    ordered = tuple(sorted(clusters, key=lambda c: (c.name, c.id)))
    lines = _Lines()
    for index, cluster in enumerate(ordered):
        lines.add(index, cluster, situation.claimed_nodes)
    pools = lines.pools
    estimates = tuple(
        None if key is None else estimate(demand.model, key[0], demand.max_model_len, key[1])
        for key in lines.shapes.keys
    )
    return Table(
        clusters=ordered,
        pools=tuple(pools),
        claimed=tuple(lines.claimed),
        columns=lines.columns(),
        size=_floats([p.nodes if p.kind is PoolKind.EXISTING else p.quota_nodes for p in pools]),
        spot=np.array([p.capacity_type == "spot" for p in pools], dtype=np.bool_),
        estimates=estimates,
        nodes=_floats([e.nodes if e is not None and e.fits else None for e in estimates]),
    )


_key = attrgetter("key")


class _Lines:
    """Rows being collected, one per pool."""

    def __init__(self) -> None:
        self.pools: list[PoolFacts] = []
        self.claimed: list[int] = []
        self.shapes = _Shapes()
        self._owner: list[int] = []
        self._starts: list[int] = []
        self._usable: list[bool] = []
        self._shape: list[int] = []

    def add(self, index: int, cluster: ClusterFacts, claims: Mapping[tuple[str, str], int]) -> None:
        """All pools of one cluster, in the order of their keys."""
        if cluster.pools:
            self._starts.append(len(self.pools))
        kind = kind_for(cluster.capabilities.provisioner)
        version = cluster.capabilities.kaito_version or DEFAULT_KAITO
        pools = sorted(cluster.pools, key=_key)
        self.pools += pools
        self._owner += [index] * len(pools)
        self._usable += [not pool_problem(pool, kind) for pool in pools]
        self._shape += [self.shapes.number(pool, version) for pool in pools]
        self.claimed += [claims.get((cluster.id, pool.key), 0) if claims else 0 for pool in pools]

    def columns(self) -> PoolColumns:
        pairs = zip(self.pools, self.claimed, strict=True)
        return PoolColumns(
            owner=np.array(self._owner, dtype=np.int64),
            starts=np.array(self._starts, dtype=np.int64),
            usable=np.array(self._usable, dtype=np.bool_),
            capability=_floats([p.compute_capability for p in self.pools]),
            room=_floats([room_of(pool, claimed) for pool, claimed in pairs]),
            price=_floats([p.price_per_hour for p in self.pools]),
            shape=np.array(self._shape, dtype=np.int64),
        )


def _floats(values: Sequence[float | int | None]) -> Floats:
    """None becomes NaN."""
    return np.array(values, dtype=np.float64)


class _Shapes:
    """Numbers for distinct (shape, KAITO version) pairs; number 0 is "memory unknown"."""

    def __init__(self) -> None:
        self.keys: list[ShapeKey | None] = [None]
        self._by_facts: dict[tuple[object, ...], int] = {}
        self._by_key: dict[ShapeKey, int] = {}

    def number(self, pool: PoolFacts, version: str) -> int:
        facts = (
            *(version, pool.kind, pool.instance_type),
            *(pool.gpu_memory_mib, pool.gpus_per_node, pool.gpu_model),
        )
        known = self._by_facts.get(facts)
        if known is None:
            known = self._by_facts[facts] = self._new(pool, version)
        return known

    def _new(self, pool: PoolFacts, version: str) -> int:
        shape = shape_of(pool)
        if shape is None:
            return 0
        key = (shape, version)
        if key not in self._by_key:
            self._by_key[key] = len(self.keys)
            self.keys.append(key)
        return self._by_key[key]
