"""What the collector saw, into rows: objects, contacts, capabilities. Calls no cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import IntegrityError, transaction
from django.utils import timezone

from clusters.engine.health import Contact, Health, next_health
from clusters.engine.types import Capabilities
from clusters.models import Cluster, ObservedObject
from clusters.services.heat import heat_store
from clusters.services.moments import moment_store
from clusters.services.telling import count, publish, tell
from clusters.services.watches import Fence, fenced
from clusters.states import CLUSTER
from fleetportal.journal.services import event_record
from fleetportal.kit.errors import Permanent, Stale
from fleetportal.kit.states import move

OWNER_OF_CHILDREN = "inferenceset.kaito.sh/created-by"
OWNER_OF_PODS = "kaito.sh/workspace"  # a child's name; pods of sets carry the set's label too


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
    with fenced(fence):
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
        count(cluster)
        publish(cluster)
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
        with fenced(fence):
            Cluster.objects.filter(pk=cluster.pk).update(**counts)
        for key, value in counts.items():
            setattr(cluster, key, value)
    return False


def _to_state(cluster: Cluster, state: str, fields: Mapping[str, Any], fence: Fence | None) -> bool:
    try:
        with fenced(fence):
            reason = fields["state_reason"]
            move(cluster, state, machine=CLUSTER, reason=reason, **fields)
            moment_store(cluster=cluster, at=fields["state_since"])
            count(cluster)
            publish(cluster)
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
