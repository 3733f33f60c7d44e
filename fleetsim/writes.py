"""The write path: create, replace, patch and apply, the same for the HTTP layer and for every
actor.

Order as in a real API server: metadata, schema (prune, default, validate), managedFields, rules of
the kind, admission hooks, store. No method awaits, so a write is atomic.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleetsim import errors, jsonpatch, lifecycle, managed, merging, metadata, rules, schemas
from fleetsim.errors import ApiError
from fleetsim.kinds import Kind
from fleetsim.managed import Owner
from fleetsim.table import Change, Key, Obj, Record, clone, record_of

if TYPE_CHECKING:
    from fleetsim.store import ClusterStore, Operation

STALE = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


@dataclass(frozen=True, slots=True)
class Write:
    """How to write. `subresource` is empty or `status`; `validation` is Ignore, Warn or Strict;
    `warnings` collects the texts for Warning headers."""

    manager: str
    subresource: str = ""
    dry_run: bool = False
    force: bool = False
    validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)

    def owner(self, kind: Kind, operation: str) -> Owner:
        """The managedFields identity of this write."""
        return Owner(self.manager, operation, kind.api_version, self.subresource)


def store(
    cluster: "ClusterStore",
    kind: Kind,
    event: str,
    obj: Obj,
    old: Record | None,
    logged: bool = True,
) -> None:
    """Put an object whose metadata is complete into its table (write path and seeding only)."""
    record = record_of(kind, obj)
    cluster.owners.put(kind.kind, record, old)
    if kind.kind == "CustomResourceDefinition":
        cluster.serve_crd(obj)
    cluster.put(kind, Change(record.rv, event, record, old), logged)


def create(cluster: "ClusterStore", kind: Kind, obj: Obj, write: Write) -> Obj:
    """POST: a new object. Raises ApiError 404 (namespace), 409, 403 (namespace ends), 422 and
    admission's.
    """
    new = clone(obj)
    metadata.prepare_create(cluster, kind, new)
    if kind.status and kind.kind != "Node":
        new.pop("status", None)
    return _insert(cluster, kind, new, write, "Update")


def _insert(cluster: "ClusterStore", kind: Kind, new: Obj, write: Write, operation: str) -> Obj:
    meta = new["metadata"]
    key = (meta.get("namespace", ""), meta["name"])
    metadata.check_namespace(cluster, kind, meta)
    if key in cluster.table(kind.kind).records:
        raise errors.already_exists(kind.group, kind.plural, meta["name"])
    schemas.process(kind, new, write.validation, write.warnings)
    rules.on_create(cluster, kind, new)
    if operation == "Update":
        owner, stamp = write.owner(kind, "Update"), cluster.fleet.clock.stamp()
        meta["managedFields"] = managed.after_update(kind, None, new, owner, stamp)
    _admit(cluster, "CREATE", None, new, "")
    if not write.dry_run:
        meta["resourceVersion"] = str(cluster.next_rv())
        store(cluster, kind, "ADDED", new, None)
    return new


def replace(cluster: "ClusterStore", kind: Kind, obj: Obj, write: Write) -> Obj:
    """PUT: checks uid and resourceVersion. Raises ApiError 404, 409, 422 and admission's."""
    meta = obj.get("metadata") or {}
    record = record_at(cluster, kind, (meta.get("namespace", ""), str(meta.get("name", ""))))
    given = meta.get("resourceVersion")
    if not given and kind.custom:
        text = "Invalid value: 0x0: must be specified for an update"
        cause = errors.cause("FieldValueInvalid", "metadata.resourceVersion", text)
        raise errors.invalid(kind.group, kind.kind, record.name, [cause])
    _check_version(kind, record, meta)
    return _commit(cluster, kind, record, clone(obj), write)


def _check_version(kind: Kind, record: Record, meta: Obj) -> None:
    given = meta.get("resourceVersion")
    if given and given != str(record.rv):
        raise errors.conflict(kind.group, kind.plural, record.name, STALE)
    uid = meta.get("uid")
    if uid and uid != record.uid:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {record.uid}"
        raise errors.conflict(kind.group, kind.plural, record.name, why)


def patch(cluster: "ClusterStore", kind: Kind, key: Key, form: str, body: Any, write: Write) -> Obj:
    """PATCH of form merge, json or strategic. A resourceVersion in the patch is a precondition."""
    record = record_at(cluster, kind, key)
    old = record.load(kind)
    if form == "json":
        new = jsonpatch.apply(old, body)
    elif form == "strategic":
        new = merging.strategic(kind.schema, old, body)
    else:
        new = merging.merge_patch(old, body)
    new = clone(new)
    _check_version(kind, record, new.get("metadata") or {})
    return _commit(cluster, kind, record, new, write)


