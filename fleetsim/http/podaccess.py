"""pods/log, pods/proxy and services/proxy: requests that end in a pod, which actors answer.

A Service reaches only ready pods that its EndpointSlices name (or, without slices, that its
selector finds).
"""

from typing import Any

from fleetsim import errors
from fleetsim.errors import ApiError
from fleetsim.http.messages import Reply, Request
from fleetsim.http.targets import Target
from fleetsim.selectors import label_matcher
from fleetsim.store import ClusterStore, Obj


def log_reply(cluster: ClusterStore, target: Target, request: Request) -> Reply:
    """The text of a container's log. Raises ApiError 404, 400 (not started)."""
    pod = _pod(cluster, target.namespace, target.name)
    containers = [item["name"] for item in pod.get("spec", {}).get("containers", ())]
    container = request.query.get("container") or (containers[0] if containers else "")
    if containers and container not in containers:
        raise ApiError(400, f"container {container} is not valid for pod {target.name}")
    if pod.get("status", {}).get("phase") in (None, "Pending"):
        text = (
            f'container "{container}" in pod "{target.name}" is waiting to start: ContainerCreating'
        )
        raise ApiError(400, text)
    handler = cluster.log_handler or cluster.fleet.log_handler
    tail = request.query.get("tailLines")
    lines = int(tail) if tail and tail.isdigit() else None
    text = handler(cluster, pod, container, request.truth("previous"), lines) if handler else ""
    return Reply(200, text.encode(), "text/plain")


def proxy_reply(cluster: ClusterStore, target: Target, request: Request) -> Reply:
    """Forward to a pod, directly or through a Service. Raises ApiError 404, 503."""
    words = target.name.split(":")  # name, name:port or scheme:name:port
    name = words[1] if len(words) == 3 else words[0]
    port = words[-1] if len(words) > 1 else ""
    if target.plural == "services":
        pod, number = _through_service(cluster, target.namespace, name, port)
    else:
        pod = _pod(cluster, target.namespace, name)
        number = int(port) if port.isdigit() else 80
        if not is_ready(pod) and not pod.get("status", {}).get("podIP"):
            raise ApiError(503, f"pod {name} is not reachable: no address")
    handler = cluster.proxy_handler or cluster.fleet.proxy_handler
    if handler is None:
        raise ApiError(503, "error trying to reach service: dial tcp: connect: connection refused")
    query = request.scope.get("query_string", b"").decode("latin-1")
    path = f"/{target.rest}?{query}" if query else f"/{target.rest}"
    answer = handler(cluster, pod, number, request.method, path, request.headers, request.body)
    body = b"" if answer.pieces else answer.body
    return Reply(answer.status, body, answer.content_type, {}, answer.pieces, answer.pause)


def _pod(cluster: ClusterStore, namespace: str, name: str) -> Obj:
    pod = cluster.get("Pod", namespace, name)
    if pod is None:
        raise errors.not_found("", "pods", name)
    return pod


def is_ready(pod: Obj) -> bool:
    """Whether a pod's Ready condition is True and it is not ending."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _through_service(
    cluster: ClusterStore, namespace: str, name: str, port: str
) -> tuple[Obj, int]:
    service = cluster.get("Service", namespace, name)
    if service is None:
        raise errors.not_found("", "services", name)
    entry = _port(service, port, name)
    pods = _endpoints(cluster, service)
    if not pods:
        raise ApiError(503, f'no endpoints available for service "{name}"')
    pod = cluster.rng.choice(pods)
    wanted = entry.get("targetPort", entry["port"])
    return pod, wanted if isinstance(wanted, int) else _named_port(pod, str(wanted), entry["port"])


def _port(service: Obj, port: str, name: str) -> dict[str, Any]:
    ports: list[dict[str, Any]] = service.get("spec", {}).get("ports") or []
    for entry in ports:
        if (not port and len(ports) == 1) or port in (entry.get("name"), str(entry["port"])):
            return entry
    raise ApiError(503, f'no service port "{port}" found for service "{name}"')


def _named_port(pod: Obj, name: str, fallback: int) -> int:
    for container in pod.get("spec", {}).get("containers", ()):
        for port in container.get("ports") or ():
            if port.get("name") == name:
                return int(port["containerPort"])
    return fallback


def _endpoints(cluster: ClusterStore, service: Obj) -> list[Obj]:
    """The ready pods behind a Service."""
    meta = service["metadata"]
    slices = cluster.list(
        "EndpointSlice", meta["namespace"], {"kubernetes.io/service-name": meta["name"]}
    )
    if slices:
        return _pods_of_slices(cluster, meta["namespace"], slices)
    selector = service.get("spec", {}).get("selector")
    if not selector:
        return []
    matches = label_matcher(selector)
    pods = cluster.list("Pod", meta["namespace"])
    return [pod for pod in pods if matches(pod["metadata"].get("labels") or {}) and is_ready(pod)]


def _pods_of_slices(cluster: ClusterStore, namespace: str, slices: list[Obj]) -> list[Obj]:
    found = []
    for each in slices:
        for endpoint in each.get("endpoints") or ():
            if not (endpoint.get("conditions") or {}).get("ready", True):
                continue
            pod = cluster.get("Pod", namespace, (endpoint.get("targetRef") or {}).get("name", ""))
            if pod is not None:
                found.append(pod)
    return found
