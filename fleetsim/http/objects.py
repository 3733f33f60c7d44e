"""The verbs on objects: get, create, update, patch, delete, deletecollection, /status and /scale.

Translates HTTP into calls of the write path and its results into answers; no rule about objects
lives here.
"""

from dataclasses import replace
from typing import Any

from fleetsim import errors, lifecycle, writes
from fleetsim.errors import ApiError
from fleetsim.http.listing import deciding_records, list_reply
from fleetsim.http.messages import Reply, Request, json_reply
from fleetsim.http.reviews import authorise
from fleetsim.http.tables import table_reply, wants_table
from fleetsim.http.targets import Target
from fleetsim.kinds import Kind
from fleetsim.store import ClusterStore, Obj
from fleetsim.table import Key
from fleetsim.writes import Write

PATCHES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
RETURNS_OBJECT = ("Pod", "Service", "ServiceAccount", "ResourceQuota", "PersistentVolumeClaim")


def handle(cluster: ClusterStore, kind: Kind, target: Target, request: Request) -> Reply:
    """Answer a request on objects of a kind. Raises ApiError."""
    if target.subresource == "scale" and kind.scale:
        return _scale(cluster, kind, target, request)
    if target.subresource and not (target.subresource == "status" and kind.status):
        raise ApiError(404, "the server could not find the requested resource", details={})
    verb = _VERBS.get(target.verb)
    if verb is None:
        raise ApiError(405, "the server does not allow this method on the requested resource")
    return verb(cluster, kind, target, request)


def key_of(kind: Kind, target: Target) -> Key:
    """The store's key of the named object."""
    return (target.namespace if kind.namespaced else "", target.name)


def _get(cluster: ClusterStore, kind: Kind, target: Target, request: Request) -> Reply:
    record = writes.record_at(cluster, kind, key_of(kind, target))
    if wants_table(request):
        return table_reply(
            kind, [record], {"resourceVersion": str(record.rv)}, cluster.fleet.clock.now()
        )
    return Reply(200, record.full(kind))


def _list(cluster: ClusterStore, kind: Kind, target: Target, request: Request) -> Reply:
    return list_reply(cluster, kind, target, request)


def options_of(request: Request, target: Target) -> Write:
    """Write options from query parameters and the client's name."""
    manager = request.query.get("fieldManager") or request.headers.get("user-agent", "unknown")
    return Write(
        manager.partition("/")[0] or "unknown",
        subresource=target.subresource,
        dry_run=request.dry_run,
        force=request.truth("force"),
        validation=request.query.get("fieldValidation", "Warn") or "Warn",
    )


def _body(kind: Kind, target: Target, request: Request) -> Obj:
    """The object in the body, checked against the URL. Raises ApiError 400."""
    obj = request.parse()
    if not isinstance(obj, dict):
        raise ApiError(400, "the body must be one object")
    if kind.custom and not obj.get("kind"):
        raise ApiError(400, "Object 'Kind' is missing in the request body")
    given = obj.setdefault("apiVersion", kind.api_version)
    if given != kind.api_version:
        text = (
            f"the API version in the data ({given}) does not match the expected API version "
            f"({kind.api_version})"
        )
        raise ApiError(400, text)
    given = obj.setdefault("kind", kind.kind)
    if given != kind.kind:
        raise ApiError(400, f"{given} in version {kind.version} cannot be handled as a {kind.kind}")
    _check_shape(kind, obj)
    _check_place(kind, target, obj.setdefault("metadata", {}))
    return obj


def _check_shape(kind: Kind, obj: Obj) -> None:
    """The big parts of built-in kinds are objects (schemas of their own check custom ones)."""
    for part in ("spec", "status", "data", "stringData"):
        if not kind.custom and not isinstance(obj.get(part, {}), dict | None):
            text = f"json: cannot unmarshal into Go struct field {kind.kind}.{part}"
            raise ApiError(400, f"{kind.kind} in version {kind.version} cannot be handled: {text}")


