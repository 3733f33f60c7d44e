"""Room for models: cloud capacity, whole nodes, KAITO's traps, and policies that leave no pod."""

from __future__ import annotations

from typing import Any

from fleetsim import scenario
from fleetsim.store import ClusterStore
from tests.actorbench import L4, NAMESPACE, Bench, auto, byo, condition, inference_set, workspace

A100 = "Standard_NC24ads_A100_v4"
H100 = "Standard_ND96isr_H100_v5"


def found(store: ClusterStore, name: str = "phi") -> dict[str, Any]:
    workspace_found = store.get("Workspace", NAMESPACE, name)
    assert workspace_found is not None
    return workspace_found


def test_exhausted_capacity_leaves_the_claim_unlaunched_with_the_clouds_words() -> None:
    bench = Bench()
    store = bench.cluster(**auto(region="eastus", capacity={A100: 0}))
    store.apply(workspace(instance_type=A100), manager="fleetportal")
    bench.pass_time(300)
    claim = store.list("NodeClaim")[0]
    assert condition(claim, "Launched") == ("False", "LaunchFailed")
    row = next(c for c in found(store)["status"]["conditions"] if c["type"] == "NodeClaimReady")
    assert (row["status"], row["reason"]) == ("False", "LaunchFailed")
    assert row["message"].startswith("no NC24ads capacity in eastus")
    assert found(store)["status"]["state"] == "Pending" and store.list("Node") == []


def test_capacity_that_comes_back_lets_the_waiting_claim_launch() -> None:
    bench = Bench()
    store = bench.cluster(**auto(capacity={A100: 0}))
    store.apply(workspace(instance_type=A100), manager="fleetportal")
    bench.pass_time(100)
    scenario.change(bench.fleet, "c1", {"capacity": {A100: 1}})
    bench.pass_time(700)
    assert found(store)["status"]["state"] == "Ready"


def test_only_as_many_machines_launch_as_the_cloud_has() -> None:
    bench = Bench()
    store = bench.cluster(**auto(capacity={A100: 2}))
    store.apply(inference_set(replicas=3, instance_type=A100), manager="fleetportal")
    bench.pass_time(900)
    whole = store.get("InferenceSet", NAMESPACE, "chat")
    assert whole is not None and whole["status"]["readyReplicas"] == 2
    assert condition(whole, "InferenceSetReady") == ("False", "inferencesetNotReady")
    assert len(store.list("Node")) == 2


def test_created_nodes_are_pinned_to_their_workspace_and_free_ones_are_not_used() -> None:
    bench = Bench()
    spare = [{"instance_type": A100, "pool": "spare", "count": 1, "labels": {"app": "phi"}}]
    store = bench.cluster(**auto(nodes=spare))
    store.apply(workspace(instance_type=A100), manager="fleetportal")
    bench.pass_time(700)
    pod = store.list("Pod", NAMESPACE)[0]
    node = store.get("Node", None, pod["spec"]["nodeName"])
    assert node is not None and node["metadata"]["labels"]["kaito.sh/workspace"] == "phi"
    assert node["metadata"]["labels"]["accelerator"] == "nvidia"


def test_karpenter_mode_makes_a_node_pool_and_its_nodes_serve() -> None:
    bench = Bench()
    store = bench.cluster(**auto(mode="karpenter"))
    store.apply(workspace(instance_type=A100), manager="fleetportal")
    bench.pass_time(700)
    pool = store.get("NodePool", None, f"{NAMESPACE}-phi")
    assert pool is not None and pool["spec"]["replicas"] == 1
    assert found(store)["status"]["state"] == "Ready"


def test_in_karpenter_mode_a_matching_free_node_is_counted_but_takes_no_pod() -> None:
    bench = Bench()
    spare = [{"instance_type": A100, "pool": "spare", "count": 1, "labels": {"app": "phi"}}]
    store = bench.cluster(**auto(mode="karpenter", nodes=spare))
    store.apply(workspace(instance_type=A100), manager="fleetportal")
    bench.pass_time(700)
    assert store.list("NodeClaim") == []
    assert condition(found(store), "ResourceReady")[0] == "True"
    assert condition(found(store), "InferenceReady") == ("False", "Unschedulable")


def test_nodes_count_as_ready_although_no_node_has_all_its_gpus_free() -> None:
    bench = Bench()
    nodes = [{"instance_type": H100, "pool": "h100", "count": 4, "used": [7, 3, 2, 1]}]
    store = bench.cluster(**byo(provider="azure", nodes=nodes))
    selector = {"nvidia.com/gpu.count": "8"}
    store.apply(workspace(selector=selector), manager="fleetportal")
    bench.pass_time(200)
    assert condition(found(store), "NodesReady") == ("True", "NodesReady")
    assert condition(found(store), "InferenceReady") == ("False", "Unschedulable")
    row = next(c for c in found(store)["status"]["conditions"] if c["type"] == "InferenceReady")
    assert "4 Insufficient nvidia.com/gpu" in row["message"]


def test_a_node_with_an_unhealthy_gpu_holds_no_pod_that_wants_them_all() -> None:
    bench = Bench()
    nodes = [{"instance_type": H100, "pool": "h100", "count": 1, "allocatable": [7]}]
    store = bench.cluster(**byo(provider="azure", nodes=nodes))
    store.apply(workspace(selector={"nvidia.com/gpu.count": "8"}), manager="fleetportal")
    bench.pass_time(200)
    assert condition(found(store), "InferenceReady") == ("False", "Unschedulable")


def test_a_pod_is_scheduled_as_soon_as_another_team_frees_its_gpu() -> None:
    bench = Bench()
    nodes = [{"instance_type": "g6.xlarge", "pool": "l4", "count": 1, "used": [1]}]
    store = bench.cluster(**byo(nodes=nodes))
    store.apply(workspace(), manager="fleetportal")
    bench.pass_time(60)
    assert condition(found(store), "InferenceReady") == ("False", "Unschedulable")
    other = store.list("Pod", "ml-platform")[0]["metadata"]["name"]
    store.delete("Pod", "ml-platform", other)
    bench.pass_time(5)
    assert condition(found(store), "InferenceReady") == ("False", "Unschedulable")
    bench.pass_time(300)
    assert found(store)["status"]["state"] == "Ready"


def test_a_restricted_namespace_gets_no_pod_and_says_so_only_in_events() -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    strict = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    store.patch("Namespace", None, NAMESPACE, strict)
    store.apply(workspace(), manager="fleetportal")
    bench.pass_time(300)
    assert store.list("Pod", NAMESPACE) == []
    assert condition(found(store), "InferenceReady") == ("False", "WorkspaceInferenceStatusPending")
    events = [e for e in store.list("Event", NAMESPACE) if e["reason"] == "FailedCreate"]
    assert 'violates PodSecurity "restricted:latest"' in events[0]["message"]


def test_a_resource_quota_stops_the_second_replica() -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    store.create(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "gpus", "namespace": NAMESPACE},
            "spec": {"hard": {"requests.nvidia.com/gpu": "1"}},
        }
    )
    store.apply(inference_set(replicas=2, selector=L4), manager="fleetportal")
    bench.pass_time(300)
    assert len(store.list("Pod", NAMESPACE)) == 1
    events = [e for e in store.list("Event", NAMESPACE) if e["reason"] == "FailedCreate"]
    assert "exceeded quota: gpus" in events[0]["message"]
