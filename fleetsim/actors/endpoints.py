"""Plays the endpoint controller: which pods a Service reaches, and therefore who gets clients.

A pod that some Service other than KAITO's own sends to carries background load.
"""

from __future__ import annotations

from typing import Any

from fleetsim.actors import loads, naming
from fleetsim.actors.member import Member
from fleetsim.actors.objects import Obj, deleting, digest, labels, meta, owner_ref, pod_ready
from fleetsim.store import ApiError

MANAGER = "endpointslice-controller"
SERVICE_LABEL = "kubernetes.io/service-name"


def services_of(m: Member, pod: Obj) -> list[str]:
    """Names of the Services whose selector matches a pod."""
    found = labels(pod)
    services = m.store.list("Service", meta(pod)["namespace"])
    return [meta(s)["name"] for s in services if _matches(s, found)]


def _matches(service: Obj, found: dict[str, str]) -> bool:
    selector: dict[str, str] = (service.get("spec") or {}).get("selector") or {}
    return bool(selector) and selector.items() <= found.items()


def reconcile(m: Member, namespace: str, name: str) -> None:
    """Bring the EndpointSlice of a Service up to date."""
    service = m.store.get("Service", namespace, name)
    if service is None:
        _recount(m, namespace)
        return
    if deleting(service) or not (service.get("spec") or {}).get("selector"):
        return
    wanted = _slice(m, service)
    old = m.store.get("EndpointSlice", namespace, meta(wanted)["name"])
    try:
        if old is None:
            m.store.create(wanted, manager=MANAGER)
        elif _differs(old, wanted):
            m.store.update(
                {**old, **{k: wanted[k] for k in ("endpoints", "ports")}}, manager=MANAGER
            )
    except ApiError as error:
        if error.code != 403:  # a terminating namespace takes nothing new
            raise
    _recount(m, namespace)


def _differs(old: Obj, wanted: Obj) -> bool:
    return any(old.get(key) != wanted[key] for key in ("endpoints", "ports"))


def _slice(m: Member, service: Obj) -> Obj:
    namespace, name = meta(service)["namespace"], meta(service)["name"]
    pods = m.store.list("Pod", namespace, service["spec"]["selector"])
    reached = [pod for pod in pods if (pod.get("status") or {}).get("podIP")]
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{digest(meta(service)['uid'], 5)}",
            "namespace": namespace,
            "labels": {SERVICE_LABEL: name},
            "ownerReferences": [owner_ref(service)],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(pod, always) for pod in reached],
        "ports": [_port(port, reached) for port in service["spec"].get("ports") or ()],
    }


def _endpoint(pod: Obj, always: bool) -> Obj:
    serving, going = pod_ready(pod), deleting(pod)
    ready = always or (serving and not going)
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": serving, "terminating": going},
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {
            "kind": "Pod",
            "name": meta(pod)["name"],
            "namespace": meta(pod)["namespace"],
            "uid": meta(pod)["uid"],
        },
    }


def _port(port: Obj, pods: list[Obj]) -> Obj:
    wanted: Any = port.get("targetPort", port["port"])
    number = wanted if isinstance(wanted, int) else _named(pods, str(wanted))
    return {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}


def _named(pods: list[Obj], name: str) -> int | None:
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for port in container.get("ports") or ():
                if port.get("name") == name:
                    return int(port["containerPort"])
    return None


def _recount(m: Member, namespace: str) -> None:
    """Start and stop the background load of the namespace's model pods."""
    sent = _sent_to(m, namespace)
    for pod in m.store.list("Pod", namespace, naming.WORKSPACE):
        loads.send(m, meta(pod)["uid"], meta(pod)["uid"] in sent)


def _sent_to(m: Member, namespace: str) -> set[str]:
    own = {
        meta(service)["name"]
        for service in m.store.list("Service", namespace)
        if naming.WORKSPACE in labels(service)
    }
    return {
        endpoint["targetRef"]["uid"]
        for each in m.store.list("EndpointSlice", namespace)
        if labels(each).get(SERVICE_LABEL) not in own
        for endpoint in each.get("endpoints") or ()
        if endpoint["conditions"]["ready"]
    }