def _check_place(kind: Kind, target: Target, meta: Obj) -> None:
    if not isinstance(meta, dict):
        raise ApiError(400, "metadata must be an object")
    if kind.namespaced:
        given = meta.setdefault("namespace", target.namespace) or target.namespace
        meta["namespace"] = given
        if target.namespace and given != target.namespace:
            text = (
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
            raise ApiError(400, text)
    if target.name:
        given = meta.setdefault("name", target.name)
        if given != target.name:
            text = (
                f"the name of the object ({given}) does not match the name on the URL "
                f"({target.name})"
            )
            raise ApiError(400, text)


def _create(cluster: ClusterStore, kind: Kind, target: Target, request: Request) -> Reply:
    if target.name:
        raise ApiError(405, "the server does not allow this method on the requested resource")
    write = options_of(request, target)
    obj = writes.create(cluster, kind, _body(kind, target, request), write)
    return json_reply(obj, 201, write.warnings)


def _update(cluster: ClusterStore, kind: Kind, target: Target, request: Request) -> Reply:
    write = options_of(request, target)
    obj = writes.replace(cluster, kind, _body(kind, target, request), write)
    return json_reply(obj, 200, write.warnings)


def _patch(cluster: ClusterStore, kind: Kind, target: Target, request: Request) -> Reply:
    form = PATCHES.get(request.content_type)
    if form is None or (form == "strategic" and kind.custom):
        raise _unsupported(kind)
    write = options_of(request, target)
    if form == "apply":
        return _apply(cluster, kind, target, request, write)
    if "force" in request.query:
        causes = [errors.cause("FieldValueForbidden", "force",
                               "Forbidden: may not be specified for non-apply patch")]  # fmt: skip
        raise errors.invalid("meta.k8s.io", "PatchOptions", "", causes)
    body = request.parse()
    if form != "json" and not isinstance(body, dict):
        raise ApiError(400, "error decoding patch: the patch must be an object")
    obj = writes.patch(cluster, kind, key_of(kind, target), form, body, write)
    return json_reply(obj, 200, write.warnings)


def _unsupported(kind: Kind) -> ApiError:
    accepted = "application/json-patch+json, application/merge-patch+json, "
    if not kind.custom:
        accepted += "application/strategic-merge-patch+json, "
    accepted += "application/apply-patch+yaml, application/apply-patch+cbor"
    head = "the body of the request was in an unknown format - accepted media types include: "
    return ApiError(415, head + accepted)


def _apply(
    cluster: ClusterStore, kind: Kind, target: Target, request: Request, write: Write
) -> Reply:
    if not request.query.get("fieldManager"):
        causes = [errors.cause("FieldValueRequired", "fieldManager",
                               "Required value: is required for apply patch")]  # fmt: skip
        raise errors.invalid("meta.k8s.io", "PatchOptions", "", causes)
    missing = key_of(kind, target) not in cluster.table(kind.kind).records
    if missing and request.user is not None:
        authorise(request.user, replace(target, verb="create"))
    obj, created = writes.apply(cluster, kind, _body(kind, target, request), write)
    return json_reply(obj, 201 if created else 200, write.warnings)


def _delete_options(request: Request) -> lifecycle.Delete:
    body = request.parse()
    options: dict[str, Any] = body if isinstance(body, dict) else {}
    wanted = options.get("preconditions") or {}
    grace = options.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
    orphan = options.get("orphanDependents", request.truth("orphanDependents"))
    policy = options.get("propagationPolicy") or request.query.get("propagationPolicy")
    return lifecycle.Delete(
        uid=wanted.get("uid"),
        resource_version=wanted.get("resourceVersion"),
        propagation=policy or ("Orphan" if orphan else "Background"),
        grace=None if grace is None else int(grace),
        dry_run=request.dry_run or options.get("dryRun") == ["All"],
    )


def _delete(cluster: ClusterStore, kind: Kind, target: Target, request: Request) -> Reply:
    key = key_of(kind, target)
    obj = lifecycle.delete(cluster, kind, key, _delete_options(request))
    if key in cluster.table(kind.kind).records or kind.kind in (*RETURNS_OBJECT, "Namespace"):
        return json_reply(obj)
    details = errors.details_of(kind.group, kind.plural, target.name, uid=obj["metadata"]["uid"])
    return json_reply(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
    )


def _deletecollection(cluster: ClusterStore, kind: Kind, target: Target, request: Request) -> Reply:
    options = _delete_options(request)
    gone = []
    for record in deciding_records(cluster, kind, target, request):
        key = (record.namespace, record.name)
        if key in cluster.table(kind.kind).records:
            gone.append(lifecycle.delete(cluster, kind, key, options))
    meta = {"resourceVersion": str(cluster.rv)}
    listing = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": meta}
    return json_reply({**listing, "items": gone})


_VERBS = {
    "get": _get,
    "list": _list,
    "create": _create,
    "update": _update,
    "patch": _patch,
    "delete": _delete,
    "deletecollection": _deletecollection,
}


def _at(obj: Obj, path: str) -> Any:
    value: Any = obj
    for part in path.strip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _scale(cluster: ClusterStore, kind: Kind, target: Target, request: Request) -> Reply:
    key, paths = key_of(kind, target), kind.scale or {}
    if target.verb in ("update", "patch"):
        body = request.parse() or {}
        replicas = (body.get("spec") or {}).get("replicas")
        if not isinstance(replicas, int) or replicas < 0:
            text = f"Invalid value: {replicas}: must be an integer, zero or more"
            causes = [errors.cause("FieldValueInvalid", "spec.replicas", text)]
            raise errors.invalid("autoscaling", "Scale", target.name, causes)
        # A /scale write is tracked under the subresource "scale", as the real server does.
        writes.scale(cluster, kind, key, replicas, options_of(request, target))
    elif target.verb != "get":
        raise ApiError(405, "the server does not allow this method on the requested resource")
    obj = writes.record_at(cluster, kind, key).load(kind)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status = {"replicas": _at(obj, paths.get("statusReplicasPath", "")) or 0}
    if selector := _at(obj, paths.get("labelSelectorPath", "")):
        status["selector"] = selector
    return json_reply(
        {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {name: obj["metadata"][name] for name in kept if name in obj["metadata"]},
            "spec": {"replicas": _at(obj, paths["specReplicasPath"]) or 0},
            "status": status,
        }
    )
