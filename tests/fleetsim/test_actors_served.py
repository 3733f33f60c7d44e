"""The whole simulator over HTTPS: what a client sees of a deploy, from apply to answer to gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.actorbench import NAMESPACE, byo, config, inference_set, service
from tests.simfleet import SimCluster, SimFleet

APPLY = "application/apply-patch+yaml"
SETS = f"/apis/kaito.sh/v1beta1/namespaces/{NAMESPACE}/inferencesets"
SELECTOR = {"inferenceset.kaito.sh/created-by": "chat", "apps.kubernetes.io/pod-index": "0"}
Obj = dict[str, Any]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    """A simulator whose actors run two hundred times as fast."""
    started = SimFleet.start(tmp_path_factory.mktemp("acting"), speed=200)
    yield started
    started.stop()


def until(holds: Callable[[], Any], seconds: float = 20) -> Any:
    """The first true value within the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def apply(cluster: SimCluster, path: str, body: Obj) -> tuple[int, Any]:
    name = body["metadata"]["name"]
    query = "?fieldManager=fleetportal&force=true"
    status, answer, _ = cluster.request("PATCH", f"{path}/{name}{query}", body, content_type=APPLY)
    return status, answer


def apply_all(cluster: SimCluster) -> None:
    """Namespace, ConfigMap, InferenceSet, Service, in the order a portal keeps."""
    core = f"/api/v1/namespaces/{NAMESPACE}"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    assert apply(cluster, "/api/v1/namespaces", namespace)[0] == 201
    assert apply(cluster, f"{core}/configmaps", config(served_model_name="assist"))[0] == 201
    body = inference_set(replicas=1, config="cfg")
    first = apply(cluster, SETS, body)
    assert first[0] in (201, 400), first
    until(lambda: apply(cluster, SETS, body)[0] in (200, 201))
    assert apply(cluster, f"{core}/services", service("assist", SELECTOR))[0] == 201


def chat(cluster: SimCluster, model: str) -> tuple[int, Any]:
    path = f"/api/v1/namespaces/{NAMESPACE}/services/assist:80/proxy/v1/chat/completions"
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    status, answer, _ = cluster.request("POST", path, body)
    return status, answer


def ready(cluster: SimCluster) -> bool:
    status = cluster.get(f"{SETS}/chat").get("status") or {}
    return bool(status.get("readyReplicas") == 1)


def test_a_deploy_is_served_through_our_service_and_leaves_nothing_behind(fleet: SimFleet) -> None:
    cluster = fleet.add_cluster(**byo())
    apply_all(cluster)
    assert chat(cluster, "assist")[0] == 503
    until(lambda: ready(cluster))
    status, answer = until(lambda: (found := chat(cluster, "assist"))[0] == 200 and found)
    assert status == 200 and "assist" in answer["choices"][0]["message"]["content"]
    assert chat(cluster, "chat")[0] == 404
    assert cluster.request("DELETE", f"{SETS}/chat")[0] == 200
    until(lambda: not cluster.objects("Pod", NAMESPACE))
    assert cluster.objects("Workspace") == [] and chat(cluster, "assist")[0] == 503


def test_the_first_apply_after_its_config_map_is_refused_for_a_moment(fleet: SimFleet) -> None:
    cluster = fleet.add_cluster(**byo(cache_lag=0.5))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    apply(cluster, "/api/v1/namespaces", namespace)
    apply(cluster, f"/api/v1/namespaces/{NAMESPACE}/configmaps", config())
    status, answer = apply(cluster, SETS, inference_set(config="cfg"))
    assert status == 400 and "not found in namespace" in answer["message"]
    until(lambda: apply(cluster, SETS, inference_set(config="cfg"))[0] == 201, 5)


def test_settings_and_foreign_edits_act_on_a_running_cluster(fleet: SimFleet) -> None:
    cluster = fleet.add_cluster(**byo())
    apply_all(cluster)
    base = f"/_sim/clusters/{cluster.name}"
    patch = {"spec": {"replicas": 2}}
    target = {"kind": "InferenceSet", "namespace": NAMESPACE, "name": "chat", "patch": patch}
    fleet.control("POST", f"{base}/edit", target)
    until(lambda: len(cluster.objects("Workspace", NAMESPACE)) == 2)
    entries = cluster.objects("InferenceSet", NAMESPACE)[0]["metadata"]["managedFields"]
    assert "kubectl-edit" in {entry["manager"] for entry in entries}
    fleet.control("POST", f"{base}/settings", {"webhook_down": True})
    assert apply(cluster, SETS, inference_set("other"))[0] == 500


def test_the_story_is_served_with_its_nine_clusters(tmp_path: Path) -> None:
    fleet = SimFleet.start(tmp_path / "story", scenario="story", speed=200)
    try:
        clusters = {cluster.name: cluster for cluster in fleet.clusters()}
        assert len(clusters) == 9
        assert clusters["stg-weu"].info["quotas"][0]["nodes"] == 4
        assert clusters["prod-apse1"].info["cordoned"] is True
        status, _, _ = clusters["prod-apse1"].request("GET", "/apis/kaito.sh/v1beta1/inferencesets")
        assert status == 404
    finally:
        fleet.stop()
