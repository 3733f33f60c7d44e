"""KAITO's admission rules about nodes: instance type, selector, and the existing nodes it matches.

A part of `validate`, with the type of a finding. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from clusters.engine.skus import find
from clusters.engine.types import ClusterFacts, PoolFacts, PoolKind, ProvisionerMode
from workspaces.engine.skus import reported_gib
from workspaces.engine.types import ModelSpec

GPU_PRODUCT = "nvidia.com/gpu.product"
GPU_COUNT = "nvidia.com/gpu.count"
_RESERVED_KEYS = frozenset(
    {
        *("kaito.sh/workspace", "kaito.sh/workspacenamespace"),
        *("kaito.sh/ragengine", "kaito.sh/ragenginenamespace"),
        *("karpenter.kaito.sh/workspace-name", "karpenter.kaito.sh/workspace-namespace"),
        *("karpenter.kaito.sh/inferenceset", "karpenter.kaito.sh/inferenceset-namespace"),
    }
)


class Problem(NamedTuple):
    """What is wrong, where, and what to do about it."""

    field: str
    message: str
    remedy: str


def get(obj: Any, *path: str) -> Any:
    """The value at a path of mappings, None where the path ends early."""
    for key in path:
        obj = obj.get(key) if isinstance(obj, Mapping) else None
    return obj


def nodes(
    resource: Mapping[str, Any], cluster: ClusterFacts, model: ModelSpec
) -> Iterator[Problem]:
    """What KAITO refuses about the `resource` of a Workspace on this cluster."""
    yield from _resource(resource, cluster)
    yield from _selector(resource.get("labelSelector"))
    if cluster.capabilities.provisioner is ProvisionerMode.BYO:
        yield from _existing_nodes(resource, cluster, model)


def _resource(resource: Mapping[str, Any], cluster: ClusterFacts) -> Iterator[Problem]:
    instance, mode = resource.get("instanceType") or "", cluster.capabilities.provisioner
    where = "resource.instanceType"
    if mode is None:
        yield Problem(where, "KAITO's provisioner mode is unknown", "Check the cluster again.")
    elif mode is ProvisionerMode.BYO and instance:
        message = f"{instance} is named, but KAITO uses existing nodes here"
        yield Problem(where, message, "Leave the instance type out; select nodes by label.")
    elif mode is not ProvisionerMode.BYO and not instance:
        yield Problem(where, "missing; KAITO creates the nodes here", "Name an instance type.")
    elif instance and find(instance) is None:
        yield Problem(where, f"KAITO does not know {instance}", "Use a type of KAITO's table.")


def _selector(selector: Any) -> Iterator[Problem]:
    where = "resource.labelSelector"
    labels = get(selector, "matchLabels") or {}
    expressions = get(selector, "matchExpressions") or []
    if not labels and not expressions:
        yield Problem(where, "missing or empty", "Select the nodes by matchLabels.")
    elif any(e.get("operator") != "In" for e in expressions):
        yield Problem(where, "only matchLabels and In are allowed", "Use matchLabels.")
    elif {*labels, *(e.get("key") for e in expressions)} <= _RESERVED_KEYS:
        yield Problem(where, "has only keys that KAITO reserves", "Use a label of your own.")


def _existing_nodes(
    resource: Mapping[str, Any], cluster: ClusterFacts, model: ModelSpec
) -> Iterator[Problem]:
    """Nodes must match, carry the GPU labels, be alike, and hold the weights together."""
    where = "resource.labelSelector"
    labels = get(resource, "labelSelector", "matchLabels") or {}
    existing = [p for p in cluster.pools if p.kind is PoolKind.EXISTING and p.nodes > 0]
    matching = [p for p in existing if labels.items() <= p.selector.items()]
    if not matching:
        yield Problem(where, "no node of the cluster matches", "Select an existing pool.")
        return
    if any(GPU_PRODUCT not in p.selector or GPU_COUNT not in p.selector for p in matching):
        message = f"matching nodes lack {GPU_PRODUCT} or {GPU_COUNT}"
        yield Problem(where, message, "Install GPU Feature Discovery on the cluster.")
    if len({_likeness(p) for p in matching}) > 1:
        message = "matching nodes differ in GPU model, count or memory"
        yield Problem(where, message, "Select one pool by more labels.")
        return
    memory = [_memory_gib(p) for p in matching]
    known = sum(m for m in memory if m is not None)
    if None not in memory and known < model.weights_gib:
        message = f"{known} GiB of GPU memory in all is less than the {model.weights_gib:g} GiB"
        yield Problem(where, f"{message} of weights", "Choose a bigger pool or a smaller model.")


def _likeness(pool: PoolFacts) -> tuple[str, str, int | None]:
    product, count = pool.selector.get(GPU_PRODUCT, ""), pool.selector.get(GPU_COUNT, "")
    return (product, count, pool.gpu_memory_mib)


def _memory_gib(pool: PoolFacts) -> int | None:
    if pool.gpu_memory_mib is None:
        return None
    return pool.nodes * pool.gpus_per_node * reported_gib(pool.gpu_memory_mib)
