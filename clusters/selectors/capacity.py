"""What a cluster can still take, by node shape: whole free nodes, and nodes that quota allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clusters.engine.types import PoolKind, ProvisionerMode
from clusters.models import Cluster, Quota
from clusters.selectors.census import addable, class_of, closed, unseen
from clusters.selectors.facts import pools_of
from clusters.selectors.grid import shape_words
from fleetportal.journal.models import Event

MODES = {
    ProvisionerMode.BYO.value: "existing nodes",
    ProvisionerMode.AZURE.value: "creates nodes (Azure)",
    ProvisionerMode.KARPENTER.value: "creates nodes (Karpenter)",
}


@dataclass(frozen=True, slots=True)
class ShapeLine:
    """Nodes of one shape. `unseen`: nobody knows what is there now, and `whole_free` is None.
    `addable` None: nobody declared a quota."""

    shape: str
    instance_type: str
    nodes: int
    whole_free: int | None
    addable: int | None
    provisionable: bool
    price_per_hour: float | None
    capacity_type: str
    unseen: bool


@dataclass(frozen=True, slots=True)
class QuotaLine:
    """One declared quota, with what of it exists. `gpus_left` None: unknown instance type."""

    quota: Quota
    shape: str
    nodes: int
    left: int
    gpus_left: int | None
    price_per_hour: float | None


def shapes(cluster: Cluster) -> list[ShapeLine]:
    """One line for each pool, the largest nodes first."""
    unknown, shut = unseen(cluster), closed(cluster)
    return [
        ShapeLine(
            shape=shape_words(pool.gpus_per_node, class_of(pool)),
            instance_type=pool.instance_type,
            nodes=pool.nodes,
            whole_free=None if unknown else 0 if shut else pool.whole_free_nodes,
            addable=None if pool.quota_nodes is None else 0 if shut else addable(pool),
            provisionable=pool.kind is PoolKind.PROVISIONABLE,
            price_per_hour=pool.price_per_hour,
            capacity_type=pool.capacity_type,
            unseen=unknown,
        )
        for pool in sorted(pools_of(cluster), key=lambda p: (-p.gpus_per_node, p.key))
    ]


def quotas(cluster: Cluster) -> list[QuotaLine]:
    pools = {pool.instance_type: pool for pool in pools_of(cluster) if pool.quota_nodes is not None}
    lines = []
    for quota in cluster.quotas.order_by("instance_type"):
        pool = pools.get(quota.instance_type)
        nodes = pool.nodes if pool else 0
        left = max(0, quota.nodes - nodes)
        lines.append(
            QuotaLine(
                quota=quota,
                shape=shape_words(pool.gpus_per_node, class_of(pool)) if pool else "",
                nodes=nodes,
                left=left,
                gpus_left=left * pool.gpus_per_node if pool else None,
                price_per_hour=pool.price_per_hour if pool else None,
            )
        )
    return lines


def quota_declared(cluster: Cluster) -> tuple[str, datetime] | None:
    """Who declared the quota last and when, as the journal has it."""
    said = Event.objects.filter(
        object_type="cluster",
        object_id=str(cluster.pk),
        action__in=["cluster.quota_declared", "cluster.registered"],
    )
    last = said.only("actor_name", "at").first()
    return (last.actor_name, last.at) if last else None


def mode_words(cluster: Cluster) -> str:
    """KAITO's mode: whether it uses nodes that exist or creates them; "" while unknown."""
    return MODES.get(str(cluster.capabilities.get("provisioner") or ""), "")
