"""Plays the StatefulSet controller: one pod per ordinal, or an event that says why there is none.

Namespace policy, quotas and over-long names stop pods here, and KAITO reports none of that.
"""

from __future__ import annotations

import copy

from fleetsim.actors.member import Member
from fleetsim.actors.objects import (
    GPU,
    Obj,
    deleting,
    finished,
    gpus_of,
    key_of,
    labels,
    meta,
    owner_ref,
    pod_ready,
    quantity,
)
from fleetsim.store import ApiError

MANAGER = "kube-controller-manager"
ENFORCE = "pod-security.kubernetes.io/enforce"
LONGEST_NAME = 52


def reconcile(m: Member, namespace: str, name: str) -> None:
    """Create missing pods, delete surplus ones, report the status."""
    workload = m.store.get("StatefulSet", namespace, name)
    if workload is None or deleting(workload):
        return
    pods = {meta(pod)["name"]: pod for pod in _owned(m, workload)}
    wanted = workload["spec"].get("replicas", 1)
    for ordinal in range(wanted):
        if f"{name}-{ordinal}" not in pods:
            _create(m, workload, ordinal)
    for pod in pods.values():
        surplus = int(meta(pod)["name"].rsplit("-", 1)[1]) >= wanted
        if (surplus or finished(pod)) and not deleting(pod):
            m.store.delete("Pod", namespace, meta(pod)["name"])
    _report(m, workload, list(pods.values()))


def _owned(m: Member, workload: Obj) -> list[Obj]:
    uid = meta(workload)["uid"]
    chosen = workload["spec"]["selector"]["matchLabels"]
    pods = m.store.list("Pod", meta(workload)["namespace"], chosen)
    return [p for p in pods if any(r["uid"] == uid for r in meta(p).get("ownerReferences") or ())]


def _report(m: Member, workload: Obj, pods: list[Obj]) -> None:
    ready = sum(1 for pod in pods if pod_ready(pod))
    status = {
        "observedGeneration": meta(workload)["generation"],
        "replicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "currentReplicas": len(pods),
    }
    if workload.get("status") != status:
        workload["status"] = status
        m.store.update_status(workload, manager=MANAGER)


def _create(m: Member, workload: Obj, ordinal: int) -> None:
    pod = _pod(workload, ordinal)
    try:
        refusal = _refusal(m, workload, pod)
        if not refusal:
            m.store.create(pod, manager=MANAGER)
            return
    except ApiError as error:
        refusal = error.message
    name = meta(workload)["name"]
    text = f"create Pod {name}-{ordinal} in StatefulSet {name} failed error: {refusal}"
    m.event(workload, "FailedCreate", text, warning=True)


def _pod(workload: Obj, ordinal: int) -> Obj:
    namespace, name = key_of(workload)
    template = copy.deepcopy(workload["spec"]["template"])
    own = {
        "apps.kubernetes.io/pod-index": str(ordinal),
        "statefulset.kubernetes.io/pod-name": f"{name}-{ordinal}",
        "controller-revision-hash": f"{name}-{meta(workload)['uid'][:8]}"[:63],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-{ordinal}",
            "namespace": namespace,
            "labels": (template.get("metadata") or {}).get("labels", {}) | own,
            "ownerReferences": [owner_ref(workload)],
        },
        "spec": template["spec"] | {"hostname": f"{name}-{ordinal}"},
    }


def _refusal(m: Member, workload: Obj, pod: Obj) -> str:
    """Why the API server would not take this pod; empty when it would."""
    namespace, name = key_of(pod)
    if len(meta(workload)["name"]) > LONGEST_NAME:
        text = "metadata.labels: Invalid value: must be no more than 63 bytes"
        return f'Pod "{name}" is invalid: {text}'
    found = m.store.get("Namespace", None, namespace)
    if found and labels(found).get(ENFORCE) == "restricted":
        return (
            f'pods "{name}" is forbidden: violates PodSecurity "restricted:latest": '
            "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, "
            "seccompProfile"
        )
    return _over_quota(m, pod)


def _over_quota(m: Member, pod: Obj) -> str:
    namespace, name = key_of(pod)
    resource = f"requests.{GPU}"
    for quota in m.store.list("ResourceQuota", namespace):
        hard = (quota.get("spec") or {}).get("hard") or {}
        if resource not in hard:
            continue
        used = sum(gpus_of(p) for p in m.store.list("Pod", namespace) if not finished(p))
        if used + gpus_of(pod) > quantity(hard[resource]):
            asked, limit = gpus_of(pod), hard[resource]
            return (
                f'pods "{name}" is forbidden: exceeded quota: {meta(quota)["name"]}, requested: '
                f"{resource}={asked}, used: {resource}={used}, limited: {resource}={limit}"
            )
    return ""
