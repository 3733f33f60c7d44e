"""Plays the kubelet: starts containers, ends pods, and forgets pods whose node is gone.

A model pod walks image, weights, load, benchmark, serving; what it does now is in Member.progress.
"""

from __future__ import annotations

from fleetsim.actors import engine, loads, naming, pods, timing
from fleetsim.actors.member import Member, Progress
from fleetsim.actors.objects import Obj, deleting, labels, meta


def reconcile(m: Member, namespace: str, name: str) -> None:
    """Start a newly bound pod, or stop one that is to go."""
    pod = m.store.get("Pod", namespace, name)
    if pod is None:
        return
    uid = meta(pod)["uid"]
    if deleting(pod):
        grace = min(timing.POD_STOP, meta(pod).get("deletionGracePeriodSeconds", 0))
        m.once(f"{uid}/stop", grace, lambda: _stop(m, namespace, name, uid))
    elif not pod["spec"].get("nodeName"):
        if (namespace, name) not in m.pending:
            m.pending.add((namespace, name))
            m.enqueue("scheduler", "", "")
    elif _fresh(pod) and uid not in m.progress:
        _start(m, pod)


def _fresh(pod: Obj) -> bool:
    status = pod.get("status") or {}
    return status.get("phase", "Pending") == "Pending" and not status.get("containerStatuses")


def _stop(m: Member, namespace: str, name: str, uid: str) -> None:
    pod = m.store.get("Pod", namespace, name)
    if pod is None or meta(pod)["uid"] != uid:
        return
    m.store.delete("Pod", namespace, name, uid=uid, grace=0)


def forget(m: Member, pod: Obj) -> None:
    """Drop what was remembered of a pod that is gone."""
    uid = meta(pod)["uid"]
    m.progress.pop(uid, None)
    loads.forget(m, uid)
    m.pending.discard((meta(pod)["namespace"], meta(pod)["name"]))


def node_lost(m: Member, node: str) -> None:
    """Pods of a node that left the cluster are removed a little later."""
    for pod in m.store.list("Pod"):
        if pod["spec"].get("nodeName") == node:
            namespace, name, uid = meta(pod)["namespace"], meta(pod)["name"], meta(pod)["uid"]
            m.agenda.after(timing.POD_STOP, lambda n=namespace, p=name, u=uid: _stop(m, n, p, u))  # type: ignore[misc]


def _start(m: Member, pod: Obj) -> None:
    m.progress[meta(pod)["uid"]] = Progress("image", m.now())
    pod["status"]["hostIP"] = "10.1.0.4"
    pod["status"]["startTime"] = m.stamp()
    pods.wait(m, pod, "ContainerCreating", "")
    if naming.WORKSPACE in labels(pod):
        engine.begin(m, pod)
    else:
        pods.later(m, pod, timing.PLAIN_START, lambda now: pods.run(m, now, ready=True))
