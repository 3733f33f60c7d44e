"""The collector's rows: what to watch, what was seen. Runs on a thread, never on the event loop."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils import timezone

from clusters.collector.cache import INVENTORY, STORED, Cache
from clusters.collector.identity import is_gone
from clusters.engine.health import Contact
from clusters.engine.shapes import Node, Pod, ResourceClaim, ResourceSlice
from clusters.gateway import Connection
from clusters.models import Check, Cluster, Quota
from clusters.services.checks import check_request, checks_prune
from clusters.services.connections import connection_of
from clusters.services.inventory import inventory_store
from clusters.services.moments import moments_begin, moments_prune
from clusters.services.observation import contact_record, objects_store, seen
from clusters.services.probing import PROBE_EVERY, TASK
from clusters.services.telling import tell
from clusters.services.watches import (
    KIND,
    Fence,
    watches_claim,
    watches_holders,
    watches_owned,
    watches_release,
    watches_renew,
    watches_share,
)
from fleetportal.kit.errors import PortalError
from fleetportal.pulse import heartbeats

PACKED = ("pools_packed", "nodes_packed")
PROBES = 20  # asked for in one beat

Stamp = tuple[object, ...]


class Row(NamedTuple):
    """What the loop needs to know of a cluster, every second: a few columns, no model."""

    pk: str
    name: str
    uid: str
    stamp: Stamp  # changes of it mean a new start
    facts: Stamp  # changes of it mean storing again
    quiet: bool  # all is well and nothing counts against it: a good contact needs no write


def rows_of(clusters: Collection[str]) -> dict[str, Row]:
    """Those of these clusters that are still managed."""
    quotas: dict[object, list[tuple[object, ...]]] = {}
    columns = ("cluster_id", "instance_type", "nodes", "capacity_type")
    for pk, *quota in Quota.objects.order_by("instance_type").values_list(*columns):
        quotas.setdefault(pk, []).append(tuple(quota))
    fields = ("pk", "name", "uid", "server", "credential_version", "state", "failures")
    facts = ("successes", "provider", "region", "gpu_facts")
    rows = Cluster.objects.managed().filter(pk__in=list(clusters)).order_by()
    rows = rows.annotate(gpu_facts=Cast("capabilities__provisioner", TextField()))
    found = {}
    for pk, name, uid, server, version, state, failures, successes, *known in rows.values_list(
        *fields, *facts
    ):
        quiet = state == "ready" and not failures and not successes
        stored = (*known, *quotas.get(pk, ()))
        found[str(pk)] = Row(str(pk), name, uid, (server, version, uid), stored, quiet)
    return found


def keep(holder: str, renew: bool) -> dict[str, int]:
    """Renew if asked to, take what is free up to our share; cluster -> token of what is ours."""
    if renew:
        _bury(holder)
    owned = watches_renew(holder=holder) if renew else watches_owned(holder=holder)
    if watches_claim(holder=holder, most=watches_share() - len(owned)):
        return watches_owned(holder=holder)
    return owned


def _bury(holder: str) -> None:
    """Free the clusters of collectors that were killed on this machine."""
    for other in {*heartbeats.names(KIND), *watches_holders()} - {holder}:
        if is_gone(other):
            farewell(other)


def surplus(tokens: Mapping[str, int], rows: Mapping[str, Row]) -> list[str]:
    """Clusters of ours that others should watch, or that nobody has to any more."""
    unmanaged = [pk for pk in tokens if pk not in rows]
    too_many = max(0, len(rows) - watches_share())
    return unmanaged + random.sample(sorted(rows), too_many)


def release(holder: str, clusters: Sequence[str]) -> None:
    watches_release(holder=holder, clusters=clusters)


def farewell(holder: str) -> None:
    """Others need not wait for our leases to run out."""
    watches_release(holder=holder)
    heartbeats.forget(KIND, holder)


def prune() -> None:
    now = timezone.now()
    checks_prune()
    moments_begin(now)
    moments_prune(now)
    heartbeats.forget(KIND)


def connections_of(clusters: Collection[str]) -> dict[str, Connection | PortalError]:
    """How to reach these clusters, or why that cannot be known."""
    found: dict[str, Connection | PortalError] = {}
    for cluster in Cluster.objects.filter(pk__in=list(clusters)).defer(*PACKED):
        try:
            found[str(cluster.pk)] = connection_of(cluster)
        except PortalError as error:
            found[str(cluster.pk)] = error
    return found


def contact_store(fence: Fence, contact: Contact, reason: str) -> None:
    cluster = Cluster.objects.filter(pk=fence.cluster).first()
    if cluster is not None:
        contact_record(cluster=cluster, contact=contact, reason=reason, fence=fence)


@dataclass(frozen=True, slots=True)
class Seen:
    """What changed in a cache, taken on the loop, stored on the thread."""

    dirty: frozenset[str]
    inventory: tuple[list[Node], list[Pod], list[ResourceSlice], list[ResourceClaim]] | None
    bodies: dict[str, list[dict[str, Any]]]
    ahead: float

    @classmethod
    def of(cls, cache: Cache) -> Seen:
        dirty = frozenset(cache.take())
        needed = dirty & INVENTORY and cache.complete
        found = (cache.nodes, cache.pods, cache.slices, cache.claims) if needed else None
        bodies = {kind: cache.bodies(kind) for kind in STORED if kind in dirty}
        return cls(dirty, found, bodies, cache.ahead)


def seen_store(fence: Fence, what: Seen) -> None:
    """Into rows, each kind in a transaction of its own. Raises FenceLost."""
    cluster = Cluster.objects.prefetch_related("quotas").filter(pk=fence.cluster).first()
    if cluster is None:
        return
    if what.inventory is not None:
        nodes, pods, slices, claims = what.inventory
        inventory_store(
            cluster=cluster,
            nodes=nodes,
            pods=pods,
            slices=slices,
            claims=claims,
            at=timezone.now(),
            ahead=what.ahead,
            fence=fence,
        )
    changed = False
    for kind, bodies in what.bodies.items():
        changed |= objects_store(
            cluster=cluster, kind=kind, bodies=bodies, install=settings.INSTALL_ID, fence=fence
        )
    if changed:
        tell(cluster)


def beat(holder: str, alive: Collection[str]) -> None:
    """We live, what is stored of live members is still true, and some are due for a probe."""
    now = timezone.now()
    heartbeats.beat(KIND, holder)
    seen(alive, now, holder=holder)
    due = Cluster.objects.managed().filter(pk__in=list(alive), probed_at__lt=now - PROBE_EVERY)
    open_checks = Check.objects.filter(kind=TASK, state__in=["pending", "running"])
    for cluster in due.exclude(pk__in=open_checks.values("cluster_id"))[:PROBES]:
        check_request(kind=TASK, cluster=cluster)
