"""InferenceSets: children, inert edits, sums, scaling, and the order in which things go away."""

from __future__ import annotations

from typing import Any

import pytest

from fleetsim.actors import writers
from fleetsim.store import ApiError, ClusterStore
from tests.actorbench import NAMESPACE, Bench, auto, byo, condition, config, inference_set

A100 = "Standard_NC24ads_A100_v4"
NO_SETS = {"enableInferenceSetController": False}


def chat(store: ClusterStore) -> dict[str, Any]:
    found = store.get("InferenceSet", NAMESPACE, "chat")
    assert found is not None
    return found


def ready_set(bench: Bench, **spec: Any) -> ClusterStore:
    store = bench.cluster(**(spec or byo()))
    machine: dict[str, Any] = {} if not spec else {"instance_type": A100}
    store.apply(inference_set(**machine), manager="fleetportal")
    bench.pass_time(700)
    return store


def test_children_have_generated_names_the_label_and_the_owner() -> None:
    store = ready_set(Bench())
    whole, children = chat(store), store.list("Workspace", NAMESPACE)
    assert len(children) == 2
    for child in children:
        meta = child["metadata"]
        assert meta["name"].startswith("chat-") and len(meta["name"]) == len("chat-") + 5
        assert meta["labels"]["inferenceset.kaito.sh/created-by"] == "chat"
        assert meta["ownerReferences"][0]["uid"] == whole["metadata"]["uid"]
    pods = store.list("Pod", NAMESPACE, {"inferenceset.kaito.sh/created-by": "chat"})
    assert len(pods) == 2


def test_the_status_sums_up_its_children() -> None:
    store = ready_set(Bench())
    whole = chat(store)
    assert whole["status"]["replicas"] == whole["status"]["readyReplicas"] == 2
    assert whole["status"]["selector"] == "inferenceset.kaito.sh/created-by=chat"
    assert condition(whole, "InferenceSetReady") == ("True", "inferencesetReady")
    values = [
        float(child["status"]["performance"]["metrics"]["peakTokensPerMinute"]["value"])
        for child in store.list("Workspace", NAMESPACE)
    ]
    total = whole["status"]["performance"]["metrics"]["aggregatedPeakTokensPerMinute"]["value"]
    assert float(total) == pytest.approx(sum(values), abs=0.01)


def test_template_annotations_reach_children_and_those_of_the_set_do_not() -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    body = inference_set(annotations={"kaito.sh/performance-mode": "throughput"})
    body["metadata"]["annotations"] = {"only": "here"}
    store.apply(body, manager="fleetportal")
    bench.actors.settle()
    notes = store.list("Workspace", NAMESPACE)[0]["metadata"]["annotations"]
    assert notes["kaito.sh/performance-mode"] == "throughput" and "only" not in notes


def test_an_edited_template_changes_no_child_although_the_generation_advances() -> None:
    bench = Bench()
    store = ready_set(bench)
    before = {c["metadata"]["name"]: c["inference"] for c in store.list("Workspace", NAMESPACE)}
    generation = chat(store)["metadata"]["generation"]
    body = inference_set(preset="microsoft/phi-4")
    store.apply(body, manager="fleetportal", force=True)
    bench.pass_time(60)
    after = {c["metadata"]["name"]: c["inference"] for c in store.list("Workspace", NAMESPACE)}
    assert after == before
    rows = chat(store)["status"]["conditions"]
    assert chat(store)["metadata"]["generation"] > generation
    assert {row["observedGeneration"] for row in rows} == {chat(store)["metadata"]["generation"]}


def test_someone_elses_kubectl_edit_of_replicas_removes_a_child() -> None:
    bench = Bench()
    store = ready_set(bench)
    writers.edit(store, "InferenceSet", NAMESPACE, "chat", {"spec": {"replicas": 1}})
    bench.pass_time(60)
    assert len(store.list("Workspace", NAMESPACE)) == 1
    managers = {row["manager"] for row in chat(store)["metadata"]["managedFields"]}
    assert {"kubectl-edit", "fleetportal", "kaito-workspace"} <= managers


def test_scaling_to_zero_and_back_works() -> None:
    bench = Bench()
    store = ready_set(bench)
    writers.scale(store, NAMESPACE, "chat", 0)
    bench.pass_time(60)
    assert store.list("Workspace", NAMESPACE) == [] and store.list("Pod", NAMESPACE) == []
    writers.scale(store, NAMESPACE, "chat", 1)
    bench.pass_time(300)
    assert chat(store)["status"]["readyReplicas"] == 1


def test_on_delete_the_set_goes_first_then_children_pods_claims_and_nodes() -> None:
    bench = Bench()
    store = ready_set(bench, **auto())
    store.delete("InferenceSet", NAMESPACE, "chat")
    bench.actors.settle()
    kinds = ("InferenceSet", "Workspace", "StatefulSet", "Pod", "NodeClaim", "Node")

    def counts() -> list[int]:
        return [len(store.list(kind)) for kind in kinds]

    assert counts() == [0, 0, 0, 2, 2, 2]
    bench.pass_time(15)
    assert counts() == [0, 0, 0, 0, 2, 2]
    bench.pass_time(60)
    assert counts() == [0, 0, 0, 0, 0, 0]


def test_the_set_is_gone_before_its_children_are() -> None:
    bench = Bench()
    store = ready_set(bench)
    order: list[str] = []
    queue = store.subscribe(["InferenceSet", "Workspace"], replay=False)
    store.delete("InferenceSet", NAMESPACE, "chat")
    bench.pass_time(60)
    while not queue.empty():
        change, obj = queue.get_nowait()
        order += [obj["kind"]] if change == "DELETED" else []
    assert order == ["InferenceSet", "Workspace", "Workspace"]


def test_without_its_config_map_the_status_freezes_and_the_set_cannot_be_deleted() -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    store.create(config())
    bench.pass_time(1)
    store.apply(inference_set(config="cfg"), manager="fleetportal")
    bench.pass_time(300)
    assert chat(store)["status"]["readyReplicas"] == 2
    store.delete("ConfigMap", NAMESPACE, "cfg")
    store.delete("Workspace", NAMESPACE, store.list("Workspace", NAMESPACE)[0]["metadata"]["name"])
    bench.pass_time(60)
    assert chat(store)["status"]["readyReplicas"] == 2
    store.delete("InferenceSet", NAMESPACE, "chat")
    bench.pass_time(120)
    assert chat(store)["metadata"]["finalizers"] == ["inferenceset.finalizer.kaito.sh"]
    store.create(config())
    bench.pass_time(120)
    assert store.get("InferenceSet", NAMESPACE, "chat") is None


def test_without_its_controller_an_inference_set_is_accepted_and_inert() -> None:
    bench = Bench()
    store = bench.cluster(**byo(gates=NO_SETS))
    store.apply(inference_set(), manager="fleetportal")
    bench.pass_time(300)
    assert "finalizers" not in chat(store)["metadata"]
    assert store.list("Workspace") == []
    hooks = [hook["metadata"]["name"] for hook in store.list("ValidatingWebhookConfiguration")]
    assert hooks == ["validation.workspace.kaito.sh"]


def test_kaito_before_0_11_does_not_serve_the_kind_at_all() -> None:
    bench = Bench()
    store = bench.cluster(**byo(kaito_version="0.10.0"))
    with pytest.raises(ApiError) as caught:
        store.apply(inference_set(), manager="fleetportal")
    assert caught.value.code == 404
