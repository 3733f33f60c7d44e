"""Injected faults, the request log, and reaching pods."""

import json
import ssl
import time
import urllib.error
from typing import Any

import pytest

from tests.fleetsim.bodies import APPLY, CONFIGMAPS, config_map, pod
from tests.simfleet import SimCluster

NODES = "/api/v1/nodes"
POD_PATH = "/api/v1/namespaces/default/pods"


def test_a_status_fault_answers_its_code_for_its_verb_and_resource(cluster: SimCluster) -> None:
    cluster.fault("status", code=503, verb="list", resource="nodes")
    status, answer, _ = cluster.request("GET", NODES)
    assert (status, answer["kind"], answer["reason"]) == (503, "Status", "ServiceUnavailable")
    assert cluster.request("GET", CONFIGMAPS)[0] == 200
    assert cluster.request("GET", f"{NODES}/none")[0] == 404


def test_429_tells_when_to_come_back(cluster: SimCluster) -> None:
    cluster.fault("status", code=429, retry_after=7)
    status, answer, headers = cluster.request("GET", NODES)
    assert (status, headers["retry-after"]) == (429, "7")
    assert answer["details"]["retryAfterSeconds"] == 7


def test_a_fault_with_a_count_wears_off(cluster: SimCluster) -> None:
    cluster.fault("status", code=500, count=2)
    assert [cluster.request("GET", NODES)[0] for _ in range(3)] == [500, 500, 200]


def test_a_fault_can_be_cleared(cluster: SimCluster) -> None:
    cluster.fault("status", code=500)
    assert cluster.request("GET", NODES)[0] == 500
    cluster.clear_faults()
    assert cluster.request("GET", NODES)[0] == 200


def test_a_fault_stays_in_its_cluster(cluster: SimCluster) -> None:
    other = cluster.fleet.add_cluster(bare=True)
    cluster.fault("status", code=500)
    assert other.request("GET", NODES)[0] == 200


def test_latency_delays_the_answer(cluster: SimCluster) -> None:
    cluster.fault("latency", seconds=0.4)
    start = time.monotonic()
    assert cluster.request("GET", NODES)[0] == 200
    assert time.monotonic() - start >= 0.4


def test_a_black_hole_never_answers(cluster: SimCluster) -> None:
    cluster.fault("blackhole")
    with pytest.raises((TimeoutError, urllib.error.URLError)):
        cluster.request("GET", NODES, timeout=0.5)


def test_a_reset_does_nothing_and_a_lost_answer_does_the_work(cluster: SimCluster) -> None:
    lost = (urllib.error.URLError, ConnectionError, ssl.SSLError, OSError)
    cluster.fault("reset", verb="create", count=1)
    with pytest.raises(lost):
        cluster.request("POST", CONFIGMAPS, config_map("one"))
    cluster.fault("lost_answer", verb="create", count=1)
    with pytest.raises(lost):
        cluster.request("POST", CONFIGMAPS, config_map("two"))
    held = {item["metadata"]["name"] for item in cluster.objects("ConfigMap")}
    assert held == {"two"}


def test_other_uid_looks_like_a_different_cluster(cluster: SimCluster) -> None:
    path = "/api/v1/namespaces/kube-system"
    assert cluster.get(path)["metadata"]["uid"] == cluster.uid
    cluster.fault("other_uid")
    assert cluster.get(path)["metadata"]["uid"] != cluster.uid


def test_an_unknown_fault_is_refused_by_name(cluster: SimCluster) -> None:
    call = cluster.fleet.call
    url, token = f"{cluster.fleet.url}/_sim/faults", cluster.admin_token
    status, answer, _ = call("POST", url, {"kind": "surprise"}, token=token)
    assert (status, answer["message"].partition(":")[0]) == (400, "kind")
    assert call("POST", url, {"kind": "reset"}, token=cluster.token)[0] == 401


def test_the_log_tells_who_did_what(cluster: SimCluster) -> None:
    notes = {"fleetportal.io/fence": "7", "other": "x"}
    body = config_map(metadata={"annotations": notes})
    path = f"{CONFIGMAPS}/c?fieldManager=fleetportal&dryRun=All"
    cluster.request("PATCH", path, body, token=cluster.token, content_type=APPLY)
    last = cluster.log()[-1]
    assert (last["verb"], last["resource"], last["namespace"], last["name"]) == (
        "patch",
        "configmaps",
        "default",
        "c",
    )
    assert (last["manager"], last["dry_run"], last["code"]) == ("fleetportal", True, 201)
    assert last["user"] == "system:serviceaccount:fleetportal-system:fleetportal"
    assert last["marks"] == {"fleetportal.io/fence": "7"}
    assert len(last["hash"]) == 64


def test_the_log_is_in_order_and_on_disk(cluster: SimCluster) -> None:
    for number in range(3):
        cluster.request("POST", CONFIGMAPS, config_map(f"c{number}"))
    entries = cluster.log()
    assert [entry["name"] for entry in entries] == ["c0", "c1", "c2"]
    assert entries == sorted(entries, key=lambda entry: (entry["seq"], entry["mono"]))
    assert cluster.log(after=entries[1]["seq"]) == entries[2:]
    lines = (cluster.fleet.state_dir / "requests.jsonl").read_text().splitlines()
    assert [line for line in map(json.loads, lines) if line["cluster"] == cluster.name] == entries


def service(cluster: SimCluster) -> str:
    """A Service over app=x; returns its proxy path."""
    spec = {"selector": {"app": "x"}, "ports": [{"port": 80, "targetPort": 5000}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}
    cluster.request("POST", "/api/v1/namespaces/default/services", body)
    return "/api/v1/namespaces/default/services/s:80/proxy/metrics"


def make_pod(cluster: SimCluster, ready: str) -> None:
    """Pod `a` of app=x with a Ready condition."""
    cluster.request("POST", POD_PATH, pod("a", metadata={"labels": {"app": "x"}}))
    conditions = [{"type": "Ready", "status": ready}]
    status: dict[str, Any] = {"phase": "Running", "podIP": "10.0.0.1", "conditions": conditions}
    patch = {"status": status}
    path = f"{POD_PATH}/a/status"
    cluster.request("PATCH", path, patch, content_type="application/merge-patch+json")


def test_a_service_without_ready_pods_has_no_endpoints(cluster: SimCluster) -> None:
    path = service(cluster)
    make_pod(cluster, "False")
    status, answer, _ = cluster.request("GET", path)
    assert (status, answer["message"]) == (503, 'no endpoints available for service "s"')


def test_a_ready_pod_that_listens_to_nobody_refuses(cluster: SimCluster) -> None:
    path = service(cluster)
    make_pod(cluster, "True")
    status, answer, _ = cluster.request("GET", path)
    assert status == 503
    assert "connection refused" in answer["message"]


def test_the_log_of_a_pod_that_waits_is_400(cluster: SimCluster) -> None:
    cluster.request("POST", POD_PATH, pod("a"))
    status, answer, _ = cluster.request("GET", f"{POD_PATH}/a/log")
    assert status == 400
    assert "is waiting to start" in answer["message"]
    assert cluster.request("GET", f"{POD_PATH}/none/log")[0] == 404
