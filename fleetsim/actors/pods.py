"""Writes a pod's status as a kubelet does: waiting, running, ready; and runs its later steps."""

from __future__ import annotations

from collections.abc import Callable

from fleetsim.actors.member import Member
from fleetsim.actors.objects import Obj, deleting, meta, set_condition

MANAGER = "kubelet"


def later(m: Member, pod: Obj, seconds: float, step: Callable[[Obj], None]) -> None:
    """Run a step of this very pod after simulated seconds, unless it is gone or going."""
    namespace, name, uid = meta(pod)["namespace"], meta(pod)["name"], meta(pod)["uid"]

    def go() -> None:
        current = m.store.get("Pod", namespace, name)
        if current is not None and meta(current)["uid"] == uid and not deleting(current):
            step(current)

    m.agenda.after(seconds, go)


def wait(
    m: Member, pod: Obj, reason: str, message: str, restarts: int = 0, last: Obj | None = None
) -> None:
    """Show the container waiting, for example in ImagePullBackOff."""
    state = {"waiting": {"reason": reason, "message": message}}
    phase = "Running" if restarts else "Pending"
    _show(m, pod, state, phase=phase, restarts=restarts, last=last)


def run(m: Member, pod: Obj, ready: bool, restarts: int = 0, last: Obj | None = None) -> None:
    """Show the container running, ready or not; the first time gives the pod its address."""
    if not pod["status"].get("podIP"):
        pod["status"]["podIP"] = m.next_ip()
        pod["status"]["podIPs"] = [{"ip": pod["status"]["podIP"]}]
    state = {"running": {"startedAt": m.stamp()}}
    _show(m, pod, state, phase="Running", ready=ready, restarts=restarts, last=last)


def _show(
    m: Member,
    pod: Obj,
    state: Obj,
    phase: str,
    ready: bool = False,
    restarts: int = 0,
    last: Obj | None = None,
) -> None:
    status = pod["status"]
    status["phase"] = phase
    status["containerStatuses"] = [
        {
            "name": container["name"],
            "image": container.get("image", ""),
            "imageID": f"{container.get('image', '')}@sha256:{'0' * 64}"
            if "running" in state
            else "",
            "ready": ready,
            "started": "running" in state,
            "restartCount": restarts,
            "state": state,
            "lastState": last or {},
        }
        for container in pod["spec"]["containers"]
    ]
    why = "" if ready else "ContainersNotReady"
    for kind in ("Ready", "ContainersReady"):
        set_condition(pod, kind, ready, why, "", m.stamp())
    m.store.update_status(pod, manager=MANAGER)
