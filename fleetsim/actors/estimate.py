"""Turns a Workspace into node counts: the shape it will get, its context, KAITO's estimate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fleetsim.actors import models, naming, sizing, skus
from fleetsim.actors.member import Member
from fleetsim.actors.objects import Obj, key_of, labels, meta, node_ready


@dataclass(frozen=True, slots=True)
class NodeShape:
    """What one node of a Workspace offers. `sku` is None for unknown bring-your-own machines."""

    gpus: int
    gib: int
    product: str
    sku: skus.Sku | None

    def sizing(self) -> sizing.Shape:
        """The estimator's view."""
        return sizing.Shape(self.gpus, self.gib, self.product in ("NVIDIA-A10", "A10"))


def matching_nodes(m: Member, workspace: Obj) -> list[Obj]:
    """Nodes that carry every matchLabel of the Workspace, sorted by name."""
    return sorted(m.store.list("Node", selector=naming.match_labels(workspace)), key=_name)


def _name(obj: Obj) -> str:
    return str(meta(obj)["name"])


def shape_of_node(node: Obj) -> NodeShape | None:
    """From GPU Feature Discovery labels, memory rounded to GiB as KAITO does; None without."""
    found = labels(node)
    product = found.get("nvidia.com/gpu.product", "")
    count, memory = found.get("nvidia.com/gpu.count"), found.get("nvidia.com/gpu.memory")
    if not (product and count and memory):
        return None
    gib = math.floor(int(memory) / 1024 + 0.5)
    sku = skus.find(found.get("node.kubernetes.io/instance-type", ""))
    return NodeShape(int(count), gib, product, sku)


def shape(m: Member, workspace: Obj) -> NodeShape | None:
    """The node shape that this Workspace will run on; None when KAITO cannot know it."""
    if m.spec.byo:
        ready = [node for node in matching_nodes(m, workspace) if node_ready(node)]
        return shape_of_node(ready[0]) if ready else None
    sku = skus.find(naming.instance_type(workspace))
    return NodeShape(sku.gpus, sku.gib, sku.card.product, sku) if sku else None


def config_of(m: Member, workspace: Obj) -> Obj | None:
    """The ConfigMap that the Workspace names."""
    name = naming.config_name(workspace)
    return m.store.get("ConfigMap", key_of(workspace)[0], name) if name else None


def target_nodes(m: Member, workspace: Obj) -> int:
    """KAITO's node count for one replica. Raises SizingError with the text KAITO reports."""
    model = models.find(naming.preset(workspace))
    count = int((workspace.get("resource") or {}).get("count") or 1)
    if model is None:
        return count
    found = shape(m, workspace)
    if found is None:
        what = naming.instance_type(workspace) or "any ready node"
        raise sizing.SizingError(f"failed to get GPU config from {what}")
    settings = naming.vllm_settings(config_of(m, workspace))
    context = int(settings.get("max-model-len") or sizing.DEFAULT_CONTEXT)
    version = m.spec.kaito_version
    return sizing.nodes_needed(found.sizing(), model.weights_gib, model.kv_bytes, context, version)
