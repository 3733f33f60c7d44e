"""Merge schemas of the built-in kinds: only what server-side apply and strategic merge need to
know.

Lists by key, sets and atomic parts; everything not named is a granular map, a scalar or an atomic
list. Facts are those of the Kubernetes API reference; validation of built-in kinds is not modelled.
"""

from typing import Any

Schema = dict[str, Any]


def _obj(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "x-kubernetes-preserve-unknown-fields": True,
    }


def _by(*keys: str, **properties: Schema) -> Schema:
    items = _obj(**properties)
    return {
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
    }


def _defaulted(schema: Schema, key: str, value: str) -> Schema:
    """A list whose key has a default, such as the protocol of a port."""
    schema["items"]["properties"][key] = {"type": "string", "default": value}
    return schema


_SET: Schema = {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}
_ATOMIC: Schema = {
    "type": "object",
    "x-kubernetes-map-type": "atomic",
    "x-kubernetes-preserve-unknown-fields": True,
}
_CONDITIONS = _by("type")

METADATA: Schema = {
    "type": "object",
    "properties": {
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": _SET,
        "ownerReferences": _by("uid"),
    },
    "x-kubernetes-preserve-unknown-fields": True,
}

_CONTAINER = {
    "ports": _defaulted(_by("containerPort", "protocol"), "protocol", "TCP"),
    "env": _by("name"),
    "volumeMounts": _by("mountPath"),
}
_POD_SPEC = _obj(
    containers=_by("name", **_CONTAINER),
    initContainers=_by("name", **_CONTAINER),
    volumes=_by("name"),
    imagePullSecrets=_by("name"),
    nodeSelector=_ATOMIC,
    topologySpreadConstraints=_by("topologyKey", "whenUnsatisfiable"),
)
_TEMPLATE = _obj(metadata=METADATA, spec=_POD_SPEC)
_WORKLOAD = _obj(
    spec=_obj(selector=_ATOMIC, template=_TEMPLATE), status=_obj(conditions=_CONDITIONS)
)

_TYPES: dict[str, Schema] = {
    "Pod": _obj(spec=_POD_SPEC, status=_obj(conditions=_CONDITIONS)),
    "Deployment": _WORKLOAD,
    "StatefulSet": _WORKLOAD,
    "DaemonSet": _WORKLOAD,
    "Service": _obj(
        spec=_obj(selector=_ATOMIC, ports=_defaulted(_by("port", "protocol"), "protocol", "TCP")),
        status=_obj(conditions=_CONDITIONS, loadBalancer=_obj()),
    ),
    "Node": _obj(
        spec=_obj(podCIDRs=_SET),
        status=_obj(conditions=_CONDITIONS, addresses=_by("type")),
    ),
    "Namespace": _obj(status=_obj(conditions=_CONDITIONS)),
    "ServiceAccount": _obj(secrets=_by("name")),
    "ValidatingWebhookConfiguration": _obj(webhooks=_by("name")),
    "CustomResourceDefinition": _obj(status=_obj(conditions=_CONDITIONS)),
}


def schema_of(kind: str) -> Schema:
    """The merge schema of a built-in kind (a bare granular object where nothing is known)."""
    return with_metadata(_TYPES.get(kind) or _obj())


def with_metadata(schema: Schema) -> Schema:
    """The schema with the merge rules of metadata, which are the same for every kind."""
    return {**schema, "properties": {**(schema.get("properties") or {}), "metadata": METADATA}}
