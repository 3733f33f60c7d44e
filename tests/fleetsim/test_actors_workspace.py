"""A Workspace's life in the simulated KAITO: conditions in order, defaults, ways to fail."""

from __future__ import annotations

from typing import Any

import pytest

from fleetsim.store import ClusterStore
from tests.actorbench import NAMESPACE, Bench, auto, byo, condition, workspace

A100 = "Standard_NC24ads_A100_v4"
QWEN = "Qwen/Qwen2.5-Coder-32B-Instruct"


def watched(store: ClusterStore, bench: Bench, seconds: float) -> list[tuple[str, str, str]]:
    """Every (condition, status, reason) of Workspace `phi`, in the order they came up."""
    queue = store.subscribe(["Workspace"])
    bench.pass_time(seconds)
    seen: list[tuple[str, str, str]] = []
    while not queue.empty():
        for row in (queue.get_nowait()[1].get("status") or {}).get("conditions") or ():
            item = (row["type"], row["status"], row["reason"])
            if item not in seen:
                seen.append(item)
    return seen


def phi(store: ClusterStore) -> dict[str, Any]:
    found = store.get("Workspace", NAMESPACE, "phi")
    assert found is not None
    return found


def test_an_auto_provisioned_workspace_passes_through_kaitos_conditions_in_order() -> None:
    bench = Bench()
    store = bench.cluster(**auto())
    store.apply(workspace(instance_type=A100), manager="fleetportal")
    seen = watched(store, bench, 600)
    steps = [
        ("NodeClaimReady", "False", "AwaitingReconciliation"),
        ("NodeClaimReady", "True", "NodeClaimsReady"),
        ("NodesReady", "False", "NodePluginsNotReady"),
        ("NodesReady", "True", "NodesReady"),
        ("InferenceReady", "False", "WorkspaceInferenceStatusPending"),
        ("InferenceReady", "True", "WorkspaceInferenceStatusSuccess"),
    ]
    assert [item for item in seen if item in steps] == steps
    assert seen.index(("WorkspaceSucceeded", "False", "workspacePending")) < seen.index(steps[-1])
    done = phi(store)
    assert done["status"]["state"] == "Ready"
    assert condition(done, "WorkspaceSucceeded") == ("True", "workspaceSucceeded")
    assert condition(done, "BenchmarkCompleted") == ("True", "BenchmarkCompleted")
    metric = done["status"]["performance"]["metrics"]["peakTokensPerMinute"]
    assert float(metric["value"]) > 0 and metric["config"]["durationSec"] == "60"


def test_a_bring_your_own_workspace_has_no_nodeclaim_condition_and_lists_all_matching_nodes() -> (
    None
):
    bench = Bench()
    store = bench.cluster(**byo())
    store.apply(workspace(), manager="fleetportal")
    bench.pass_time(300)
    done = phi(store)
    assert condition(done, "NodeClaimReady") == ("", "")
    assert condition(done, "ResourceReady") == ("True", "workspaceResourceStatusSuccess")
    assert done["status"]["state"] == "Ready"
    assert len(done["status"]["workerNodes"]) == 6 and done["status"]["targetNodeCount"] == 1


