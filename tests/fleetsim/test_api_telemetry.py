"""Telemetry over the wire: pod and service proxies, rights, streaming completions, the story."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.actorbench import NAMESPACE, byo, inference_set, service
from tests.simfleet import SimCluster, SimFleet

PROMETHEUS = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1"
SELECTOR = {"inferenceset.kaito.sh/created-by": "chat", "apps.kubernetes.io/pod-index": "0"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    found = SimFleet.start(tmp_path_factory.mktemp("telemetry"), speed=200)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def cluster(fleet: SimFleet) -> SimCluster:
    """One cluster that serves `chat`."""
    found = fleet.add_cluster(**byo(exporters=True))
    found.request("POST", "/api/v1/namespaces", {
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE},
    })  # fmt: skip
    sets = f"/apis/kaito.sh/v1beta1/namespaces/{NAMESPACE}/inferencesets"
    assert found.request("POST", sets, inference_set(replicas=1))[0] == 201
    services = f"/api/v1/namespaces/{NAMESPACE}/services"
    assert found.request("POST", services, service("assist", SELECTOR))[0] == 201
    end = time.monotonic() + 30
    while chat(found)[0] != 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def chat(cluster: SimCluster, **body: Any) -> tuple[int, Any, dict[str, str]]:
    path = f"/api/v1/namespaces/{NAMESPACE}/services/assist:80/proxy/v1/chat/completions"
    asked = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], **body}
    return cluster.request("POST", path, asked)


def query(cluster: SimCluster, text: str, token: str = "") -> tuple[int, Any]:
    path = f"{PROMETHEUS}/query?{urlencode({'query': text})}"
    status, answer, _ = cluster.request("GET", path, token=token or cluster.token)
    return status, answer


def test_the_portals_token_reads_prometheus_through_the_service_proxy(cluster: SimCluster) -> None:
    status, answer = query(cluster, "count(DCGM_FI_DEV_GPU_UTIL)")
    assert status == 200 and answer["data"]["result"][0]["value"][1] == "6"
    assert query(cluster, "topk(1, up)")[0] == 422


def test_without_the_right_it_is_403(cluster: SimCluster) -> None:
    token = cluster.new_token(rules=[{"verbs": ["get"], "resources": ["pods"]}])
    assert query(cluster, "up", token)[0] == 403


def test_an_exporter_answers_through_the_pod_proxy(cluster: SimCluster) -> None:
    pods = cluster.objects("Pod", "gpu-operator")
    for pod in pods:
        path = f"/api/v1/namespaces/gpu-operator/pods/{pod['metadata']['name']}:9400/proxy/metrics"
        status, text, headers = cluster.request("GET", path, token=cluster.token)
        assert status == 200 and headers["content-type"].startswith("text/plain")
        assert text.count("DCGM_FI_DEV_GPU_UTIL{") == 1


def test_every_completion_is_counted(cluster: SimCluster) -> None:
    text = "sum(vllm:e2e_request_latency_seconds_count)"

    def count() -> float:
        return float(query(cluster, text)[1]["data"]["result"][0]["value"][1])

    before = count()
    for number in range(5):
        assert chat(cluster, stream=number % 2 == 0)[0] == 200
    assert count() >= before + 5


def test_a_streamed_completion_comes_word_by_word(cluster: SimCluster) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}/services/assist:80/proxy/v1/chat/completions"
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    request = urllib.request.Request(
        cluster.server + path, json.dumps(body).encode(),
        {"Authorization": f"Bearer {cluster.token}", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=20, context=cluster.fleet.tls) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["transfer-encoding"] == "chunked"
        lines = [line.strip() for line in answer if line.strip()]
    assert lines[-1] == b"data: [DONE]" and len(lines) > 5
    chunks = [json.loads(line[6:]) for line in lines[:-1]]
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert said.startswith("Simulated answer of chat")


def test_load_settings_act_on_a_running_cluster(cluster: SimCluster) -> None:
    cluster.change(load=[{"match": "chat", "errors": 1.0}])
    assert chat(cluster)[0] == 500
    cluster.change(load=[])
    assert chat(cluster)[0] == 200


def test_the_story_has_a_week_of_cards_and_one_broken_one(tmp_path: Path) -> None:
    fleet = SimFleet.start(tmp_path, scenario="story", clusters=9)
    try:
        clusters = {each.name: each for each in fleet.clusters()}
        status, answer = query(clusters["prod-weu"], "DCGM_FI_DEV_XID_ERRORS > 0")
        assert status == 422
        _, answer = query(clusters["prod-weu"], "max by (gpu) (DCGM_FI_DEV_XID_ERRORS)")
        told = {row["metric"]["gpu"]: row["value"][1] for row in answer["data"]["result"]}
        assert [gpu for gpu, number in told.items() if number != "0"] == ["7"]
        start, end = time.time() - 6 * 86400, time.time()
        text = quote("avg(DCGM_FI_DEV_GPU_UTIL)")
        path = f"{PROMETHEUS}/query_range?query={text}&start={start}&end={end}&step=3600"
        assert clusters["prod-swc"].request("GET", path)[0] == 503, "it is still being made"
        clusters["prod-swc"].change(young=0)
        (row,) = clusters["prod-swc"].get(path)["data"]["result"]
        assert len(row["values"]) == 145
    finally:
        fleet.stop()
