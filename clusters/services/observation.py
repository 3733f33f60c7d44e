"""What the collector saw, into rows: inventory, objects, contacts. Nothing here calls a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from clusters import selectors
from clusters.engine.clouds import BYO
from clusters.engine.health import Contact, Health, next_health
from clusters.engine.inventory import Inventory, Quota, build_inventory
from clusters.engine.shapes import Node, Pod, ResourceClaim, ResourceSlice
from clusters.engine.skus import sku_facts
from clusters.engine.types import Capabilities, PoolFacts, PoolKind
from clusters.models import Cluster, ObservedObject, Pool
from clusters.pricing import pool_priced, price_book
from clusters.services.heat import heat_store
from clusters.services.moments import moment_store
from clusters.services.watches import Fence
from clusters.states import CLUSTER
from fleetportal.journal.services import event_record
from fleetportal.kit import news
from fleetportal.kit.errors import Permanent, Stale
from fleetportal.kit.states import move

# Apps above hear that something of interest changed on a cluster (they ring for themselves).
changed: list[Callable[[str], None]] = []

OWNER_OF_CHILDREN = "inferenceset.kaito.sh/created-by"
OWNER_OF_PODS = "kaito.sh/workspace"  # a child's name; pods of sets carry the set's label too
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
        with _held(fence):
            Cluster.objects.filter(pk=cluster.pk).update(observed_at=at)
        return False
    with _held(fence):
        Cluster.objects.filter(pk=cluster.pk).update(
            **packed, **fresh, region=cluster.region, provider=cluster.provider
        )
        _store_pools(cluster, pools, at)
        heat_store(cluster=cluster, at=at)
        moment_store(cluster=cluster, at=at)
        _publish(cluster)
    for key, value in {**packed, **fresh}.items():
        setattr(cluster, key, value)
    return True


def _place(cluster: Cluster, found: Inventory) -> None:
    """Where the cluster is, by its nodes, as far as nobody has said it: prices depend on it."""
    cluster.region = cluster.region or found.region
    cluster.provider = cluster.provider or ("" if found.provider == BYO else found.provider)


def seen(clusters: Iterable[object], at: datetime, *, holder: str) -> None:
    """These clusters' watches are alive: what is stored is still true. Others' are left alone."""
    held = Cluster.objects.filter(watch__lease_holder=holder, watch__lease_expires_at__gt=at)
    held.filter(pk__in=list(clusters)).update(observed_at=at, last_contact_at=at)


def objects_store(
    *,
    cluster: Cluster,
    kind: str,
    bodies: Sequence[Mapping[str, Any]],
    install: str,
    fence: Fence | None = None,
) -> bool:
    """Store all objects of one kind; those not given are gone. True when anything changed.

    Raises FenceLost when `fence` does not hold any more; then nothing is stored.
    """
    now = timezone.now()
    known = {
        (row.namespace, row.name): row
        for row in ObservedObject.objects.filter(cluster=cluster, kind=kind).defer("body")
    }
    rows = [_object(cluster, kind, body, install, now) for body in bodies]
    fresh = [row for row in rows if _differs(known.get((row.namespace, row.name)), row)]
    given = {(row.namespace, row.name) for row in rows}
    lost = [row.pk for key, row in known.items() if key not in given and not row.deleted_at]
    if not fresh and not lost:
        return False
    with _held(fence):
        ObservedObject.objects.bulk_create(
            fresh,
            update_conflicts=True,
            unique_fields=["cluster", "kind", "namespace", "name"],
            update_fields=[
                "uid",
                "resource_version",
                "owner",
                "ours",
                "body",
                "seen_at",
                "deleted_at",
            ],
        )
        ObservedObject.objects.filter(pk__in=lost).update(deleted_at=now)
        _count(cluster)
        _publish(cluster)
    return True


def contact_record(
    *,
    cluster: Cluster,
    contact: Contact | None,
    reason: str = "",
    fence: Fence | None = None,
) -> bool:
    """Count one contact and move the cluster's state when enough have agreed. True: it moved.

    Where another process moved it meanwhile, theirs stands and the next contact speaks again.
    Raises FenceLost when `fence` does not hold any more; then nothing is stored.
    """
    now = timezone.now()
    seen_at = cluster.last_contact_at
    age = None if seen_at is None else (now - seen_at).total_seconds()
    before = Health(cluster.state, cluster.state_reason, cluster.failures, cluster.successes)
    after = next_health(before, contact, reason[:300], age_seconds=age)
    counts: dict[str, Any] = {"failures": after.failures, "successes": after.successes}
    if contact is Contact.OK:
        counts["last_contact_at"] = now
    if after.state != before.state:
        fields = {"state_reason": after.reason, "state_since": now, **counts}
        return _to_state(cluster, after.state, fields, fence)
    if contact is not None:
        with _held(fence):
            Cluster.objects.filter(pk=cluster.pk).update(**counts)
        for key, value in counts.items():
            setattr(cluster, key, value)
    return False


def _to_state(cluster: Cluster, state: str, fields: Mapping[str, Any], fence: Fence | None) -> bool:
    try:
        with _held(fence):
            reason = fields["state_reason"]
            move(cluster, state, machine=CLUSTER, reason=reason, **fields)
            moment_store(cluster=cluster, at=fields["state_since"])
            _count(cluster)
            _publish(cluster)
    except Stale:
        return False
    tell(cluster)
    return True


def capabilities_store(*, cluster: Cluster, found: Capabilities, uid: str) -> None:
    """Store what a probe found; the first probe pins the cluster's identity.

    Raises Permanent where that cluster is registered already.
    """
    fields: dict[str, Any] = {
        "capabilities": msgspec.json.decode(msgspec.json.encode(found)),  # lists, as when read
        "probed_at": timezone.now(),
    }
    if not cluster.uid:
        fields["uid"] = uid
    before = {"capabilities": cluster.capabilities, "uid": cluster.uid}
    changed_facts = {k: v for k, v in fields.items() if k != "probed_at" and before[k] != v}
    try:
        with transaction.atomic():
            Cluster.objects.filter(pk=cluster.pk).update(**fields)
            if changed_facts:
                event_record(
                    action="cluster.probed",
                    obj=cluster,
                    before={k: before[k] for k in changed_facts},
                    after=changed_facts,
                )
                heat_store(cluster=cluster, at=fields["probed_at"])
                moment_store(cluster=cluster, at=fields["probed_at"])
    except IntegrityError as error:
        other = Cluster.objects.managed().filter(uid=uid).first()
        name = other.name if other else "another name"
        raise Permanent(
            f"This cluster is registered already: {name}.", remedy="Remove one of the two."
        ) from error
    for key, value in fields.items():
        setattr(cluster, key, value)


def announce(cluster: Cluster) -> None:
    """Tell the apps above that what they know of this cluster has changed.

    The count is what makes sure that they look, the call only that they do so at once.
    """
    _count(cluster)
    tell(cluster)


@contextmanager
def _held(fence: Fence | None) -> Iterator[None]:
    """A transaction in which the fence holds."""
    with transaction.atomic():
        if fence is not None:
            fence.hold()
        yield


def _publish(cluster: Cluster) -> None:
    news.changed(f"cluster:{cluster.pk}", "clusters", "fleet")


def _count(cluster: Cluster) -> None:
    Cluster.objects.filter(pk=cluster.pk).update(changes=F("changes") + 1)


def tell(cluster: Cluster) -> None:
    """Ring for the apps above about a change that is counted already."""
    for listener in changed:
        listener(str(cluster.pk))


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


def _object(
    cluster: Cluster, kind: str, body: Mapping[str, Any], install: str, now: datetime
) -> ObservedObject:
    meta = body.get("metadata") or {}
    labels = meta.get("labels") or {}
    return ObservedObject(
        cluster=cluster,
        kind=kind,
        namespace=meta.get("namespace", ""),
        name=meta.get("name", ""),
        uid=meta.get("uid", ""),
        resource_version=meta.get("resourceVersion", ""),
        owner=labels.get(OWNER_OF_PODS if kind == "Pod" else OWNER_OF_CHILDREN, ""),
        ours=labels.get("fleetportal.io/install") == install,
        body=body,
        seen_at=now,
        deleted_at=None,
    )


def _differs(known: ObservedObject | None, row: ObservedObject) -> bool:
    if known is None or known.deleted_at is not None:
        return True
    return (known.uid, known.resource_version) != (row.uid, row.resource_version)
