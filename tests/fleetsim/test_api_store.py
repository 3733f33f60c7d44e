"""The store as actors use it: admission, subscriptions, seeds, pods behind Services, our CRDs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetsim import crds
from fleetsim.http.messages import Request
from fleetsim.http.podaccess import log_reply, proxy_reply
from fleetsim.http.targets import parse
from fleetsim.store import ApiError, ClusterStore, Fleet, Obj, Response
from tests.fleetsim.bodies import config_map, pod, workspace

UPSTREAM = Path(__file__).resolve().parents[3] / "shared" / "crds" / "kaito"


@pytest.fixture
def store() -> ClusterStore:
    """A cluster in this process."""
    return Fleet(seed=1, speed=1).add_cluster("here", crds.load())


def refuse(
    cluster: ClusterStore, operation: str, old: Obj | None, new: Obj | None, sub: str
) -> None:
    """An admission hook that refuses every Workspace."""
    if new is not None and new["kind"] == "Workspace":
        raise ApiError(400, f"denied {operation} {sub}".strip())


def test_admission_refuses_creates_dry_runs_and_applies(store: ClusterStore) -> None:
    store.admission.append(refuse)
    with pytest.raises(ApiError, match="denied CREATE"):
        store.create(workspace())
    with pytest.raises(ApiError, match="denied CREATE"):
        store.create(workspace(), dry_run=True)
    with pytest.raises(ApiError, match="denied CREATE"):
        store.apply(workspace(), manager="m")
    assert store.list("Workspace") == []


def test_admission_runs_on_update_and_on_status(store: ClusterStore) -> None:
    obj = store.create(workspace())
    store.admission.append(refuse)
    obj["status"] = {"state": "Ready"}
    with pytest.raises(ApiError, match="denied UPDATE status"):
        store.update_status(obj)
    with pytest.raises(ApiError, match="denied UPDATE"):
        store.patch("Workspace", "default", "p", {"metadata": {"labels": {"a": "b"}}})


def test_an_update_that_changes_nothing_asks_admission_and_keeps_the_version(
    store: ClusterStore,
) -> None:
    obj = store.create(workspace())
    assert store.update(obj)["metadata"] == obj["metadata"]
    store.admission.append(refuse)
    with pytest.raises(ApiError, match="denied UPDATE"):
        store.update(obj)


def test_what_a_hook_changes_in_its_copy_is_not_stored(store: ClusterStore) -> None:
    def meddle(c: ClusterStore, operation: str, old: Obj | None, new: Obj | None, sub: str) -> None:
        if new:
            new["data"] = {"changed": "yes"}

    store.admission.append(meddle)
    assert store.create(config_map())["data"] == {"a": "1"}


def test_subscriptions_replay_and_then_follow(store: ClusterStore) -> None:
    store.create(config_map("a"))
    mine = store.subscribe(["ConfigMap"])
    everyone = store.fleet.subscribe(["ConfigMap"], replay=False)
    store.create(config_map("b"))
    store.delete("ConfigMap", "default", "a")
    seen = [mine.get_nowait() for _ in range(mine.qsize())]
    assert [(event, obj["metadata"]["name"]) for event, obj in seen] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("DELETED", "a"),
    ]
    cluster, event, obj = everyone.get_nowait()
    assert (cluster, event, obj["metadata"]["name"]) == ("here", "ADDED", "b")


def test_copies_are_deep(store: ClusterStore) -> None:
    store.create(config_map())
    held = store.get("ConfigMap", "default", "c")
    assert held is not None
    held["data"]["a"] = "changed"
    again = store.get("ConfigMap", "default", "c")
    assert again is not None
    assert again["data"] == {"a": "1"}


def test_a_bound_pod_stops_gracefully_where_a_kubelet_plays(store: ClusterStore) -> None:
    store.fleet.graceful_pods = True
    store.create(pod("a", spec={"nodeName": "n1"}))
    store.create(pod("b"))
    marked = store.delete("Pod", "default", "a")
    store.delete("Pod", "default", "b")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert [each["metadata"]["name"] for each in store.list("Pod")] == ["a"]
    store.delete("Pod", "default", "a", grace=0)
    assert store.list("Pod") == []


def request_of(method: str, path: str, body: bytes = b"", **query: str) -> Request:
    """A Request that never touches a socket."""

    async def silent(*_: Any) -> Any:
        raise AssertionError("not used")

    return Request(method, path, query, {}, silent, silent, {}, body)


def echo(
    cluster: ClusterStore, each: Obj, port: int, method: str, path: str,
    headers: dict[str, str], body: bytes,
) -> Response:  # fmt: skip
    """A pod that says what it was asked."""
    return Response(200, f"{each['metadata']['name']}:{port} {method} {path} {body!r}".encode())


def through(
    store: ClusterStore, method: str = "GET", tail: str = "metrics", body: bytes = b""
) -> str:
    """What a request through Service `s` answers."""
    path = f"/api/v1/namespaces/default/services/s:80/proxy/{tail}"
    target = parse(method, path, watching=False)
    return proxy_reply(store, target, request_of(method, path, body)).body.decode()


def serve(store: ClusterStore, ready: dict[str, str]) -> None:
    """Service `s` over app=x and pods with these Ready conditions."""
    spec = {"selector": {"app": "x"}, "ports": [{"port": 80, "targetPort": 5000}]}
    meta = {"name": "s", "namespace": "default"}
    store.create({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    for name, value in ready.items():
        made = store.create(pod(name, metadata={"labels": {"app": "x"}}))
        conditions = [{"type": "Ready", "status": value}]
        made["status"] = {"phase": "Running", "podIP": "10.0.0.1", "conditions": conditions}
        store.update_status(made)
    store.proxy_handler = echo


def test_a_service_reaches_only_its_ready_pods(store: ClusterStore) -> None:
    serve(store, {"bad": "False", "good": "True"})
    assert {through(store) for _ in range(8)} == {"good:5000 GET /metrics b''"}
    assert through(store, "POST", "v1/x", b"{}") == "good:5000 POST /v1/x b'{}'"


def test_endpoint_slices_decide_where_there_are_any(store: ClusterStore) -> None:
    serve(store, {"a": "True", "b": "True"})
    endpoints = [
        {"conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": "b"}},
        {"conditions": {"ready": False}, "targetRef": {"kind": "Pod", "name": "a"}},
    ]
    meta = {"name": "s-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "s"}}
    version = "discovery.k8s.io/v1"
    made = store.create(
        {"apiVersion": version, "kind": "EndpointSlice", "metadata": meta, "endpoints": endpoints}
    )
    assert {through(store) for _ in range(8)} == {"b:5000 GET /metrics b''"}
    made["endpoints"][0]["conditions"]["ready"] = False
    store.update(made)
    with pytest.raises(ApiError, match="no endpoints available"):
        through(store)


def test_logs_come_from_the_handler(store: ClusterStore) -> None:
    serve(store, {"a": "True"})
    store.log_handler = lambda cluster, each, container, previous, tail: f"{container} {tail}"
    path = "/api/v1/namespaces/default/pods/a/log"
    found = log_reply(
        store, parse("GET", path, watching=False), request_of("GET", path, tailLines="5")
    )
    assert found.body == b"main 5"


def test_removing_the_last_ready_pod_closes_the_service(store: ClusterStore) -> None:
    serve(store, {"a": "True"})
    store.delete("Pod", "default", "a")
    with pytest.raises(ApiError, match='no endpoints available for service "s"'):
        through(store)


def shape(schema: dict[str, Any], path: str = "") -> dict[str, tuple[Any, ...]]:
    """Path -> what decides merging, defaults and checks, for every declared field below."""
    found: dict[str, tuple[Any, ...]] = {}
    for name, child in (schema.get("properties") or {}).items():
        if not path and name in ("apiVersion", "kind", "metadata"):
            continue
        here = f"{path}.{name}"
        facts = ("default", "x-kubernetes-map-type", "x-kubernetes-list-type")
        required = sorted(schema.get("required") or ())
        found[here] = (name in required, *(child.get(fact) for fact in facts))
        found |= shape(child, here)
        if isinstance(child.get("items"), dict):
            found |= shape(child["items"], f"{here}[]")
    return found


@pytest.mark.parametrize("name", ["workspace", "inferenceset"])
def test_our_definitions_agree_with_upstreams_on_what_they_declare(name: str) -> None:
    path = UPSTREAM / f"kaito.sh_{name}s.yaml"
    if not path.exists():
        pytest.skip("the upstream CRDs are not on this machine")
    (ours,) = crds.load(name)
    theirs = yaml.safe_load(path.read_text())
    (version,) = [each for each in theirs["spec"]["versions"] if each["name"] == "v1beta1"]
    mine = shape(ours["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    upstream = shape(version["schema"]["openAPIV3Schema"])
    assert {path: upstream.get(path) for path in mine} == mine
    assert ours["spec"]["versions"][0]["subresources"] == version["subresources"]
