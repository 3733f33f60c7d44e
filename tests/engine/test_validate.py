"""Our mirror of KAITO's admission: what it lets through, and each thing it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings

from clusters.engine.types import ClusterFacts, Taint
from tests.engine.placement_world import (
    AUTO,
    BYO,
    LLAMA_8B,
    PHI4_MINI,
    auto,
    cluster,
    demand,
    pool,
    story,
)
from tests.engine.test_placement_properties import demands, fleets, situations
from workspaces.engine.manifests import Object, RevisionSpec, build, targets
from workspaces.engine.placement import place
from workspaces.engine.types import Demand, ModelSpec, Situation
from workspaces.engine.validate import check, check_deployment_name

EXISTING = cluster("byo", "test", "x", BYO, pool("g6.xlarge", nodes=4, whole=4))
CREATING = cluster("auto", "test", "x", AUTO, auto("Standard_NC24ads_A100_v4", 4))
REVISION = RevisionSpec("assist", "chat", 1, PHI4_MINI.hf_id, "i", max_model_len=4096)


def built(facts: ClusterFacts, revision: RevisionSpec = REVISION) -> list[Object]:
    decision = place(demand(1), [facts], Situation())
    return build(revision, targets(decision.verdicts, [facts])).of(facts.name)


def fields(objects: list[Object], facts: ClusterFacts, model: ModelSpec = PHI4_MINI) -> list[str]:
    return [problem.field for problem in check(objects, facts, model)]


def workload(objects: list[Object]) -> Object:
    return next(o for o in objects if o["kind"] in ("InferenceSet", "Workspace"))


@pytest.mark.parametrize("facts", [EXISTING, CREATING])
def test_what_we_build_is_admitted(facts: ClusterFacts) -> None:
    assert check(built(facts), facts, PHI4_MINI) == []


@settings(max_examples=40, deadline=None)
@given(demands(), fleets(), situations())
def test_every_plan_that_is_ready_is_admitted_everywhere(
    asked: Demand, fleet: list[ClusterFacts], situation: Situation
) -> None:
    chosen = targets(place(asked, fleet, situation).verdicts, fleet)
    secret = "hf-token" if asked.model.gated else ""
    revision = RevisionSpec(
        "assist",
        "chat",
        1,
        asked.model.hf_id,
        "i",
        max_model_len=asked.max_model_len,
        secret=secret,
    )
    manifests = build(revision, chosen)
    for facts in fleet:
        if facts.name in manifests.patches:
            found = check(manifests.of(facts.name), facts, asked.model)
            # Two generated pools of one cluster may look alike to a selector.
            assert [p for p in found if "differ" not in p.message] == []


def _set(path: str, value: object) -> Callable[[Object], None]:
    def change(obj: Object) -> None:
        *way, last = path.split(".")
        for key in way:
            obj = obj.setdefault(key, {})
        obj[last] = value

    return change


@pytest.mark.parametrize(
    ("facts", "path", "value", "field"),
    [
        (EXISTING, "metadata.name", "a" * 47, "metadata.name"),
        (EXISTING, "metadata.name", "Upper", "metadata.name"),
        (EXISTING, "metadata.namespace", "kube-system", "metadata.namespace"),
        (EXISTING, "apiVersion", "kaito.sh/v1alpha1", "apiVersion"),
        (EXISTING, "spec.replicas", -1, "spec.replicas"),
        (EXISTING, "spec.template.resource.instanceType", "g6.xlarge", "resource.instanceType"),
        (CREATING, "spec.template.resource.instanceType", "", "resource.instanceType"),
        (CREATING, "spec.template.resource.instanceType", "Standard_D4", "resource.instanceType"),
        (EXISTING, "spec.labelSelector", {}, "resource.labelSelector"),
        (
            CREATING,
            "spec.labelSelector",
            {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
            "resource.labelSelector",
        ),
        (
            CREATING,
            "spec.labelSelector",
            {"matchLabels": {"kaito.sh/workspace": "x"}},
            "resource.labelSelector",
        ),
        (
            EXISTING,
            "spec.labelSelector",
            {"matchLabels": {"nvidia.com/gpu.product": "NVIDIA-H100"}},
            "resource.labelSelector",
        ),
        (EXISTING, "spec.template.inference.template", {"spec": {}}, "inference"),
        (EXISTING, "spec.template.inference.preset", {"name": "phi"}, "inference.preset.name"),
        (EXISTING, "spec.template.inference.config", "missing", "inference.config"),
        (
            EXISTING,
            "spec.template.inference.adapters",
            [{"source": {"name": "a"}}, {"source": {"name": "a"}}],
            "inference.adapters",
        ),
        (
            EXISTING,
            "spec.template.metadata.annotations",
            {"kaito.sh/performance-mode": "fast"},
            "kaito.sh/performance-mode",
        ),
        (
            EXISTING,
            "spec.template.metadata.annotations",
            {"kaito.sh/runtime": "transformers"},
            "runtime",
        ),
    ],
)
def test_each_rule_of_admission_is_mirrored(
    facts: ClusterFacts, path: str, value: object, field: str
) -> None:
    objects = built(facts)
    _set(path, value)(workload(objects))
    found = check(objects, facts, PHI4_MINI)
    assert field in [p.field for p in found]
    assert all(p.message and p.remedy for p in found)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("vllm: [", "data[inference_config.yaml]"),
        ("other: 1", "data[inference_config.yaml]"),
        ("vllm: {max-model-len: 200000}", "max_model_len"),
        ("vllm: {max-model-len: many}", "max_model_len"),
        ("vllm: {a: {b: 1}}", "vllm"),
    ],
)
def test_a_bad_configmap_is_refused(text: str, field: str) -> None:
    objects = built(EXISTING)
    config = next(o for o in objects if o["kind"] == "ConfigMap")
    config["data"]["inference_config.yaml"] = text
    assert fields(objects, EXISTING) == [field]


def test_a_configmap_without_the_key_is_refused() -> None:
    objects = built(EXISTING)
    next(o for o in objects if o["kind"] == "ConfigMap")["data"] = {}
    assert fields(objects, EXISTING) == ["data[inference_config.yaml]"]


def test_a_gated_model_needs_a_named_and_existing_secret() -> None:
    gated = replace(REVISION, model=LLAMA_8B.hf_id)
    where = "inference.preset.presetOptions.modelAccessSecret"
    assert fields(built(EXISTING, gated), EXISTING, LLAMA_8B) == [where]
    objects = built(EXISTING, replace(gated, secret="hf-token"))
    assert fields(objects, EXISTING, LLAMA_8B) == []
    without = [o for o in objects if o["kind"] != "Secret"]
    assert fields(without, EXISTING, LLAMA_8B) == [where]


def test_existing_nodes_must_be_alike_and_hold_the_weights() -> None:
    where = "resource.labelSelector"
    other = replace(pool("g6.xlarge", nodes=1, whole=1, key="b"), gpu_memory_mib=46068)
    mixed = replace(EXISTING, pools=(*EXISTING.pools, other))
    assert fields(built(EXISTING), mixed) == [where]
    small = replace(EXISTING.pools[0], nodes=1, gpu_memory_mib=4096)
    assert fields(built(EXISTING), replace(EXISTING, pools=(small,))) == [where]


def test_an_inert_inference_set_is_refused() -> None:
    inert = replace(EXISTING, capabilities=replace(BYO, inference_set_works=False))
    assert fields(built(EXISTING), inert) == ["kind"]


def test_an_unknown_provisioner_is_refused() -> None:
    unknown = replace(EXISTING, capabilities=replace(BYO, provisioner=None))
    assert fields(built(EXISTING), unknown) == ["resource.instanceType"]


def test_a_service_must_select_pod_0_of_this_revision() -> None:
    objects = built(EXISTING)
    service = next(o for o in objects if o["kind"] == "Service")
    del service["spec"]["selector"]["apps.kubernetes.io/pod-index"]
    assert fields(objects, EXISTING) == ["spec.selector"]


def test_a_service_may_not_have_the_name_of_a_workspace() -> None:
    objects = built(EXISTING)
    service = next(o for o in objects if o["kind"] == "Service")
    service["metadata"]["name"] = workload(objects)["metadata"]["name"]
    assert fields(objects, EXISTING) == ["service"]


@pytest.mark.parametrize("name", ["chat", "doc-summary", "a1", "x-r2", "a" * 36])
def test_usable_deployment_names(name: str) -> None:
    assert check_deployment_name(name) == []


@pytest.mark.parametrize(
    "name",
    ["", "Chat", "-a", "a-", "a.b", "a_b", "1a", "a" * 37, "chat-r1-ab12", "c-r1-ab12-x7k2p"],
)
def test_unusable_deployment_names(name: str) -> None:
    (problem,) = check_deployment_name(name)
    assert problem.field == "name"
    assert problem.remedy


def test_the_whole_story_is_admitted() -> None:
    fleet = story()
    chosen = targets(place(demand(3), fleet, Situation()).verdicts, fleet)
    manifests = build(REVISION, chosen)
    for facts in fleet:
        if facts.name in manifests.patches:
            assert check(manifests.of(facts.name), facts, PHI4_MINI) == []


def test_a_taint_is_no_matter_of_admission() -> None:
    tainted = replace(EXISTING, taints=(Taint("a", "b"),))
    assert check(built(EXISTING), tainted, PHI4_MINI) == []
