"""How objects end: preconditions, finalizers, owners and dependents, terminating namespaces.

Part of the write path; it may not know HTTP.
"""

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from fleetsim import errors, writes
from fleetsim.errors import ApiError
from fleetsim.kinds import Kind
from fleetsim.table import Change, Key, Obj, Record, record_of

if TYPE_CHECKING:
    from fleetsim.store import ClusterStore

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Delete:
    """Options of a delete. `grace` in seconds, None for the kind's default."""

    uid: str | None = None
    resource_version: str | None = None
    propagation: str = "Background"
    grace: int | None = None
    dry_run: bool = False


def delete(cluster: "ClusterStore", kind: Kind, key: Key, options: Delete) -> Obj:
    """Delete one object; finalizers turn it into a mark. Returns its last state. Raises ApiError
    404, 409.
    """
    record = writes.record_at(cluster, kind, key)
    _check_preconditions(kind, record, options)
    obj = record.load(kind)
    for hook in cluster.admission:
        hook(cluster, "DELETE", record.load(kind), None, "")
    if options.dry_run:
        return obj
    meta = obj["metadata"]
    if options.propagation == "Foreground" and cluster.owners.dependents.get(record.uid):
        meta["finalizers"] = [*meta.get("finalizers", ()), FOREGROUND]
    if options.propagation == "Orphan":
        _orphan(cluster, record.uid)
    if kind.kind == "Namespace":
        return _end_namespace(cluster, kind, record, obj)
    grace = _grace(cluster, kind, obj, options)
    if not meta.get("finalizers") and not grace:
        return _remove(cluster, kind, record, obj)
    if not meta.get("deletionTimestamp") or FOREGROUND in meta.get("finalizers", ()):
        obj = _mark(cluster, kind, record, obj, grace)
    if FOREGROUND in meta.get("finalizers", ()):
        _delete_dependents(cluster, record.uid)
    return cluster.get(kind.kind, *key) or obj


def _grace(cluster: "ClusterStore", kind: Kind, obj: Obj, options: Delete) -> int:
    """Seconds a pod may take to stop; 0 for everything that goes at once."""
    spec = obj.get("spec") or {}
    if kind.kind != "Pod" or not cluster.fleet.graceful_pods or not spec.get("nodeName"):
        return 0
    if options.grace is not None:
        return options.grace
    return int(spec.get("terminationGracePeriodSeconds", 30))


def _check_preconditions(kind: Kind, record: Record, options: Delete) -> None:
    pairs = (
        ("UID", options.uid, record.uid),
        ("ResourceVersion", options.resource_version, str(record.rv)),
    )
    for label, wanted, found in pairs:
        if wanted and wanted != found:
            why = (
                f"Precondition failed: {label} in precondition: {wanted}, "
                f"{label} in object meta: {found}"
            )
            raise errors.conflict(kind.group, kind.plural, record.name, why)


def _mark(cluster: "ClusterStore", kind: Kind, record: Record, obj: Obj, grace: int) -> Obj:
    meta = obj["metadata"]
    until = cluster.fleet.clock.now() + timedelta(seconds=grace)
    meta.setdefault("deletionTimestamp", until.strftime("%Y-%m-%dT%H:%M:%SZ"))
    meta["deletionGracePeriodSeconds"] = grace
    if kind.generation:
        meta["generation"] = meta.get("generation", 0) + 1
    meta["resourceVersion"] = str(cluster.next_rv())
    writes.store(cluster, kind, "MODIFIED", obj, record)
    return obj


def after_update(cluster: "ClusterStore", kind: Kind, obj: Obj) -> None:
    """Remove an object that was marked and has just lost its last finalizer."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers"):
        return
    if kind.kind == "Namespace" or meta.get("deletionGracePeriodSeconds"):
        return
    record = cluster.table(kind.kind).records[(meta.get("namespace", ""), meta["name"])]
    _remove(cluster, kind, record, obj)


def _remove(cluster: "ClusterStore", kind: Kind, record: Record, obj: Obj) -> Obj:
    obj["metadata"]["resourceVersion"] = str(cluster.next_rv())
    gone = record_of(kind, obj)
    cluster.owners.drop(kind.kind, record)
    cluster.put(kind, Change(gone.rv, "DELETED", gone, record))
    if kind.kind == "CustomResourceDefinition":
        cluster.drop_crd(obj)
    _collect(cluster, record)
    _release_owners(cluster, record)
    if record.namespace:
        _finish_namespace(cluster, record.namespace)
    return obj


def _collect(cluster: "ClusterStore", owner: Record) -> None:
    """Delete the dependents whose last owner has gone."""
    for kind, namespace, name in sorted(cluster.owners.dependents.pop(owner.uid, ())):
        record = cluster.table(kind).records.get((namespace, name))
        if record is None or any(uid in cluster.owners.places for uid in record.owners):
            continue
        delete(cluster, cluster.kind(kind), (namespace, name), Delete())


def _delete_dependents(cluster: "ClusterStore", uid: str) -> None:
    for kind, namespace, name in sorted(cluster.owners.dependents.get(uid, ())):
        if (namespace, name) in cluster.table(kind).records:
            options = Delete(propagation="Foreground")
            delete(cluster, cluster.kind(kind), (namespace, name), options)


def _release_owners(cluster: "ClusterStore", record: Record) -> None:
    """Drop the foreground finalizer of an owner whose last dependent has gone."""
    for uid in record.owners:
        place = cluster.owners.places.get(uid)
        if place is None or cluster.owners.dependents.get(uid):
            continue
        owner = cluster.get(place[0], place[1] or None, place[2])
        if owner and FOREGROUND in owner["metadata"].get("finalizers", ()):
            owner["metadata"]["finalizers"].remove(FOREGROUND)
            cluster.update(owner, manager="kube-controller-manager")


def _orphan(cluster: "ClusterStore", uid: str) -> None:
    for kind, namespace, name in sorted(cluster.owners.dependents.get(uid, ())):
        obj = cluster.get(kind, namespace or None, name)
        if obj is None:
            continue
        refs = [ref for ref in obj["metadata"]["ownerReferences"] if ref["uid"] != uid]
        obj["metadata"]["ownerReferences"] = refs
        cluster.update(obj, manager="kube-controller-manager")


def _end_namespace(cluster: "ClusterStore", kind: Kind, record: Record, obj: Obj) -> Obj:
    if not obj["metadata"].get("deletionTimestamp"):
        obj.setdefault("status", {})["phase"] = "Terminating"
        obj = _mark(cluster, kind, record, obj, 0)
        for table in list(cluster.tables.values()):
            for namespace, name in [key for key in table.records if key[0] == record.name]:
                if (namespace, name) in table.records:
                    # What admission will not let go keeps the namespace terminating.
                    with contextlib.suppress(ApiError):
                        delete(cluster, table.kind, (namespace, name), Delete())
    _finish_namespace(cluster, record.name)
    return obj


def _finish_namespace(cluster: "ClusterStore", name: str) -> None:
    """Remove a terminating namespace once nothing is left in it."""
    table = cluster.table("Namespace")
    record = table.records.get(("", name))
    if record is None or record.fields["status.phase"] != "Terminating":
        return
    if any(key[0] == name for each in cluster.tables.values() for key in each.records):
        return
    obj = record.load(table.kind)
    if not obj["metadata"].get("finalizers"):
        _remove(cluster, table.kind, record, obj)
