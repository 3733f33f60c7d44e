"""What one Kubernetes Node says about its GPUs. Pure; broken input gives unknown, not errors.

Sources, best first: GPU Feature Discovery labels, cloud and Karpenter labels, what HAMi or a DRA
driver reports of the cards, the SKU table, the usual figures of the card's model.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from clusters.engine.cards import bare_model, usual_memory
from clusters.engine.clouds import Place, place_of
from clusters.engine.dra import DraNode
from clusters.engine.quantities import parse_quantity
from clusters.engine.raw import first, gpu_count, mebibytes, word
from clusters.engine.shapes import Node
from clusters.engine.sharing import Part, parts_of, physical_of, sharing_of
from clusters.engine.signs import Signs, SkuFacts, SkuLookup, gather
from clusters.engine.taints import taints_of
from clusters.engine.types import Taint

_PIN_LABELS = ("kaito.sh/workspace", "karpenter.kaito.sh/workspace-name")
_GFD_MEMORY = "nvidia.com/gpu.memory"  # MiB of one card; under MIG "single" of one slice
_MEMORY_LABELS = ("karpenter.k8s.aws/instance-gpu-memory", "eks.amazonaws.com/instance-gpu-memory")
_VRAM_LABELS = ("amd.com/gpu.vram", "beta.amd.com/gpu.vram")  # "64G", which means GiB there
_MAKERS = ("nvidia", "amd", "intel", "habana", "google", "aws")


class NodeReading(msgspec.Struct, frozen=True):
    """One GPU node as its objects say. Counts are parts where `sharing` is not none."""

    name: str
    signs: Signs
    place: Place
    instance_type: str
    vendor: str
    gpu_model: str
    gpu_memory_mib: int | None  # of one card
    compute_capability: float | None
    labelled_count: int | None  # what KAITO reads as GPUs per node on bring-your-own nodes
    physical: int | None
    ready: bool
    cordoned: bool
    taints: tuple[Taint, ...]
    sharing: str
    parts: tuple[Part, ...]
    workspace: str  # KAITO workspace this node was made for, or ""

    @property
    def labels(self) -> Mapping[str, str]:
        return self.signs.labels


def read_node(
    node: Node, skus: SkuLookup, dra: DraNode | None = None, now: datetime | None = None
) -> NodeReading | None:
    """The GPU side of a node, or None: it has no name or gives no sign of a GPU."""
    name, signs = word(node.metadata.name), gather(node, skus, dra, now)
    if not name or not signs.of_gpus:
        return None
    sharing, model = sharing_of(signs), _model(signs)
    memory = _memory(signs, sharing, model)
    physical = physical_of(signs, sharing, model)
    return NodeReading(
        name=name,
        signs=signs,
        place=place_of(node, signs.labels),
        instance_type=signs.sku.instance_type if signs.sku else signs.instance_type,
        vendor=_vendor(signs, model),
        gpu_model=model,
        gpu_memory_mib=memory,
        compute_capability=_compute_capability(signs.labels, signs.sku),
        labelled_count=signs.gfd_count or signs.cloud_count,
        physical=physical,
        ready=any(c.type == "Ready" and c.status == "True" for c in node.status.conditions or ()),
        cordoned=node.spec.unschedulable,
        taints=taints_of(node),
        sharing=sharing,
        parts=parts_of(signs, sharing, memory),
        workspace=first(signs.labels, _PIN_LABELS),
    )


def _model(signs: Signs) -> str:
    said = bare_model(signs.model)
    reported = (signs.dra.model if signs.dra else "") or (signs.hami.model if signs.hami else "")
    return said or reported or (signs.sku.gpu_model if signs.sku else "")


def _vendor(signs: Signs, model: str) -> str:
    """Who made the cards: by the resource's name, the driver, or the model's first word."""
    driver = (signs.dra.vendor if signs.dra else "") or (signs.hami.vendor if signs.hami else "")
    said = signs.offered.vendor or signs.capacity.vendor or driver
    start = model.replace("-", " ").lower().partition(" ")[0]
    if said:
        return said
    by_label = "nvidia" if "nvidia.com/gpu.product" in signs.labels else ""
    return by_label or (start if start in _MAKERS else "")


def _memory(signs: Signs, sharing: str, model: str) -> int | None:
    """MiB of one card."""
    labels = signs.labels
    slices = sharing == "mig" and "-MIG-" in signs.model
    said = None if slices else mebibytes(labels.get(_GFD_MEMORY))
    said = said or mebibytes(first(labels, _MEMORY_LABELS)) or _vram(labels)
    return said or _reported(signs) or _table(signs.sku) or usual_memory(model)


def _vram(labels: Mapping[str, str]) -> int | None:
    text = first(labels, _VRAM_LABELS)
    size = parse_quantity(f"{text}i") if text else None
    return int(size) >> 20 or None if size is not None and 0 < size < 2**51 else None


def _reported(signs: Signs) -> int | None:
    if signs.dra and signs.dra.memory_mib:
        return signs.dra.memory_mib
    cards = signs.hami.cards if signs.hami else ()
    return min((card.memory_mib for card in cards if card.memory_mib), default=None)


def _table(sku: SkuFacts | None) -> int | None:
    return int(sku.gpu_memory_gib * 1024) if sku and sku.gpu_memory_gib else None


def _compute_capability(labels: Mapping[str, str], sku: SkuFacts | None) -> float | None:
    for prefix in ("nvidia.com/gpu.compute", "nvidia.com/cuda.compute"):
        major = gpu_count(labels.get(f"{prefix}.major"))
        minor = gpu_count(labels.get(f"{prefix}.minor"))
        if major is not None and minor is not None and minor < 10:
            return major + minor / 10
    return sku.compute_capability if sku else None
