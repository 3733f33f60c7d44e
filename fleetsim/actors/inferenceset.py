"""KAITO's InferenceSet controller: children by count, sums in the status, deletion without waiting.

It never changes a child for a changed template, and its status write passes admission like any
other: while that refuses, the status stands still.
"""

from __future__ import annotations

import copy

from fleetsim.actors import naming
from fleetsim.actors.member import Member
from fleetsim.actors.objects import (
    Obj,
    deleting,
    find_condition,
    is_true,
    key_of,
    labels,
    meta,
    owner_ref,
    set_condition,
)


def reconcile(m: Member, namespace: str, name: str) -> None:
    """One pass over an InferenceSet."""
    whole = m.store.get("InferenceSet", namespace, name)
    if whole is None:
        return
    if deleting(whole):
        _finalize(m, whole)
    elif not _prepare(m, whole):
        _scale(m, whole)
        _report(m, whole)


def _prepare(m: Member, whole: Obj) -> bool:
    """Finalizer, revision and Go's empty structs by a full PUT. True when something was written."""
    full = copy.deepcopy(whole)
    finalizers = meta(full).setdefault("finalizers", [])
    if naming.SET_FINALIZER not in finalizers:
        finalizers.append(naming.SET_FINALIZER)
    meta(full).setdefault("annotations", {}).setdefault("inferenceset.kaito.io/revision", "1")
    preset = full["spec"]["template"]["inference"].get("preset")
    if preset:
        preset.setdefault("presetOptions", {})
    if full == whole:
        return False
    m.store.update(full, manager=naming.MANAGER)
    return True


def children(m: Member, whole: Obj) -> list[Obj]:
    """Its Workspaces, those on their way out included."""
    namespace, name = key_of(whole)
    found = m.store.list("Workspace", namespace, {naming.CREATED_BY: name})
    uid = meta(whole)["uid"]
    return [c for c in found if any(r["uid"] == uid for r in meta(c).get("ownerReferences") or ())]


def _scale(m: Member, whole: Obj) -> None:
    wanted = whole["spec"].get("replicas", 1)
    alive = [child for child in children(m, whole) if not deleting(child)]
    for _ in range(len(alive), wanted):
        m.store.create(child_of(whole), manager=naming.MANAGER)
    surplus = len(alive) - wanted
    if surplus > 0:
        order = sorted(alive, key=lambda c: (is_true(c, "WorkspaceSucceeded"), meta(c)["name"]))
        for child in order[:surplus]:
            m.store.delete("Workspace", *key_of(child))


def child_of(whole: Obj) -> Obj:
    """The Workspace that one more replica would be; admission validates the same object."""
    namespace, name = key_of(whole)
    spec = copy.deepcopy(whole["spec"])
    template = spec["template"]
    carried = template.get("metadata") or {}
    own = dict(carried.get("labels") or {}) | {naming.CREATED_BY: name}
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {
            "generateName": f"{name}-",
            "namespace": namespace,
            "labels": own,
            "annotations": dict(carried.get("annotations") or {}),
            "ownerReferences": [owner_ref(whole)] if "uid" in meta(whole) else [],
        },
        "resource": {
            **(template.get("resource") or {}),
            "labelSelector": spec.get("labelSelector", {}),
        },
        "inference": template.get("inference") or {},
    }


def _report(m: Member, whole: Obj) -> None:
    new = copy.deepcopy(whole)
    found = [child for child in children(m, whole) if not deleting(child)]
    wanted = whole["spec"].get("replicas", 1)
    up = [child for child in found if is_true(child, "WorkspaceSucceeded")]
    measured = [child for child in found if is_true(child, "BenchmarkCompleted")]
    status = new.setdefault("status", {})
    status["replicas"], status["readyReplicas"] = wanted, len(up)
    status["selector"] = f"{naming.CREATED_BY}={meta(whole)['name']}"
    _conditions(m, new, wanted, len(up), len(measured))
    total = _total(up)
    if total is not None:
        status["performance"] = {"metrics": {"aggregatedPeakTokensPerMinute": total}}
    if status != whole.get("status"):
        m.store.update_status(new, manager=naming.MANAGER)


def _conditions(m: Member, new: Obj, wanted: int, up: int, measured: int) -> None:
    generation, stamp = meta(new)["generation"], m.stamp()
    ready = up >= wanted
    reason = "inferencesetReady" if ready else "inferencesetNotReady"
    text = "inferenceset is ready" if ready else f"{up}/{wanted} replicas are ready"
    set_condition(new, "InferenceSetReady", ready, reason, text, stamp, generation)
    done = measured >= wanted
    reason = "BenchmarkCompleted" if done else "BenchmarkPending"
    text = f"{measured}/{wanted} replicas benchmarked"
    set_condition(new, "BenchmarkCompleted", done, reason, text, stamp, generation)


def _total(up: list[Obj]) -> Obj | None:
    """Sum of the peak tokens of ready children; None while none has a figure."""
    metrics = [((c.get("status") or {}).get("performance") or {}).get("metrics") or {} for c in up]
    rows = [found["peakTokensPerMinute"] for found in metrics if "peakTokensPerMinute" in found]
    if not rows:
        return None
    return {**rows[0], "value": f"{sum(float(row['value']) for row in rows):.2f}"}


def _finalize(m: Member, whole: Obj) -> None:
    """Issue the children's deletes and let go: the set is gone before they are."""
    if naming.SET_FINALIZER not in meta(whole).get("finalizers", ()):
        return
    if find_condition(whole, "InferenceSetDeleting") is None:
        text, stamp = "inferenceset is being deleted", m.stamp()
        generation = meta(whole)["generation"]
        set_condition(
            whole, "InferenceSetDeleting", True, "inferencesetDeleted", text, stamp, generation
        )
        whole = m.store.update_status(whole, manager=naming.MANAGER)
    for child in children(m, whole):
        if not deleting(child):
            m.store.delete("Workspace", *key_of(child))
    meta(whole)["finalizers"].remove(naming.SET_FINALIZER)
    m.store.update(whole, manager=naming.MANAGER)


def owner_of(workspace: Obj) -> str:
    """The InferenceSet a Workspace was made by, or nothing."""
    return labels(workspace).get(naming.CREATED_BY, "")
