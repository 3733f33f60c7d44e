"""GPUs counted so that the figures add up: on the pages, in the API, for one cluster or for all.

Every card on a node is in exactly one class. What a silent cluster held last counts as unknown,
never as 0; what no workload may be put on counts as blocked. A card that is given out in parts
(MIG, replicas, HAMi) is one card, in a class of its own; its parts are in no sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import msgspec

from clusters.engine.cards import card_class
from clusters.engine.types import NodeFacts, PoolFacts, PoolKind
from clusters.models import Cluster
from clusters.querysets import ClusterQuerySet
from clusters.selectors.columns import adder
from clusters.selectors.facts import decode_nodes, decode_pools
from fleetportal.accounts.principal import Principal

SILENT = frozenset({"unreachable", "credentials_refused", "different_cluster"})
# Without these permissions nobody knows what is used: a count from nodes alone would say "free".
NEEDED = frozenset({"list nodes", "list pods"})
HEAVY = ("credential_sealed", "ca_pem")


@dataclass(frozen=True, slots=True)
class Tally:
    """GPUs by class. `physical` and `total` are sums of the classes, so nothing is counted twice.

    `provisionable` is declared quota less the nodes that exist. No classes: `shares` (parts of
    shared cards), `nodes`, `whole_free` (nodes with all GPUs free), `in_quota` (cards that exist
    within quota).
    """

    allocated: int = 0
    free: int = 0
    blocked: int = 0
    faulty: int = 0
    unknown: int = 0
    provisionable: int = 0
    shared: int = 0
    shares: int = 0
    nodes: int = 0
    whole_free: int = 0
    in_quota: int = 0

    @property
    def physical(self) -> int:
        """Cards that sit in nodes."""
        idle = self.free + self.blocked + self.faulty + self.unknown
        return self.allocated + self.shared + idle

    @property
    def total(self) -> int:
        """Cards in nodes and those that declared quota still lets come."""
        return self.physical + self.provisionable

    @property
    def quota(self) -> int:
        """Cards that declared quota speaks of, whether they exist or not."""
        return self.in_quota + self.provisionable

    def __add__(self, other: Tally) -> Tally:
        return add_up((self, other))


_NAMES = tuple(field.name for field in fields(Tally))
add_up = adder(Tally)
CLASSES = _NAMES[:7]
ByModel = Mapping[str, Tally]


@dataclass(frozen=True, slots=True)
class Overview:
    """The fleet as one principal sees it. `uncounted`: clusters whose GPUs nobody has seen yet."""

    total: Tally
    by_model: ByModel
    states: Mapping[str, int]
    clusters: int
    cordoned: int
    uncounted: int


def listed(principal: Principal) -> ClusterQuerySet:
    """Managed clusters that the principal may see, without secrets."""
    rows: ClusterQuerySet = Cluster.objects.visible_to(principal).managed().defer(*HEAVY)
    return rows


def overview(clusters: Iterable[Cluster]) -> Overview:
    """Totals over these clusters. No queries."""
    rows = list(clusters)
    found: dict[str, list[Tally]] = {}
    for cluster in rows:
        for model, tally in tallies(cluster).items():
            found.setdefault(model, []).append(tally)
    by_model = {model: add_up(every) for model, every in found.items()}
    return Overview(
        total=add_up(by_model.values()),
        by_model=dict(sorted(by_model.items(), key=lambda item: (-item[1].total, item[0]))),
        states=Counter(cluster.state for cluster in rows),
        clusters=len(rows),
        cordoned=sum(cluster.cordoned for cluster in rows),
        uncounted=sum(cluster.observed_at is None for cluster in rows),
    )


def tally(cluster: Cluster) -> Tally:
    """One cluster's GPUs."""
    return add_up(tallies(cluster).values())


def tallies(cluster: Cluster) -> ByModel:
    """One cluster's GPUs by class of card."""
    counted = _counted(bytes(cluster.nodes_packed), bytes(cluster.pools_packed))
    if unseen(cluster):
        return {model: _unknown(found) for model, found in counted.items()}
    if closed(cluster):
        return {model: _blocked(found) for model, found in counted.items()}
    return counted


def unseen(cluster: Cluster) -> bool:
    """Whether what is stored may no longer be true, or never was the whole of it."""
    return silent(cluster) or blind(cluster)


def silent(cluster: Cluster) -> bool:
    return cluster.state in SILENT


def blind(cluster: Cluster) -> bool:
    """Whether the credential may not list what says which GPUs are used."""
    gaps = cluster.capabilities.get("gaps") or ()
    return any(gap.get("missing") in NEEDED for gap in gaps)


def closed(cluster: Cluster) -> bool:
    """Whether nothing new may be put there."""
    return cluster.cordoned or cluster.state == "draining"


def _unknown(tally: Tally) -> Tally:
    return Tally(
        unknown=tally.physical,
        provisionable=tally.provisionable,
        shares=tally.shares,
        nodes=tally.nodes,
        in_quota=tally.in_quota,
    )


def _blocked(tally: Tally) -> Tally:
    return replace(tally, free=0, blocked=tally.blocked + tally.free, whole_free=0)


@lru_cache(maxsize=4096)
def _counted(nodes: bytes, pools: bytes) -> ByModel:
    """Stored facts change rarely and are counted often."""
    try:
        return count(decode_nodes(nodes), decode_pools(pools))
    except msgspec.DecodeError:
        return {}


def count(nodes: Iterable[NodeFacts], pools: Iterable[PoolFacts]) -> ByModel:
    """Tallies by class of card of one cluster that is seen and open."""
    by_key = {pool.key: pool for pool in pools}
    found: dict[str, Tally] = {}
    for node in nodes:
        pool = by_key.get(node.pool)
        model = class_of(pool) if pool else card_class(node.gpu_model, node.gpu_memory_mib)
        found[model] = found.get(model, Tally()) + _of_node(node, pool)
    for pool in by_key.values():
        model = class_of(pool)
        found[model] = found.get(model, Tally()) + _of_pool(pool)
    return found


def class_of(pool: PoolFacts) -> str:
    """The pool's GPU model under the name that all spellings of it share."""
    return card_class(pool.gpu_model, pool.gpu_memory_mib)


def _of_node(node: NodeFacts, pool: PoolFacts | None) -> Tally:
    if node.sharing != "none":
        shared, ill = node.whole_shared, node.faulty
        return Tally(shared=shared, faulty=ill, shares=node.allocatable, nodes=1)
    used = min(node.used, node.allocatable)
    whole = pool.gpus_per_node if pool else node.physical or node.allocatable
    return Tally(
        allocated=used,
        free=node.free,
        blocked=node.allocatable - used - node.free + (node.faulty - faulty(node)),
        faulty=faulty(node),
        nodes=1,
        whole_free=int(node.free > 0 and node.free >= whole),
        in_quota=node.allocatable + node.faulty if pool and pool.quota_nodes is not None else 0,
    )


def faulty(node: NodeFacts) -> int:
    """Cards missing beside ones that are offered. A node that offers none is starting or without
    its device plugin: nothing can run there, but no card is known to be broken."""
    return node.faulty if node.allocatable or node.sharing != "none" else 0


def _of_pool(pool: PoolFacts) -> Tally:
    return Tally(provisionable=addable(pool) * pool.gpus_per_node)


def addable(pool: PoolFacts) -> int:
    """Nodes that may still be created in a pool: declared quota less those that exist."""
    if pool.kind is not PoolKind.PROVISIONABLE or pool.quota_nodes is None:
        return 0
    return max(0, pool.quota_nodes - pool.nodes)
