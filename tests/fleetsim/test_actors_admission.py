"""What KAITO's webhook lets through and what it says when it does not."""

from __future__ import annotations

from typing import Any

import pytest

from fleetsim import scenario
from fleetsim.store import ApiError, ClusterStore
from tests.actorbench import L4, NAMESPACE, Bench, auto, byo, config, inference_set, workspace

A100 = "Standard_NC24ads_A100_v4"
TOLD = 'admission webhook "validation.workspace.kaito.sh" denied the request: validation failed: '
TOLD_SET = TOLD.replace("workspace", "inferenceset", 1)


def refusal(store: ClusterStore, body: dict[str, Any]) -> str:
    """The message of a 400."""
    with pytest.raises(ApiError) as caught:
        store.apply(body, manager="fleetportal")
    assert caught.value.code == 400
    return caught.value.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (workspace(instance_type=A100), "instanceType must be empty when node auto-provisioning"),
        (workspace(preset="falcon-7b"), "Unsupported inference preset name falcon-7b: presetName"),
        (workspace(selector={"no": "such"}), "no nodes match the label selector: labelSelector"),
        (workspace(selector={"kaito.sh/workspace": "x"}), "selector has no usable label"),
        (workspace(preset="moonshotai/Kimi-K2.6"), "Insufficient total GPU memory: 132GiB"),
        (
            workspace(annotations={"kaito.sh/performance-mode": "fast"}),
            "metadata.annotations[kaito.sh/performance-mode]",
        ),
        (
            workspace(preset="Qwen/Qwen3.5-2B", annotations={"kaito.sh/runtime": "transformers"}),
            "no parameters for the transformers runtime",
        ),
        (
            workspace(config="cfg"),
            f"ConfigMap 'cfg' specified in 'config' not found in namespace '{NAMESPACE}': config",
        ),
    ],
)
def test_a_bring_your_own_cluster_refuses_with_kaitos_form(
    body: dict[str, Any], words: str
) -> None:
    message = refusal(Bench().cluster(**byo()), body)
    assert message.startswith(TOLD) and words in message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (workspace(), "missing field(s): instanceType"),
        (
            workspace(instance_type="p5.48xlarge"),
            "Unsupported instance type p5.48xlarge. Supported",
        ),
        (workspace(instance_type="m5.large"), "Supported SKUs: "),
    ],
)
def test_an_auto_provisioning_cluster_wants_an_instance_type_of_its_cloud(
    body: dict[str, Any], words: str
) -> None:
    message = refusal(Bench().cluster(**auto()), body)
    assert message.startswith(TOLD) and words in message


def test_an_unlisted_azure_n_series_type_is_let_through() -> None:
    store = Bench().cluster(**auto())
    store.apply(workspace(instance_type="Standard_NC999_future"), manager="fleetportal")


def test_auto_provisioning_does_not_check_memory_at_admission() -> None:
    store = Bench().cluster(**auto())
    store.apply(workspace(preset="moonshotai/Kimi-K2.6", instance_type=A100), manager="me")


@pytest.mark.parametrize(
    "preset", ["phi-4-mini-instruct", "MICROSOFT/phi-4-MINI-instruct", "me/own"]
)
def test_an_alias_any_case_and_any_organisations_model_are_accepted(preset: str) -> None:
    Bench().cluster(**byo()).apply(workspace(preset=preset), manager="fleetportal")


def test_nodes_without_gpu_labels_or_unlike_each_other_are_refused() -> None:
    mixed = [
        {"instance_type": "g6.xlarge", "pool": "a", "labels": {"tier": "x"}},
        {"instance_type": "g5.12xlarge", "pool": "b", "labels": {"tier": "x"}},
    ]
    bench = Bench()
    store = bench.cluster(**byo(nodes=mixed))
    assert "differ in GPU product, count or memory" in refusal(
        store, workspace(selector={"tier": "x"})
    )
    node = store.list("Node")[0]
    del node["metadata"]["labels"]["nvidia.com/gpu.memory"]
    store.update(node)
    assert "lacks GPU labels" in refusal(store, workspace(selector={"tier": "x"}))


