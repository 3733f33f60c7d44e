"""Everything on one node that tells of accelerators, gathered once for all who judge it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from clusters.engine.accelerators import Offer, offer
from clusters.engine.dra import DraNode
from clusters.engine.hami import HamiNode, read_hami
from clusters.engine.raw import first, gpu_count
from clusters.engine.shapes import Node

GFD_PRODUCT = "nvidia.com/gpu.product"
GFD_COUNT = "nvidia.com/gpu.count"
INSTANCE_TYPE_LABELS = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
MODEL_LABELS = (
    GFD_PRODUCT,
    "amd.com/gpu.product-name",
    "beta.amd.com/gpu.product-name",
    "gpu.intel.com/product",
    "cloud.google.com/gke-accelerator",
    "cloud.google.com/gke-tpu-accelerator",
    "eks.amazonaws.com/instance-gpu-name",
    "karpenter.k8s.aws/instance-gpu-name",
    "karpenter.k8s.aws/instance-accelerator-name",
    "karpenter.azure.com/sku-gpu-name",
)
CLOUD_COUNT_LABELS = (  # of cards, whatever the device plugin makes of them
    "cloud.google.com/gke-accelerator-count",
    "eks.amazonaws.com/instance-gpu-count",
    "karpenter.k8s.aws/instance-gpu-count",
    "karpenter.azure.com/sku-gpu-count",
)


class SkuFacts(msgspec.Struct, frozen=True):
    """One row of a cloud's table. `gpu_memory_gib` is per GPU."""

    instance_type: str
    gpu_model: str
    gpus: int
    gpu_memory_gib: float | None
    compute_capability: float | None = None


SkuLookup = Callable[[str], SkuFacts | None]  # instance type, any case -> its row


class Signs(msgspec.Struct, frozen=True):
    """`model` as a label names it. Counts None: no such label, or one that cannot be read."""

    labels: Mapping[str, str]
    offered: Offer  # status.allocatable
    capacity: Offer
    model: str
    gfd_count: int | None  # cards; under MIG "single" slices
    cloud_count: int | None
    instance_type: str
    sku: SkuFacts | None
    hami: HamiNode | None
    dra: DraNode | None

    @property
    def of_gpus(self) -> bool:
        """Whether anything speaks of an accelerator at all."""
        azure = self.labels.get("kubernetes.azure.com/accelerator")
        seen = self.offered.vendor or self.capacity.vendor or self.model or azure
        return bool(seen or self.sku or self.hami or self.dra)


def gather(node: Node, skus: SkuLookup, dra: DraNode | None, now: datetime | None) -> Signs:
    labels, annotations = node.metadata.labels or {}, node.metadata.annotations
    instance_type = first(labels, INSTANCE_TYPE_LABELS)
    return Signs(
        labels=labels,
        offered=offer(node.status.allocatable),
        capacity=offer(node.status.capacity),
        model=first(labels, MODEL_LABELS),
        gfd_count=gpu_count(labels.get(GFD_COUNT)) or None,
        cloud_count=gpu_count(first(labels, CLOUD_COUNT_LABELS)) or None,
        instance_type=instance_type,
        sku=skus(instance_type) if instance_type else None,
        hami=read_hami(annotations, now) if annotations else None,
        dra=dra,
    )
