"""KAITO's names: labels, annotations, finalizers; and what it reads from its objects. Pure."""

from __future__ import annotations

from typing import Any

import yaml

from fleetsim.actors import models
from fleetsim.actors.objects import Obj, labels, meta

MANAGER = "kaito-workspace"
WORKSPACE = "kaito.sh/workspace"
WORKSPACE_NAMESPACE = "kaito.sh/workspacenamespace"
KARPENTER_WORKSPACE = "karpenter.kaito.sh/workspace-name"
KARPENTER_NAMESPACE = "karpenter.kaito.sh/workspace-namespace"
CREATED_BY = "inferenceset.kaito.sh/created-by"
POD_INDEX = "apps.kubernetes.io/pod-index"
WORKSPACE_FINALIZER = "workspace.finalizer.kaito.sh"
SET_FINALIZER = "inferenceset.finalizer.kaito.sh"
CLAIM_FINALIZER = "karpenter.sh/termination"
RUNTIME = "kaito.sh/runtime"
NO_BENCHMARK = "kaito.sh/disable-benchmark"
BYPASS = "kaito.sh/bypass-resource-checks"
CONFIG_KEY = "inference_config.yaml"
RESERVED = frozenset({
    WORKSPACE, WORKSPACE_NAMESPACE, "kaito.sh/ragengine", "kaito.sh/ragenginenamespace",
    KARPENTER_WORKSPACE, KARPENTER_NAMESPACE, "karpenter.kaito.sh/inferenceset",
    "karpenter.kaito.sh/inferenceset-namespace",
})  # fmt: skip


def match_labels(workspace: Obj) -> dict[str, str]:
    """The matchLabels of a Workspace without KAITO's reserved keys."""
    selector = (workspace.get("resource") or {}).get("labelSelector") or {}
    found: dict[str, str] = selector.get("matchLabels") or {}
    return {key: value for key, value in found.items() if key not in RESERVED}


def instance_type(workspace: Obj) -> str:
    """The asked instance type, empty in bring-your-own clusters."""
    return str((workspace.get("resource") or {}).get("instanceType") or "")


def preset(workspace: Obj) -> str:
    """The preset's name, empty for template inference."""
    return str(((workspace.get("inference") or {}).get("preset") or {}).get("name") or "")


def config_name(workspace: Obj) -> str:
    """The ConfigMap with the engine's settings, empty when there is none."""
    return str((workspace.get("inference") or {}).get("config") or "")


def vllm_settings(config: Obj | None) -> dict[str, Any]:
    """The `vllm:` map of a ConfigMap's inference_config.yaml. Raises ValueError for bad YAML."""
    text = ((config or {}).get("data") or {}).get(CONFIG_KEY)
    if not text:
        return {}
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    settings = document.get("vllm") if isinstance(document, dict) else None
    return dict(settings) if isinstance(settings, dict) else {}


def served_name(workspace: Obj, config: Obj | None) -> str:
    """What clients send as `model`: the config's word, the InferenceSet's name, the preset's."""
    told = vllm_settings(config).get("served-model-name")
    if told:
        return str(told)
    owner = labels(workspace).get(CREATED_BY)
    model = models.find(preset(workspace))
    return owner or (model.served_name if model else meta(workspace)["name"])


def owner_labels(mode: str, namespace: str, name: str) -> dict[str, str]:
    """The labels that tie a created node to its Workspace."""
    if mode == "karpenter":
        return {KARPENTER_WORKSPACE: name, KARPENTER_NAMESPACE: namespace}
    return {WORKSPACE: name, WORKSPACE_NAMESPACE: namespace}