def test_a_config_map_is_seen_only_after_the_webhooks_cache_has_caught_up() -> None:
    bench = Bench()
    store = bench.cluster(**byo(cache_lag=2.0))
    store.create(config())
    bench.actors.settle()
    assert "not found in namespace" in refusal(store, workspace(config="cfg"))
    bench.pass_time(2.0)
    store.apply(workspace(config="cfg"), manager="fleetportal")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vllm: [", "Failed to parse 'inference_config.yaml'"),
        ("vllm: 7", "cannot unmarshal 'vllm'"),
        ("vllm:\n  max-model-len: [1]", "cannot unmarshal 'vllm.max-model-len'"),
        ("vllm:\n  max-model-len: 131073", "exceeds the model's limit of 131072"),
        ("vllm:\n  max-model-len: many", "invalid value: many: max-model-len"),
        (None, "missing field(s): data.inference_config.yaml"),
    ],
)
def test_a_bad_engine_config_is_refused_by_its_key(text: str | None, words: str) -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    body = config()
    body["data"] = {} if text is None else {"inference_config.yaml": text}
    store.create(body)
    bench.pass_time(1)
    assert words in refusal(store, workspace(config="cfg"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resource": {"count": 2}}, "field is immutable: count"),
        ({"resource": {"labelSelector": {"matchLabels": {"a": "b"}}}}, "field is immutable: label"),
        (
            {"inference": {"preset": {"name": "microsoft/phi-4"}}},
            "field is immutable: spec.inference",
        ),
        (
            {"inference": {"preset": {"presetOptions": {"modelAccessSecret": "s"}}}},
            "field is immutable: spec.inference.preset",
        ),
    ],
)
def test_an_update_may_not_change_what_kaito_cannot_change(
    change: dict[str, Any], words: str
) -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    store.apply(workspace(), manager="fleetportal")
    bench.actors.settle()
    with pytest.raises(ApiError) as caught:
        store.patch("Workspace", NAMESPACE, "phi", change)
    assert caught.value.code == 400 and words in caught.value.message


def test_annotations_of_a_workspace_may_change() -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    store.apply(workspace(), manager="fleetportal")
    bench.actors.settle()
    store.patch("Workspace", NAMESPACE, "phi", {"metadata": {"annotations": {"a": "b"}}})


def test_an_inference_set_is_judged_by_the_child_it_would_make() -> None:
    store = Bench().cluster(**byo())
    message = refusal(store, inference_set(selector={"no": "such"}))
    assert message.startswith(TOLD_SET) and "no nodes match the label selector" in message


def test_an_inference_set_is_judged_again_on_update_and_on_status() -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    store.apply(inference_set(selector=L4), manager="fleetportal")
    bench.actors.settle()
    for node in store.list("Node"):
        store.delete("Node", None, node["metadata"]["name"])
    whole = store.get("InferenceSet", NAMESPACE, "chat")
    assert whole is not None
    with pytest.raises(ApiError, match="no nodes match"):
        store.patch("InferenceSet", NAMESPACE, "chat", {"metadata": {"labels": {"a": "b"}}})
    whole["status"]["readyReplicas"] = 7
    with pytest.raises(ApiError, match="no nodes match"):
        store.update_status(whole)


def test_a_webhook_that_is_down_answers_500_and_blocks_finalizers_too() -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    store.apply(workspace(), manager="fleetportal")
    bench.actors.settle()
    scenario.change(bench.fleet, "c1", {"webhook_down": True})
    with pytest.raises(ApiError) as caught:
        store.apply(workspace("other"), manager="fleetportal")
    assert caught.value.code == 500
    assert 'failed calling webhook "validation.workspace.kaito.sh"' in caught.value.message
    store.delete("Workspace", NAMESPACE, "phi")
    bench.pass_time(60)
    assert store.get("Workspace", NAMESPACE, "phi") is not None
    scenario.change(bench.fleet, "c1", {"webhook_down": False})
    bench.pass_time(60)
    assert store.get("Workspace", NAMESPACE, "phi") is None


def test_a_namespace_that_operators_exclude_is_not_judged() -> None:
    store = Bench().cluster(**byo())
    label = {"metadata": {"labels": {"webhooks.knative.dev/exclude": "true"}}}
    store.patch("Namespace", None, NAMESPACE, label)
    store.apply(workspace(preset="nope"), manager="fleetportal")


def test_even_an_apply_that_changes_nothing_is_judged() -> None:
    bench = Bench()
    store = bench.cluster(**byo())
    store.create(config())
    bench.pass_time(1)
    store.apply(inference_set(config="cfg"), manager="fleetportal")
    bench.actors.settle()
    store.delete("ConfigMap", NAMESPACE, "cfg")
    assert "not found" in refusal(store, inference_set(config="cfg"))


def test_a_dry_run_is_judged_like_a_write_and_leaves_nothing() -> None:
    store = Bench().cluster(**byo())
    store.apply(workspace(), manager="fleetportal", dry_run=True)
    assert store.list("Workspace") == []
    with pytest.raises(ApiError, match="presetName"):
        store.apply(workspace(preset="nope"), manager="fleetportal", dry_run=True)
