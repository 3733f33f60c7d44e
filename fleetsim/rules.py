"""Rules of single built-in kinds: server-side defaults and immutable parts. No rule of KAITO lives
here.
"""

import base64
from typing import TYPE_CHECKING, Any

from fleetsim import errors
from fleetsim.kinds import Kind

if TYPE_CHECKING:
    from fleetsim.store import ClusterStore

Obj = dict[str, Any]


def on_create(cluster: "ClusterStore", kind: Kind, obj: Obj) -> None:
    """Defaults that the server fills in for a new object."""
    rule = _CREATE.get(kind.kind)
    if rule:
        rule(cluster, obj)


def on_update(cluster: "ClusterStore", kind: Kind, old: Obj, new: Obj) -> None:
    """Defaults and immutability of a change. Raises ApiError 422."""
    if kind.kind == "Secret":
        _secret(cluster, new)
    if kind.kind == "Service":
        _service_update(cluster, old, new)
    if kind.kind in ("ConfigMap", "Secret") and old.get("immutable"):
        _check_immutable(kind, old, new)
    if kind.kind == "StatefulSet":
        _check_statefulset(kind, old, new)


def _namespace(cluster: "ClusterStore", obj: Obj) -> None:
    meta = obj["metadata"]
    meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta["name"]
    obj["spec"] = {"finalizers": ["kubernetes"]}
    obj["status"] = {"phase": "Active"}


def _pod(cluster: "ClusterStore", obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    obj["status"] = {"phase": "Pending", "qosClass": "BestEffort"}


def _service(cluster: "ClusterStore", obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["type"] != "ExternalName" and not spec.get("clusterIP"):
        parts = [str(cluster.rng.randint(1, 254)) for _ in range(3)]
        spec["clusterIP"] = ".".join(["10", *parts])
    if spec["type"] != "ExternalName":
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
    _service_ports(spec)
    obj.setdefault("status", {"loadBalancer": {}})


def _service_ports(spec: Obj) -> None:
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))


def _service_update(cluster: "ClusterStore", old: Obj, new: Obj) -> None:
    spec = new.setdefault("spec", {})
    before = old.get("spec") or {}
    for key in ("clusterIP", "clusterIPs", "type", "sessionAffinity"):
        if key in before:
            spec.setdefault(key, before[key])
    if before.get("clusterIP") and spec["clusterIP"] != before["clusterIP"]:
        text = f'Invalid value: ["{spec["clusterIP"]}"]: may not change once set'
        raise errors.invalid(
            "", "Service", new["metadata"]["name"],
            [errors.cause("FieldValueInvalid", "spec.clusterIPs[0]", text)],
        )  # fmt: skip
    _service_ports(spec)


def _secret(cluster: "ClusterStore", obj: Obj) -> None:
    obj.setdefault("type", "Opaque")
    plain = obj.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


def _workload(cluster: "ClusterStore", obj: Obj) -> None:
    obj.setdefault("spec", {}).setdefault("replicas", 1)
    obj["status"] = {"replicas": 0}


def _quota(cluster: "ClusterStore", obj: Obj) -> None:
    hard = (obj.get("spec") or {}).get("hard") or {}
    obj["status"] = {"hard": hard, "used": dict.fromkeys(hard, "0")}


def _crd(cluster: "ClusterStore", obj: Obj) -> None:
    stamp = cluster.fleet.clock.stamp()
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": stamp,
        }
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    stored = [entry["name"] for entry in obj["spec"]["versions"] if entry.get("storage")]
    names = obj["spec"]["names"]
    obj["status"] = {"conditions": conditions, "acceptedNames": names, "storedVersions": stored}


_CREATE = {
    "Namespace": _namespace,
    "Pod": _pod,
    "Service": _service,
    "Secret": _secret,
    "StatefulSet": _workload,
    "Deployment": _workload,
    "ResourceQuota": _quota,
    "CustomResourceDefinition": _crd,
}


def _check_immutable(kind: Kind, old: Obj, new: Obj) -> None:
    """An immutable ConfigMap or Secret keeps its data and cannot become mutable again."""
    text = "Forbidden: field is immutable when `immutable` is set"
    causes = [
        errors.cause("FieldValueForbidden", field, text)
        for field in ("immutable", "data", "binaryData")
        if old.get(field) != new.get(field)
    ]
    if causes:
        raise errors.invalid("", kind.kind, new["metadata"]["name"], causes)


def _check_statefulset(kind: Kind, old: Obj, new: Obj) -> None:
    free = {"replicas", "ordinals", "template", "updateStrategy", "minReadySeconds",
            "persistentVolumeClaimRetentionPolicy", "revisionHistoryLimit"}  # fmt: skip
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if any(before.get(key) != after.get(key) for key in (before.keys() | after.keys()) - free):
        text = (
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', "
            "'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
        )
        raise errors.invalid(
            kind.group, kind.kind, new["metadata"]["name"],
            [errors.cause("FieldValueForbidden", "spec", text)],
        )  # fmt: skip
