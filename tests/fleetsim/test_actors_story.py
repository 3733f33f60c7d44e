"""The story's nine clusters, the generated ones, and that one seed gives one world."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim import actors, scenario
from fleetsim.actors import sizing, skus
from fleetsim.actors.models import ALIASES, MODELS, find
from fleetsim.actors.objects import gpus_of
from fleetsim.store import ApiError, ClusterStore, Fleet
from tests.actorbench import NAMESPACE, Bench, byo, inference_set

NINE = ["test-use1", "test-weu", "stg-weu", "stg-eus", "prod-weu", "prod-swc", "prod-eus2",
        "prod-euc1", "prod-apse1"]  # fmt: skip


@pytest.fixture(scope="module")
def story() -> Fleet:
    fleet = Fleet(seed=1, speed=20)
    scenario.build(fleet, "story")
    return fleet


def gpus(store: ClusterStore, part: str) -> list[int]:
    found = [int(node["status"][part].get("nvidia.com/gpu", 0)) for node in store.list("Node")]
    return sorted(found)


def test_the_nine_clusters_hold_186_gpus_counting_declared_quota(story: Fleet) -> None:
    assert list(story.clusters) == NINE
    total = 0
    for row in scenario.registration(story):
        store = story.clusters[row["name"]]
        quota = sum(q["nodes"] * skus.SKUS[q["instance_type"].lower()].gpus for q in row["quotas"])
        total += quota or sum(gpus(store, "capacity"))
    assert total == 186


def test_prod_swc_is_fragmented_to_no_whole_node(story: Fleet) -> None:
    store = story.clusters["prod-swc"]
    used: dict[str, int] = {}
    for pod in store.list("Pod"):
        asked = gpus_of(pod)
        used[pod["spec"]["nodeName"]] = used.get(pod["spec"]["nodeName"], 0) + asked
    free = sorted(8 - used.get(node["metadata"]["name"], 0) for node in store.list("Node"))
    assert free == [1, 5, 6, 7]


def test_prod_weu_has_a_node_with_seven_of_eight_gpus_allocatable(story: Fleet) -> None:
    store = story.clusters["prod-weu"]
    assert (gpus(store, "capacity"), gpus(store, "allocatable")) == ([8], [7])


def test_the_l4_cards_of_test_use1_report_22_gib(story: Fleet) -> None:
    nodes = story.clusters["test-use1"].list("Node")
    assert {n["metadata"]["labels"]["nvidia.com/gpu.memory"] for n in nodes} == {"23034"}
    labels = nodes[0]["metadata"]["labels"]
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-L4" and len(nodes) == 6
    assert labels["topology.kubernetes.io/region"] == "us-east-1"
    assert nodes[0]["spec"]["providerID"].startswith("aws:///us-east-1")


def test_the_foreign_workspace_runs_before_any_portal_looks(story: Fleet) -> None:
    found = story.clusters["stg-eus"].get("Workspace", "data-science", "legacy-mistral")
    assert found is not None and found["status"]["state"] == "Ready"
    managers = {row["manager"] for row in found["metadata"]["managedFields"]}
    assert managers == {"kubectl-client-side-apply", "kaito-workspace"}


def test_prod_apse1_is_cordoned_and_serves_no_inference_sets(story: Fleet) -> None:
    row = next(r for r in scenario.registration(story) if r["name"] == "prod-apse1")
    assert row["cordoned"] is True and "0.10" in row["cordon_reason"]
    store = story.clusters["prod-apse1"]
    assert "InferenceSet" not in store.kinds and sum(gpus(store, "capacity")) == 48
    deployment = store.get("Deployment", "kaito-workspace", "kaito-workspace")
    assert deployment is not None
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.10.0")


def test_an_upgrade_of_kaito_serves_inference_sets_from_then_on() -> None:
    bench = Bench()
    store = bench.cluster(**byo(kaito_version="0.10.0"))
    scenario.change(bench.fleet, "c1", {"kaito_version": "0.12.0", "base_tag": "0.5.0"})
    with pytest.raises(ApiError, match="failed calling webhook"):
        store.apply(inference_set(), manager="fleetportal")
    bench.pass_time(30)
    store.apply(inference_set(), manager="fleetportal")
    bench.pass_time(300)
    whole = store.get("InferenceSet", NAMESPACE, "chat")
    assert whole is not None and whole["status"]["readyReplicas"] == 2


def test_registrations_say_what_an_operator_would_declare(story: Fleet) -> None:
    keys = {"name", "environment", "region", "provider", "labels", "grants", "quotas",
            "simulated", "cordoned", "cordon_reason"}  # fmt: skip
    rows = scenario.registration(story)
    assert all(set(row) == keys and row["simulated"] is True for row in rows)
    weu = next(row for row in rows if row["name"] == "stg-weu")
    assert weu["quotas"] == [
        {"instance_type": "Standard_NC24ads_A100_v4", "nodes": 4, "capacity_type": "on-demand"}
    ]


def test_the_controllers_flags_say_mode_and_gates(story: Fleet) -> None:
    for name, mode in (("prod-weu", "azure-gpu-provisioner"), ("prod-swc", "byo")):
        found = story.clusters[name].get("Deployment", "kaito-workspace", "kaito-workspace")
        assert found is not None
        args = found["spec"]["template"]["spec"]["containers"][0]["args"]
        assert f"--node-provisioner={mode}" in args


def test_generated_clusters_have_ten_nodes_and_forty_pods() -> None:
    fleet = Fleet(seed=3, speed=20)
    scenario.build(fleet, "story", 30)
    assert len(fleet.clusters) == 30
    extra = [store for name, store in fleet.clusters.items() if name.startswith("gen-")]
    assert len(extra) == 21
    assert all(len(s.list("Node")) == 10 and len(s.list("Pod")) == 40 for s in extra)
    assert {s.meta["provider"] for s in extra} == {"aws", "azure"}
    assert any(s.meta["quotas"] for s in extra)


def test_a_count_below_nine_takes_the_first_of_the_story() -> None:
    fleet = Fleet()
    scenario.build(fleet, "story", 2)
    assert list(fleet.clusters) == NINE[:2]


def test_idle_clusters_leave_nothing_to_do() -> None:
    fleet = Fleet()
    scenario.build(fleet, "story", 40)
    crew = actors.of(fleet)
    assert crew.settle() is False and crew.agenda.wait() is None


def world(seed: int) -> list[tuple[str, str, dict[str, Any]]]:
    """Everything a cluster holds after a deploy, without clocks."""
    bench = Bench(seed)
    store = bench.cluster(**byo())
    store.apply(inference_set(), manager="fleetportal")
    bench.pass_time(400)
    kinds = ("InferenceSet", "Workspace", "Pod", "EndpointSlice", "Event")
    return [(k, o["metadata"]["name"], o) for k in kinds for o in store.list(k)]


def test_one_seed_gives_one_world_and_another_seed_another() -> None:
    assert world(5) == world(5)
    assert world(5) != world(6)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"mode": "magic"}, "mode 'magic'"),
        ({"colour": "red"}, "unknown cluster setting 'colour'"),
        ({"faults": [{"kind": "rain"}]}, "fault kind 'rain'"),
        ({"nodes": [{"instance_type": "x1", "pool": "p"}]}, "unknown instance_type 'x1'"),
    ],
)
def test_a_bad_cluster_spec_is_refused_by_its_field(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiError, match=words):
        scenario.make_cluster(Fleet(), "bad", spec)


def test_fixed_settings_of_a_running_cluster_cannot_change() -> None:
    bench = Bench()
    bench.cluster(**byo())
    with pytest.raises(ApiError, match="mode: cannot be changed"):
        scenario.change(bench.fleet, "c1", {"mode": "karpenter"})


VECTORS = [
    ("phi-4-mini-instruct", 1, 80, 2048, 1),
    ("qwen2.5-coder-32b-instruct", 1, 80, 2048, 2),
    ("qwen2.5-coder-32b-instruct", 1, 94, 32768, 1),
    ("gpt-oss-120b", 2, 80, 2048, 2),
    ("llama-3.3-70b-instruct", 2, 94, 2048, 1),
    ("llama-3.3-70b-instruct", 2, 94, 131072, 2),
    ("phi-4-mini-instruct", 1, 24, 131072, 5),
    ("gemma-3-27b-instruct", 1, 80, 131072, 19),
    ("llama-3.1-8b-instruct", 1, 22, 2048, 2),
    ("phi-4-mini-instruct", 1, 22, 131072, 43),
]


@pytest.mark.parametrize(("alias", "count", "gib", "context", "nodes"), VECTORS)
def test_the_estimate_agrees_with_kaitos_own_examples(
    alias: str, count: int, gib: int, context: int, nodes: int
) -> None:
    model = find(alias)
    assert model is not None
    shape = sizing.Shape(count, gib)
    found = sizing.nodes_needed(shape, model.weights_gib, model.kv_bytes, context, "0.12.0")
    assert found == nodes


@given(
    st.sampled_from(sorted(MODELS)), st.sampled_from([1, 2, 4, 8]), st.integers(40, 141),
    st.integers(1, 60),
)  # fmt: skip
def test_more_memory_never_needs_more_nodes(name: str, count: int, gib: int, more: int) -> None:
    model = MODELS[name]

    def nodes(size: int) -> int:
        shape = sizing.Shape(count, size)
        return sizing.nodes_needed(shape, model.weights_gib, model.kv_bytes, 2048, "0.12.0")

    assert nodes(gib + more) <= nodes(gib)


def test_a_context_too_long_for_one_card_is_an_error() -> None:
    phi = MODELS[ALIASES["phi-4-mini-instruct"]]
    with pytest.raises(sizing.SizingError, match="too small"):
        sizing.nodes_needed(sizing.Shape(1, 24), phi.weights_gib, phi.kv_bytes, 200000, "0.12.0")


def test_the_constants_changed_after_0_12_0() -> None:
    assert sizing.constants("0.12.0").utilisation == 0.84
    assert sizing.constants("0.12.1").utilisation == 0.92


def test_the_catalog_has_sixty_models_and_twenty_five_aliases() -> None:
    assert (len(MODELS), len(ALIASES)) == (60, 25)
