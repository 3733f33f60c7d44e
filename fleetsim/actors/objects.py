"""Small readers and builders of Kubernetes objects that every actor needs. Pure dict work."""

from __future__ import annotations

import hashlib
from typing import Any

Obj = dict[str, Any]
GPU = "nvidia.com/gpu"


def meta(obj: Obj) -> Obj:
    """metadata, which every object has."""
    found: Obj = obj["metadata"]
    return found


def labels(obj: Obj) -> dict[str, str]:
    """Labels; empty when there are none."""
    return meta(obj).get("labels") or {}


def notes_of(obj: Obj) -> dict[str, str]:
    """Annotations; empty when there are none."""
    return meta(obj).get("annotations") or {}


def key_of(obj: Obj) -> tuple[str, str]:
    """(namespace or "", name)."""
    return meta(obj).get("namespace", ""), meta(obj)["name"]


def deleting(obj: Obj) -> bool:
    """Whether deletion was asked for and something (finalizer, grace) still holds the object."""
    return "deletionTimestamp" in meta(obj)


def owner_ref(owner: Obj) -> Obj:
    """A controller ownerReference."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta(owner)["name"],
        "uid": meta(owner)["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def digest(text: str, length: int) -> str:
    """The first hex digits of a SHA-256: for names that must repeat."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def find_condition(obj: Obj, kind: str) -> Obj | None:
    """The condition of a type, or None."""
    rows: list[Obj] = (obj.get("status") or {}).get("conditions") or []
    return next((row for row in rows if row["type"] == kind), None)


def is_true(obj: Obj, kind: str) -> bool:
    """Whether a condition is there and True."""
    row = find_condition(obj, kind)
    return row is not None and row["status"] == "True"


def set_condition(
    obj: Obj,
    kind: str,
    value: bool,
    reason: str,
    message: str,
    stamp: str,
    generation: int | None = None,
) -> None:
    """Write a condition into the status; the transition time moves only when True/False changes."""
    rows: list[Obj] = obj.setdefault("status", {}).setdefault("conditions", [])
    old = next((row for row in rows if row["type"] == kind), None)
    status = "True" if value else "False"
    since = old["lastTransitionTime"] if old and old["status"] == status else stamp
    row: Obj = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
    }
    if generation is not None:
        row["observedGeneration"] = generation
    if old is None:
        rows.append(row)
    else:
        rows[rows.index(old)] = row


def node_ready(node: Obj) -> bool:
    """Whether the kubelet of a node reports Ready."""
    return is_true(node, "Ready")


def pod_ready(pod: Obj) -> bool:
    """Whether a pod may get traffic by its own word."""
    return is_true(pod, "Ready")


def quantity(text: Any) -> int:
    """A whole-number quantity such as a GPU count; 0 when absent."""
    return int(text or 0)


def gpus_of(pod: Obj) -> int:
    """GPUs that the containers of a pod hold."""
    total = 0
    for container in pod["spec"].get("containers", ()):
        wanted = container.get("resources") or {}
        limit = (wanted.get("requests") or {}).get(GPU) or (wanted.get("limits") or {}).get(GPU)
        total += quantity(limit)
    return total


def finished(pod: Obj) -> bool:
    """Whether a pod has ended and holds nothing."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
