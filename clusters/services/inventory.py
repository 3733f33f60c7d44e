"""A cluster's GPUs, as the collector saw its nodes and pods, into rows. Calls no cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from clusters import selectors
from clusters.engine.clouds import BYO
from clusters.engine.inventory import Inventory, Quota, build_inventory
from clusters.engine.shapes import Node, Pod, ResourceClaim, ResourceSlice
from clusters.engine.skus import sku_facts
from clusters.engine.types import PoolFacts, PoolKind
from clusters.models import Cluster, Pool
from clusters.pricing import pool_priced, price_book
from clusters.services.heat import heat_store
from clusters.services.moments import moment_store
from clusters.services.telling import publish
from clusters.services.watches import Fence, fenced

UNKNOWN_QUOTA_SLOTS = 1_000_000  # claims on a pool whose quota nobody declared


def inventory_store(
    *,
    cluster: Cluster,
    nodes: Iterable[Node],
    pods: Iterable[Pod],
    slices: Iterable[ResourceSlice] = (),
    claims: Iterable[ResourceClaim] = (),
    at: datetime,
    ahead: float = 0.0,
    fence: Fence | None = None,
) -> bool:
    """Store what these objects make together. True when it differs from what was stored.

    `ahead`: seconds that the clock which stamped them is ahead of ours. Raises FenceLost when
    `fence` does not hold any more; then nothing is stored.
    """
    quotas = [Quota(q.instance_type, q.nodes, q.capacity_type) for q in cluster.quotas.all()]
    mode = selectors.capabilities_of(cluster).provisioner
    found = build_inventory(
        nodes,
        pods,
        slices=slices,
        claims=claims,
        quotas=quotas,
        skus=sku_facts,
        mode=mode,
        now=at,
        ahead=ahead,
    )
    _place(cluster, found)
    book = price_book()
    pools = tuple(pool_priced(cluster, pool, book) for pool in found.pools)
    packed = {"pools_packed": selectors.pack(pools), "nodes_packed": selectors.pack(found.nodes)}
    fresh = {"observed_at": at, **_totals(found), "inventory_notes": found.notes}
    same = all(bytes(getattr(cluster, key)) == value for key, value in packed.items())
    if same and cluster.inventory_notes == found.notes:
        with fenced(fence):
            Cluster.objects.filter(pk=cluster.pk).update(observed_at=at)
        return False
    with fenced(fence):
        Cluster.objects.filter(pk=cluster.pk).update(
            **packed, **fresh, region=cluster.region, provider=cluster.provider
        )
        _store_pools(cluster, pools, at)
        heat_store(cluster=cluster, at=at)
        moment_store(cluster=cluster, at=at)
        publish(cluster)
    for key, value in {**packed, **fresh}.items():
        setattr(cluster, key, value)
    return True


def _place(cluster: Cluster, found: Inventory) -> None:
    """Where the cluster is, by its nodes, as far as nobody has said it: prices depend on it."""
    cluster.region = cluster.region or found.region
    cluster.provider = cluster.provider or ("" if found.provider == BYO else found.provider)


def _totals(found: Inventory) -> dict[str, int]:
    totals = found.totals
    return {
        "gpus_physical": totals.gpus,
        "gpus_allocatable": totals.gpus - totals.faulty,
        "gpus_used": totals.used,
        "gpus_free": totals.free,
        "gpus_faulty": totals.faulty,
    }


def _store_pools(cluster: Cluster, pools: Sequence[PoolFacts], at: datetime) -> None:
    """Rows that claims hold on to. They stay as they are while only free GPUs changed."""
    rows = [_pool_columns(pool) for pool in pools]
    if rows == [_pool_columns(pool) for pool in selectors.pools_of(cluster)]:
        return
    Pool.objects.bulk_create(
        [Pool(cluster=cluster, **row) for row in rows],
        update_conflicts=True,
        unique_fields=["cluster", "key"],
        update_fields=["kind", "gpu_model", "instance_type", "slots", "gone_at"],
    )
    keys = [pool.key for pool in pools]
    Pool.objects.filter(cluster=cluster, gone_at=None).exclude(key__in=keys).update(gone_at=at)


def _pool_columns(pool: PoolFacts) -> dict[str, Any]:
    return {
        "key": pool.key,
        "kind": pool.kind.value,
        "gpu_model": pool.gpu_model,
        "instance_type": pool.instance_type,
        "slots": _slots(pool),
    }


def _slots(pool: PoolFacts) -> int:
    if pool.kind is PoolKind.EXISTING:
        return pool.nodes
    return UNKNOWN_QUOTA_SLOTS if pool.quota_nodes is None else pool.quota_nodes
