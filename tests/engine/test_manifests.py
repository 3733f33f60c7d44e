"""The objects of one revision on clusters of both modes."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.types import PoolKind
from tests.engine.placement_world import BYO, cluster, demand, pool, story
from workspaces.engine import ownership
from workspaces.engine.manifests import (
    Manifests,
    Object,
    RevisionSpec,
    Target,
    build,
    config_text,
    merged,
    render,
    targets,
)
from workspaces.engine.names import DEPLOYMENT_MAX, INFERENCE_SET_MAX
from workspaces.engine.placement import place
from workspaces.engine.types import Situation

REVISION = RevisionSpec(
    team="assist",
    deployment="doc-summary",
    number=4,
    model="microsoft/Phi-4-mini-instruct",
    install="a1b2c3",
    max_model_len=8192,
)
ON_BYO = Target(
    "test-use1",
    2,
    True,
    PoolKind.EXISTING,
    "",
    {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "1"},
)
ON_AUTO = Target("stg-weu", 1, True, PoolKind.PROVISIONABLE, "Standard_NC24ads_A100_v4", {})
ALONE = replace(ON_BYO, cluster="old", replicas=1, inference_set=False)


def one(objects: list[Object], kind: str) -> Object:
    return next(o for o in objects if o["kind"] == kind)


def manifests(*chosen: Target, revision: RevisionSpec = REVISION) -> Manifests:
    return build(revision, chosen)


def test_a_bring_your_own_cluster_gets_a_selector_and_no_instance_type() -> None:
    spec = one(manifests(ON_BYO).of("test-use1"), "InferenceSet")["spec"]
    assert spec["replicas"] == 2
    assert spec["labelSelector"] == {"matchLabels": ON_BYO.selector}
    assert "resource" not in spec["template"]


def test_an_auto_cluster_gets_an_instance_type_and_a_selector_of_its_own() -> None:
    spec = one(manifests(ON_AUTO).of("stg-weu"), "InferenceSet")["spec"]
    assert spec["template"]["resource"] == {"instanceType": "Standard_NC24ads_A100_v4"}
    labels = spec["labelSelector"]["matchLabels"]
    assert list(labels) == ["fleetportal.io/nodes"]
    later = manifests(ON_AUTO, revision=replace(REVISION, number=5)).of("stg-weu")
    assert one(later, "InferenceSet")["spec"]["labelSelector"]["matchLabels"] != labels


def test_without_inference_set_one_workspace_stands_alone() -> None:
    objects = manifests(ON_AUTO, ALONE).of("old")
    workspace = one(objects, "Workspace")
    assert "spec" not in workspace
    assert workspace["resource"] == {"labelSelector": {"matchLabels": ALONE.selector}}
    assert one(objects, "Service")["spec"]["selector"] == {
        "kaito.sh/workspace": REVISION.name,
        "apps.kubernetes.io/pod-index": "0",
    }
    assert "InferenceSet" not in [o["kind"] for o in objects]
    assert "Workspace" not in [o["kind"] for o in manifests(ON_AUTO, ALONE).of("stg-weu")]


def test_two_replicas_without_inference_set_are_refused() -> None:
    with pytest.raises(ValueError, match="only 1 replica"):
        manifests(replace(ALONE, replicas=2))


def test_objects_come_in_the_order_in_which_they_are_applied() -> None:
    objects = manifests(ON_BYO, revision=replace(REVISION, secret="hf-token")).of("test-use1")
    assert [o["kind"] for o in objects] == [
        *("Namespace", "Secret", "ConfigMap", "InferenceSet", "Service"),
    ]


def test_our_service_keeps_its_name_and_selects_pod_0_of_this_revision() -> None:
    service = one(manifests(ON_BYO).of("test-use1"), "Service")
    assert service["metadata"]["name"] == "doc-summary"
    assert service["spec"]["selector"] == {
        "inferenceset.kaito.sh/created-by": REVISION.name,
        "apps.kubernetes.io/pod-index": "0",
    }
    (port,) = service["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, 5000)


def test_the_configmap_is_immutable_named_by_content_and_serves_the_deployments_name() -> None:
    objects = manifests(ON_BYO).of("test-use1")
    config = one(objects, "ConfigMap")
    assert config["immutable"] is True
    assert yaml.safe_load(config["data"]["inference_config.yaml"]) == {
        "vllm": {"served-model-name": "doc-summary", "max-model-len": 8192}
    }
    template = one(objects, "InferenceSet")["spec"]["template"]
    assert template["inference"]["config"] == config["metadata"]["name"]
    other = manifests(ON_BYO, revision=replace(REVISION, max_model_len=4096)).of("test-use1")
    assert one(other, "ConfigMap")["metadata"]["name"] != config["metadata"]["name"]


def test_settings_cannot_change_the_served_name() -> None:
    own = replace(REVISION, settings={"served-model-name": "other", "enforce-eager": True})
    settings = yaml.safe_load(config_text(own))["vllm"]
    assert settings["served-model-name"] == "doc-summary"
    assert settings["enforce-eager"] is True


def test_a_gated_model_names_its_secret_and_no_value_is_in_the_plan() -> None:
    built = manifests(ON_BYO, revision=replace(REVISION, secret="hf-token"))
    objects = built.of("test-use1")
    preset = one(objects, "InferenceSet")["spec"]["template"]["inference"]["preset"]
    assert preset["presetOptions"] == {"modelAccessSecret": "hf-token"}
    secret = one(objects, "Secret")
    assert "data" not in secret and "stringData" not in secret
    filled = ownership.with_token(secret, "hf_abc")
    assert filled["stringData"] == {"HF_TOKEN": "hf_abc"}
    assert "stringData" not in secret
    assert ownership.desired_hash(filled) == ownership.desired_hash(secret)


def test_only_a_secret_takes_a_token() -> None:
    with pytest.raises(ValueError, match="not a Secret"):
        ownership.with_token({"kind": "ConfigMap"}, "hf_abc")


def test_another_runtime_and_annotations_reach_the_workspaces_themselves() -> None:
    own = replace(
        REVISION,
        runtime="transformers",
        annotations={"kaito.sh/performance-mode": "throughput"},
    )
    both = build(own, [ON_AUTO, ALONE])
    wanted = {"kaito.sh/performance-mode": "throughput", "kaito.sh/runtime": "transformers"}
    template = one(both.of("stg-weu"), "InferenceSet")["spec"]["template"]
    assert template["metadata"]["annotations"] == wanted
    assert one(both.of("old"), "Workspace")["metadata"]["annotations"] == wanted


def test_labels_name_the_owner_and_shared_objects_no_revision() -> None:
    objects = manifests(ON_BYO).of("test-use1")
    assert one(objects, "InferenceSet")["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "fleetportal",
        "fleetportal.io/team": "assist",
        "fleetportal.io/install": "a1b2c3",
        "fleetportal.io/deployment": "doc-summary",
        "fleetportal.io/revision": "4",
    }
    assert "fleetportal.io/revision" not in one(objects, "Namespace")["metadata"]["labels"]


@given(st.from_regex(r"[a-z][a-z0-9]{0,34}[a-z0-9]", fullmatch=True), st.integers(1, 999))
def test_names_fit_and_differ_per_attempt_team_and_install(deployment: str, number: int) -> None:
    assert len(deployment) <= DEPLOYMENT_MAX
    first = replace(REVISION, deployment=deployment, number=number)
    assert re.fullmatch(rf"{deployment}-r{number}-[0-9a-f]{{4}}", first.name)
    assert len(first.name) <= INFERENCE_SET_MAX
    others = [replace(first, attempt=2), replace(first, attempt=3), replace(first, team="risk")]
    assert len({r.name for r in others} - {first.name}) >= 2  # 4 digits may meet once


def test_the_digest_covers_patches_and_is_stable() -> None:
    assert manifests(ON_BYO).digest == manifests(ON_BYO).digest
    assert manifests(ON_BYO).digest != manifests(replace(ON_BYO, replicas=3)).digest


def test_a_plan_survives_its_way_through_json() -> None:
    import json

    built = manifests(ON_AUTO, ALONE)
    base, patch = json.loads(json.dumps([built.base, built.patches["old"]]))
    assert render(base, patch) == built.of("old")


def test_the_targets_of_a_decision_carry_replicas_and_nodes() -> None:
    fleet = story()
    chosen = {t.cluster: t for t in targets(place(demand(3), fleet, Situation()).verdicts, fleet)}
    assert sorted(chosen) == ["prod-weu", "stg-weu", "test-use1"]
    assert chosen["prod-weu"].instance_type == "Standard_NC24ads_A100_v4"
    assert chosen["prod-weu"].selector == {}
    assert chosen["test-use1"].instance_type == ""
    assert chosen["test-use1"].selector["nvidia.com/gpu.product"] == "NVIDIA-L4"


def test_a_cluster_without_inference_set_becomes_a_single_workspace() -> None:
    able = replace(BYO, inference_set_works=False)
    fleet = [cluster("old", "test", "x", able, pool("g6.xlarge", nodes=1, whole=1))]
    (target,) = targets(place(demand(1), fleet, Situation()).verdicts, fleet)
    assert target.inference_set is False


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ([1], {"a": 1}, {"a": 1}),
    ],
)
def test_patches_are_json_merge_patches(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result


def _as_stored(desired: Object) -> Object:
    """What a cluster gives back: defaults added, KAITO's whole-object write, other people's
    labels and stamps of the server."""
    live = copy.deepcopy(desired)
    live["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 2}
    live["metadata"]["labels"]["argocd/x"] = "y"
    live["spec"] |= {"updateStrategy": {"type": "RollingUpdate"}}
    live["spec"]["template"]["inference"]["preset"] |= {"accessMode": "public"}
    live["spec"]["template"]["inference"]["preset"].setdefault("presetOptions", {})
    live["status"] = {"replicas": 1}
    return live


def test_server_defaults_and_other_peoples_fields_are_no_drift() -> None:
    desired = one(manifests(ON_AUTO).of("stg-weu"), "InferenceSet")
    assert ownership.differs(desired, _as_stored(desired)) == []


def test_a_changed_or_missing_leaf_of_ours_is_named() -> None:
    desired = one(manifests(ON_BYO).of("test-use1"), "InferenceSet")
    live = _as_stored(desired)
    live["spec"]["replicas"] = 1
    del live["metadata"]["labels"]["fleetportal.io/team"]
    assert ownership.differs(desired, live) == [
        'metadata.labels["fleetportal.io/team"]',
        "spec.replicas",
    ]


def test_list_items_may_have_defaults_but_not_more_items() -> None:
    service = one(manifests(ON_BYO).of("test-use1"), "Service")
    live = copy.deepcopy(service)
    live["spec"]["ports"][0] |= {"nodePort": 30080}
    live["spec"] |= {"clusterIP": "10.0.0.7", "sessionAffinity": "None"}
    assert ownership.differs(service, live) == []
    live["spec"]["ports"].append({"port": 81})
    assert ownership.differs(service, live) == ["spec.ports"]


@pytest.mark.parametrize(
    ("ours", "theirs", "paths"),
    [
        ({"a": True}, {"a": 1}, ["a"]),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": {}}, {"a": "x"}, ["a"]),
        ({"a": None}, {}, []),
        ({"stringData": {"k": "v"}}, {}, []),
    ],
)
def test_leaves_are_compared_by_value(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], paths: list[str]
) -> None:
    assert ownership.differs(dict(ours), dict(theirs)) == paths


def test_stamps_do_not_change_the_desired_hash() -> None:
    desired = one(manifests(ON_BYO).of("test-use1"), "InferenceSet")
    wanted = ownership.desired_hash(desired)
    stamped = ownership.stamp(desired, digest="d" * 64, fence=7, desired_hash=wanted)
    assert stamped["metadata"]["annotations"] == {
        "fleetportal.io/digest": "d" * 64,
        "fleetportal.io/fence": "7",
        "fleetportal.io/desired-hash": wanted,
    }
    assert ownership.desired_hash(stamped) == wanted
    assert "annotations" not in desired["metadata"]
