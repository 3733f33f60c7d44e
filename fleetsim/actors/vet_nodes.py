"""The webhook's look at bring-your-own nodes: they exist, carry GPU facts, are alike, suffice.

Free GPUs are not looked at, and nothing is reserved: neither does KAITO.
"""

from __future__ import annotations

from fleetsim.actors import estimate, models, naming
from fleetsim.actors.estimate import NodeShape
from fleetsim.actors.member import Member
from fleetsim.actors.objects import Obj, meta, notes_of

_PATH = "labelSelector"


def check(m: Member, workspace: Obj) -> list[str]:
    """Complaints about the nodes that a preset Workspace selects; none in the auto modes."""
    model = models.find(naming.preset(workspace))
    if not m.spec.byo or model is None:
        return []
    nodes = estimate.matching_nodes(m, workspace)
    if not nodes:
        return [f"no nodes match the label selector: {_PATH}"]
    shapes = [estimate.shape_of_node(node) for node in nodes]
    bare = [meta(node)["name"] for node, shape in zip(nodes, shapes, strict=True) if shape is None]
    if bare:
        wanted = "nvidia.com/gpu.product, nvidia.com/gpu.count, nvidia.com/gpu.memory"
        return [f"node {bare[0]} lacks GPU labels ({wanted}): {_PATH}"]
    return _alike(workspace, model.weights_gib, [shape for shape in shapes if shape])


def _alike(workspace: Obj, weights_gib: float, shapes: list[NodeShape]) -> list[str]:
    if len({(shape.product, shape.gpus, shape.gib) for shape in shapes}) > 1:
        return [
            f"nodes that match the label selector differ in GPU product, count or memory: {_PATH}"
        ]
    total = sum(shape.gpus * shape.gib for shape in shapes)
    if naming.BYPASS not in notes_of(workspace) and total < weights_gib:
        text = f"Insufficient total GPU memory: {total}GiB on nodes, model needs {weights_gib}GiB"
        return [f"{text}: {_PATH}"]
    return []