def apply(cluster: "ClusterStore", kind: Kind, obj: Obj, write: Write) -> tuple[Obj, bool]:
    """Server-side apply. Returns (object, created). Raises ApiError 400, 409 (conflicts), 422 and
    admission's.
    """
    meta = metadata.check_applied(kind, obj)
    key = (meta.get("namespace", ""), meta["name"])
    owner, stamp = write.owner(kind, "Apply"), cluster.fleet.clock.stamp()
    schemas.check_declared(kind, obj, write.validation)
    record = cluster.table(kind.kind).records.get(key)
    if record is None:
        return _apply_new(cluster, kind, obj, write), True
    _check_version(kind, record, meta)
    live = record.load(kind)
    new = managed.apply(kind, live, _scoped(kind, obj, write), owner, stamp, write.force)
    entries = new["metadata"]["managedFields"]
    return _commit(cluster, kind, record, new, write, entries), False


def _scoped(kind: Kind, obj: Obj, write: Write) -> Obj:
    """The part of an applied body that this subresource may write."""
    config = clone(obj)
    if write.subresource == "status":
        return {
            key: config[key]
            for key in ("apiVersion", "kind", "metadata", "status")
            if key in config
        }
    if kind.status:
        config.pop("status", None)
    return config


def _apply_new(cluster: "ClusterStore", kind: Kind, obj: Obj, write: Write) -> Obj:
    meta = obj["metadata"]
    if write.subresource:
        raise errors.not_found(kind.group, kind.plural, meta["name"])
    if meta.get("uid") or meta.get("resourceVersion"):
        raise errors.conflict(kind.group, kind.plural, meta["name"], STALE)
    config = _scoped(kind, obj, write)
    stamp = cluster.fleet.clock.stamp()
    new = managed.apply(kind, None, config, write.owner(kind, "Apply"), stamp, write.force)
    metadata.prepare_create(cluster, kind, new)
    return _insert(cluster, kind, new, write, "Apply")


def record_at(cluster: "ClusterStore", kind: Kind, key: Key) -> Record:
    """The stored record. Raises ApiError 404."""
    record = cluster.table(kind.kind).records.get(key)
    if record is None:
        raise errors.not_found(kind.group, kind.plural, key[1])
    return record


def _commit(
    cluster: "ClusterStore",
    kind: Kind,
    record: Record,
    new: Obj,
    write: Write,
    entries: list[Obj] | None = None,
) -> Obj:
    """The common end of every change of an existing object. An object that stays the same keeps its
    version.
    """
    old = record.load(kind)
    new = metadata.carry_over(kind, old, new, write.subresource)
    schemas.process(kind, new, write.validation, write.warnings)
    rules.on_update(cluster, kind, old, new)
    if entries is None:
        owner, stamp = write.owner(kind, "Update"), cluster.fleet.clock.stamp()
        entries = managed.after_update(kind, old, new, owner, stamp)
    new["metadata"].pop("managedFields", None)
    if entries:
        new["metadata"]["managedFields"] = entries
    metadata.bump_generation(kind, old, new)
    _admit(cluster, "UPDATE", old, new, write.subresource)  # webhooks judge no-ops as well
    if new == old:
        return old
    if write.dry_run:
        return new
    new["metadata"]["resourceVersion"] = str(cluster.next_rv())
    store(cluster, kind, "MODIFIED", new, record)
    lifecycle.after_update(cluster, kind, new)
    return new


def _admit(
    cluster: "ClusterStore",
    operation: "Operation",
    old: Obj | None,
    new: Obj | None,
    subresource: str,
) -> None:
    for hook in cluster.admission:
        before, after = (None if each is None else clone(each) for each in (old, new))
        hook(cluster, operation, before, after, subresource)


def scale(cluster: "ClusterStore", kind: Kind, key: Key, replicas: int, write: Write) -> Obj:
    """Set the replicas path of a kind with /scale. Raises ApiError 404, 422."""
    path = (kind.scale or {})["specReplicasPath"].strip(".").split(".")
    body: Any = replicas
    for part in reversed(path):
        body = {part: body}
    return patch(cluster, kind, key, "merge", body, write)


__all__ = [
    "ApiError",
    "Write",
    "apply",
    "create",
    "patch",
    "record_at",
    "replace",
    "scale",
    "store",
]
