"""Plays the scheduler: binds pods to nodes with room, or says why there is none.

Nothing is reserved: whoever comes first gets the GPUs, so two replicas of several nodes can block
each other, as on a real cluster.
"""

from __future__ import annotations

from collections import Counter

from fleetsim.actors.member import Member
from fleetsim.actors.objects import (
    GPU,
    Obj,
    deleting,
    find_condition,
    finished,
    gpus_of,
    labels,
    meta,
    node_ready,
    quantity,
    set_condition,
)

MANAGER = "kube-scheduler"


def reconcile(m: Member, _namespace: str, _name: str) -> None:
    """Try every pod without a node, oldest first."""
    waiting = _waiting(m)
    if not waiting:
        return
    nodes = sorted(m.store.list("Node"), key=lambda node: str(meta(node)["name"]))
    used = used_gpus(m)
    for pod in waiting:
        reasons: Counter[str] = Counter()
        for node in nodes:
            why = _obstacle(pod, node, used)
            if not why:
                _bind(m, pod, node)
                used[meta(node)["name"]] += gpus_of(pod)
                break
            reasons[why] += 1
        else:
            _unschedulable(m, pod, len(nodes), reasons)


def _waiting(m: Member) -> list[Obj]:
    found = []
    for namespace, name in sorted(m.pending):
        pod = m.store.get("Pod", namespace, name)
        if pod is None or pod["spec"].get("nodeName") or deleting(pod):
            m.pending.discard((namespace, name))
        else:
            found.append(pod)
    return sorted(found, key=_age)


def _age(pod: Obj) -> tuple[str, str, str]:
    return meta(pod)["creationTimestamp"], meta(pod)["namespace"], meta(pod)["name"]


def used_gpus(m: Member) -> Counter[str]:
    """GPUs held per node; terminating pods still hold theirs."""
    used: Counter[str] = Counter()
    for pod in m.store.list("Pod"):
        node = pod["spec"].get("nodeName")
        if node and not finished(pod):
            used[node] += gpus_of(pod)
    return used


def _obstacle(pod: Obj, node: Obj, used: Counter[str]) -> str:
    if not node_ready(node):
        return "node(s) were not ready"
    if node["spec"].get("unschedulable"):
        return "node(s) were unschedulable"
    if not _selected(pod, node):
        return "node(s) didn't match Pod's node affinity/selector"
    taint = next((t for t in node["spec"].get("taints") or () if not _tolerated(pod, t)), None)
    if taint:
        return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    free = quantity(node["status"]["allocatable"].get(GPU)) - used[meta(node)["name"]]
    if gpus_of(pod) > free:
        return f"Insufficient {GPU}"
    return ""


def _selected(pod: Obj, node: Obj) -> bool:
    found = labels(node)
    if not (pod["spec"].get("nodeSelector") or {}).items() <= found.items():
        return False
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms")
    return not terms or any(_term_holds(term, found) for term in terms)


def _term_holds(term: Obj, found: dict[str, str]) -> bool:
    return all(_row_holds(row, found) for row in term.get("matchExpressions") or ())


def _row_holds(row: Obj, found: dict[str, str]) -> bool:
    there = row["key"] in found
    if row["operator"] == "Exists":
        return there
    if row["operator"] == "DoesNotExist":
        return not there
    inside = there and found[row["key"]] in row.get("values", ())
    return inside if row["operator"] == "In" else not inside


def _tolerated(pod: Obj, taint: Obj) -> bool:
    if taint.get("effect") == "PreferNoSchedule":
        return True
    return any(_tolerates(t, taint) for t in pod["spec"].get("tolerations") or ())


def _tolerates(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("value", "") == taint.get("value", ""))


def _bind(m: Member, pod: Obj, node: Obj) -> None:
    pod["spec"]["nodeName"] = meta(node)["name"]
    bound = m.store.update(pod, manager=MANAGER)
    set_condition(bound, "PodScheduled", True, "", "", m.stamp())
    m.store.update_status(bound, manager=MANAGER)
    m.pending.discard((meta(pod)["namespace"], meta(pod)["name"]))
    where = f"{meta(pod)['namespace']}/{meta(pod)['name']}"
    m.event(pod, "Scheduled", f"Successfully assigned {where} to {meta(node)['name']}")


def _unschedulable(m: Member, pod: Obj, total: int, reasons: Counter[str]) -> None:
    counts = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items()))
    text = (
        f"0/{total} nodes are available: {counts}."
        if total
        else "no nodes available to schedule pods"
    )
    old = find_condition(pod, "PodScheduled")
    if old and old["message"] == text:
        return
    set_condition(pod, "PodScheduled", False, "Unschedulable", text, m.stamp())
    m.store.update_status(pod, manager=MANAGER)
    m.event(pod, "FailedScheduling", text, warning=True)