def test_the_controllers_full_put_adds_defaults_and_bumps_the_generation_after_an_apply() -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    first = store.apply(workspace(), manager="fleetportal")
    assert first["metadata"]["generation"] == 1
    bench.actors.settle()
    written = phi(store)
    assert written["metadata"]["generation"] == 2
    assert written["inference"]["preset"]["presetOptions"] == {}
    assert written["metadata"]["finalizers"] == ["workspace.finalizer.kaito.sh"]
    assert written["metadata"]["annotations"]["workspace.kaito.io/hash"]
    assert "kaito-workspace" in {row["manager"] for row in written["metadata"]["managedFields"]}
    again = store.apply(workspace(), manager="fleetportal")
    assert again["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]


def test_conditions_carry_the_generation_they_were_judged_at() -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    store.apply(workspace(), manager="fleetportal")
    bench.pass_time(300)
    found = phi(store)
    generations = {row["observedGeneration"] for row in found["status"]["conditions"]}
    assert generations == {found["metadata"]["generation"]}


def test_a_workspace_without_an_estimate_claims_that_its_resources_are_ready() -> None:
    bench = Bench()
    store = bench.cluster(**auto())
    store.apply(workspace(instance_type="Standard_NX1_unknown"), manager="fleetportal")
    bench.pass_time(60)
    found = phi(store)
    assert condition(found, "ResourceReady")[0] == "True"
    assert not found["status"].get("targetNodeCount")
    texts = [row["message"] for row in found["status"]["conditions"]]
    assert any("(last reconcile error: " in text for text in texts)
    assert found["status"]["state"] == "Pending"


def test_a_model_over_two_nodes_gets_two_pods_of_which_one_serves() -> None:
    bench = Bench()
    store = bench.cluster(**auto())
    store.apply(workspace(preset=QWEN, instance_type=A100), manager="fleetportal")
    bench.pass_time(900)
    found = phi(store)
    assert found["status"]["targetNodeCount"] == 2 and found["status"]["state"] == "Ready"
    pods = store.list("Pod", NAMESPACE)
    assert [pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] for pod in pods] == ["0", "1"]
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2
    command = pods[0]["spec"]["containers"][0]["command"][2]
    assert "--tensor-parallel-size=1 --pipeline-parallel-size=2" in command


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("oom", "ContainerOOMKilled"),
        ("image", "ImagePullError"),
        ("weights", "ContainerCrashLoopBackOff"),
        ("stuck", "WorkspaceInferenceStatusPending"),
    ],
)
def test_a_fault_shows_as_kaitos_reason_and_the_state_stays_pending(
    fault: str, reason: str
) -> None:
    bench = Bench()
    store = bench.cluster(**byo(faults=[{"kind": fault, "match": "phi"}]))
    store.apply(workspace(), manager="fleetportal")
    bench.pass_time(400)
    found = phi(store)
    assert condition(found, "InferenceReady") == ("False", reason)
    assert found["status"]["state"] == "Pending"


def test_out_of_memory_restarts_the_container_and_stays_visible_in_its_last_state() -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    note = {"fleetsim.dev/fault": "oom"}
    store.apply(workspace(annotations=note), manager="fleetportal")
    bench.pass_time(700)
    row = store.list("Pod", NAMESPACE)[0]["status"]["containerStatuses"][0]
    assert row["restartCount"] >= 2
    assert row["lastState"]["terminated"] == {
        "reason": "OOMKilled",
        "exitCode": 137,
        "finishedAt": row["lastState"]["terminated"]["finishedAt"],
    }


def test_a_missing_benchmark_line_fails_the_workspace_although_it_serves() -> None:
    bench = Bench()
    store = bench.cluster(**byo(faults=[{"kind": "benchmark"}]))
    store.apply(workspace(), manager="fleetportal")
    bench.pass_time(400)
    found = phi(store)
    assert condition(found, "InferenceReady")[0] == "True"
    assert condition(found, "BenchmarkCompleted") == ("False", "BenchmarkFailed")
    assert condition(found, "WorkspaceSucceeded") == ("False", "BenchmarkFailed")
    assert found["status"]["state"] == "NotReady"


def test_a_gated_model_without_a_token_passes_admission_and_fails_at_the_download() -> None:
    bench = Bench()
    store = bench.cluster(**auto())
    gated = workspace(preset="meta-llama/Llama-3.1-8B-Instruct", instance_type=A100)
    store.apply(gated, manager="fleetportal")
    bench.pass_time(600)
    assert condition(phi(store), "InferenceReady") == ("False", "ContainerCrashLoopBackOff")


def test_a_ready_workspace_whose_node_is_lost_becomes_not_ready_and_never_pending_again() -> None:
    bench = Bench()
    store = bench.cluster(**byo(nodes=[{"instance_type": "g6.xlarge", "pool": "l4", "count": 1}]))
    store.apply(workspace(), manager="fleetportal")
    bench.pass_time(300)
    assert phi(store)["status"]["state"] == "Ready"
    store.delete("Node", None, store.list("Node")[0]["metadata"]["name"])
    bench.pass_time(60)
    assert phi(store)["status"]["state"] == "NotReady"
    assert condition(phi(store), "NodesReady") == ("False", "NodeNotReady")


def test_stamps_are_wall_clock_and_only_durations_are_compressed() -> None:
    slow, fast = Bench(), Bench()
    fast.fleet.speed = 20.0
    for bench, seconds in ((slow, 300.0), (fast, 15.0)):
        store = bench.cluster(**byo())
        store.apply(workspace(), manager="fleetportal")
        bench.pass_time(seconds)
        assert phi(store)["status"]["state"] == "Ready"
    stamp = phi(fast.fleet.clusters["c1"])["status"]["conditions"][-1]["lastTransitionTime"]
    assert stamp.startswith("2026-11-23T09:00:")
