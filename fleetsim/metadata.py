"""Metadata of objects on their way in: names, namespaces, what clients may not set, generation.

Used by the write path only.
"""

import re
from typing import TYPE_CHECKING, Any

from fleetsim import errors
from fleetsim.errors import ApiError
from fleetsim.kinds import Kind

if TYPE_CHECKING:
    from fleetsim.store import ClusterStore

Obj = dict[str, Any]
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character"
)
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_KEPT = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
)


def prepare_create(cluster: "ClusterStore", kind: Kind, obj: Obj) -> None:
    """Fill in what the server decides: generated name, uid, creationTimestamp, generation."""
    meta = obj.setdefault("metadata", {})
    if not meta.get("name") and meta.get("generateName"):
        suffix = "".join(cluster.rng.choice(_SUFFIX) for _ in range(5))
        meta["name"] = f"{meta['generateName']}{suffix}"
    _check_name(kind, meta)
    _check_labels(kind, meta)
    if meta.get("resourceVersion"):
        raise ApiError(400, "resourceVersion should not be set on objects to be created")
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        meta.pop(key, None)
    meta["uid"] = cluster.new_uid()
    meta["creationTimestamp"] = cluster.fleet.clock.stamp()
    meta.pop("generation", None)
    if kind.generation:
        meta["generation"] = 1
    if not kind.namespaced:
        meta.pop("namespace", None)


def _check_name(kind: Kind, meta: Obj) -> None:
    name = meta.get("name")
    if not name:
        text = "Required value: name or generateName is required"
        raise errors.invalid(
            kind.group, kind.kind, "", [errors.cause("FieldValueRequired", "metadata.name", text)]
        )
    label_like = kind.kind in ("Namespace", "Service")
    good = (
        len(name) <= 63 and _LABEL.match(name)
        if label_like
        else len(name) <= 253 and _SUBDOMAIN.match(name)
    )
    if not good:
        text = f'Invalid value: "{name}": {_SUBDOMAIN_TEXT}'
        raise errors.invalid(
            kind.group, kind.kind, name, [errors.cause("FieldValueInvalid", "metadata.name", text)]
        )


def _check_labels(kind: Kind, meta: Obj) -> None:
    for part in ("labels", "annotations"):
        for key, value in (meta.get(part) or {}).items():
            if not isinstance(value, str):
                raise ApiError(
                    400,
                    f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                    f"json: cannot unmarshal into ObjectMeta.metadata.{part} of type string",
                )
            if part == "labels" and len(value) > 63:
                text = f'Invalid value: "{value}": must be no more than 63 bytes'
                field = f"metadata.labels[{key}]"
                raise errors.invalid(
                    kind.group,
                    kind.kind,
                    meta["name"],
                    [errors.cause("FieldValueInvalid", field, text)],
                )


def check_namespace(cluster: "ClusterStore", kind: Kind, meta: Obj) -> None:
    """The namespace of a new object exists and is not ending. Raises ApiError 404, 403 or 400."""
    if not kind.namespaced:
        return
    name = meta.get("namespace") or ""
    if not name:
        raise ApiError(400, "an empty namespace may not be set during creation")
    namespace = cluster.table("Namespace").records.get(("", name))
    if namespace is None:
        raise errors.not_found("", "namespaces", name)
    if namespace.fields["status.phase"] == "Terminating":
        text = f"namespace {name} is being terminated"
        causes = [errors.cause("NamespaceTerminating", "metadata.namespace", text)]
        why = f"unable to create new content in namespace {name} because it is being terminated"
        raise errors.forbidden(kind.group, kind.plural, meta["name"], why, causes)


def check_applied(kind: Kind, obj: Obj) -> Obj:
    """The metadata of an applied body. Raises ApiError 400 for what an apply may not carry."""
    meta = obj.get("metadata") or {}
    if meta.get("managedFields"):
        raise ApiError(400, "metadata.managedFields must be nil")
    if not meta.get("name"):
        raise ApiError(400, "name is required for server-side apply")
    return dict(meta)


def carry_over(kind: Kind, old: Obj, new: Obj, subresource: str) -> Obj:
    """`new` with everything this write may not touch taken from `old`."""
    if subresource == "status":
        status = new.get("status")
        new = {**old, "metadata": dict(old["metadata"])}
        new.pop("status", None)
        if status is not None:
            new["status"] = status
        return new
    meta = new.setdefault("metadata", {})
    _check_labels(kind, {**meta, "name": old["metadata"]["name"]})
    for key in _KEPT:
        meta.pop(key, None)
        if key in old["metadata"]:
            meta[key] = old["metadata"][key]
    for key in ("name", "namespace", "resourceVersion"):
        if key in old["metadata"]:
            meta[key] = old["metadata"][key]
    for key in ("labels", "annotations", "finalizers", "ownerReferences"):
        if key in meta and not meta[key]:
            del meta[key]
    _forbid_new_finalizers(kind, old, new)
    if kind.status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    return new


def _forbid_new_finalizers(kind: Kind, old: Obj, new: Obj) -> None:
    if not old["metadata"].get("deletionTimestamp"):
        return
    added = set(new["metadata"].get("finalizers") or ()) - set(
        old["metadata"].get("finalizers") or ()
    )
    if added:
        text = (
            "Forbidden: no new finalizers can be added if the object is being deleted, "
            f"found new finalizers {sorted(added)}"
        )
        raise errors.invalid(
            kind.group, kind.kind, old["metadata"]["name"],
            [errors.cause("FieldValueForbidden", "metadata.finalizers", text)],
        )  # fmt: skip


def bump_generation(kind: Kind, old: Obj, new: Obj) -> None:
    """Count a change outside metadata and status."""
    if not kind.generation:
        return
    outside = {key for key in old.keys() | new.keys() if key not in ("metadata", "status")}
    if any(old.get(key) != new.get(key) for key in outside):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
