"""Taints of a node, and whether KAITO's pods may go there all the same. Pure."""

from __future__ import annotations

from clusters.engine.raw import word
from clusters.engine.shapes import Node
from clusters.engine.types import Taint, Toleration

# What KAITO's inference pods tolerate by themselves.
KAITO_TOLERATIONS = (
    Toleration(key="nvidia.com/gpu", operator="Exists"),
    Toleration(key="sku", value="gpu"),
    Toleration(key="kubernetes.azure.com/scalesetpriority", value="spot"),
)
# The node lifecycle controller sets these beside the state that we read from `conditions`.
_STATE_TAINTS = (
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
)


def taints_of(node: Node) -> tuple[Taint, ...]:
    """The node's taints in one order, each once."""
    if not node.spec.taints:
        return ()
    found = {Taint(t.key, word(t.value), word(t.effect)) for t in node.spec.taints if word(t.key)}
    return tuple(sorted(found, key=lambda t: (t.key, t.value, t.effect)))


def tolerates(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    """Kubernetes' rule: may a pod with these tolerations be scheduled beside this taint?"""
    if taint.effect not in ("NoSchedule", "NoExecute"):
        return True
    return any(_matches(toleration, taint) for toleration in tolerations)


def blocking_taint(taints: tuple[Taint, ...]) -> Taint | None:
    """The first taint that keeps KAITO's pods away, state taints apart."""
    kept = (taint for taint in taints if taint.key not in _STATE_TAINTS)
    return next((taint for taint in kept if not tolerates(taint, KAITO_TOLERATIONS)), None)


def _matches(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if not toleration.key:
        return toleration.operator == "Exists"
    if toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value
