from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.access import QUESTIONS
from clusters.engine.capabilities import (
    INFERENCE_SET_WEBHOOK,
    WORKSPACE_WEBHOOK,
    ProbeAnswers,
    read_capabilities,
)
from clusters.engine.types import Capabilities, ProvisionerMode

BOTH = frozenset({"workspaces", "inferencesets"})
WEBHOOKS = [
    {"webhooks": [{"name": WORKSPACE_WEBHOOK}]},
    {"webhooks": [{"name": INFERENCE_SET_WEBHOOK}]},
]


def controller(*args: str, image: str = "ghcr.io/kaito-project/kaito/workspace:0.12.0") -> Any:
    return {
        "metadata": {"name": "kaito-workspace", "namespace": "kaito-workspace"},
        "spec": {"template": {"spec": {"containers": [{"image": image, "args": list(args)}]}}},
        "status": {"readyReplicas": 1},
    }


def probe(**changes: Any) -> Capabilities:
    whole: dict[str, Any] = {
        "version": {"gitVersion": "v1.33.2-eks-1"},
        "kaito_kinds": BOTH,
        "webhooks": WEBHOOKS,
        "deployments": [controller("--node-provisioner=byo", "--feature-gates=vLLM=true,x=false")],
        "supported_models": {
            "data": {"supported_models.yaml": "models:\n  - name: base\n    tag: 0.0.12\n"}
        },
        "access": dict.fromkeys(QUESTIONS, True),
    }
    return read_capabilities(ProbeAnswers(**(whole | changes)))


def test_a_complete_cluster_has_no_gap() -> None:
    found = probe()
    assert found.gaps == ()
    assert found.kubernetes_version == "1.33.2-eks-1"
    assert (found.kaito_version, found.base_image_tag) == ("0.12.0", "0.0.12")
    assert found.provisioner is ProvisionerMode.BYO
    assert found.feature_gates == {"vLLM": True, "x": False}
    assert found.workspace_served
    assert found.inference_set_works
    assert found.webhook_ready


def test_no_answers_are_unknown_and_never_no() -> None:
    found = read_capabilities(ProbeAnswers())
    assert found.workspace_served is None
    assert found.inference_set_works is None
    assert found.webhook_ready is None
    assert found.provisioner is None
    assert [gap.feature for gap in found.gaps] == ["provisioning"]


def test_served_is_not_works_without_the_webhook() -> None:
    found = probe(webhooks=WEBHOOKS[:1])
    assert found.inference_set_works is False
    assert [gap.feature for gap in found.gaps] == ["inference-set"]


@pytest.mark.parametrize(
    ("change", "works"),
    [
        (
            {"deployments": [controller("--feature-gates=enableInferenceSetController=false")]},
            False,
        ),
        ({"kaito_kinds": frozenset({"workspaces"})}, False),
        ({"deployments": [controller() | {"status": {}}]}, False),
        ({"webhooks": None}, True),
        ({"webhooks": None, "deployments": None}, None),
    ],
)
def test_an_inference_set_works_only_with_gate_kind_and_live_controller(
    change: dict[str, Any], works: bool | None
) -> None:
    assert probe(**change).inference_set_works is works


def test_without_kaito_there_is_one_gap_that_says_so() -> None:
    found = probe(kaito_kinds=frozenset(), webhooks=[], deployments=[])
    assert found.workspace_served is False
    assert "not installed" in found.gaps[0].cost


@pytest.mark.parametrize(
    ("args", "mode"),
    [
        ((), ProvisionerMode.AZURE),
        (("--node-provisioner", "karpenter"), ProvisionerMode.KARPENTER),
        (("--node-provisioner=novel",), None),
    ],
)
def test_the_provisioner_is_read_from_the_flags(
    args: tuple[str, ...], mode: ProvisionerMode | None
) -> None:
    assert probe(deployments=[controller(*args)]).provisioner is mode


def test_the_version_comes_from_labels_when_the_image_is_pinned_by_digest() -> None:
    pinned = controller(image="ghcr.io/kaito-project/kaito/workspace@sha256:abc")
    pinned["metadata"]["labels"] = {"helm.sh/chart": "workspace-0.11.1"}
    assert probe(deployments=[pinned]).kaito_version == "0.11.1"


def test_every_missing_permission_says_what_it_costs() -> None:
    gaps = probe(access=dict.fromkeys(QUESTIONS, False), deployments=[controller()]).gaps
    assert len(gaps) == len(QUESTIONS)
    assert all(gap.cost.endswith(".") and " " in gap.missing for gap in gaps)
    assert {gap.feature for gap in gaps} == {
        "observe",
        "inference-set",
        "deploy",
        "logs",
        "prompt",
        "provisioning",
    }
    assert "create inferencesets.kaito.sh" in {gap.missing for gap in gaps}
    assert "get pods/log" in {gap.missing for gap in gaps}


def test_permissions_for_kinds_that_are_not_used_cost_nothing() -> None:
    denied = {q: q.group not in ("karpenter.sh",) for q in QUESTIONS}
    assert probe(access=denied).gaps == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "spec", "template", "containers", "webhooks", "data"])
            | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
)
objects = st.dictionaries(
    st.sampled_from(["metadata", "spec", "webhooks", "data", "status", "gitVersion"]), json_values
)


@given(objects, st.lists(objects), st.lists(objects), objects)
def test_nothing_a_cluster_answers_can_break_it(
    version: Any, webhooks: Any, deployments: Any, models: Any
) -> None:
    found = probe(
        version=version, webhooks=webhooks, deployments=deployments, supported_models=models
    )
    assert isinstance(found, Capabilities)
