"""Raw nodes and pods for the inventory tests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from clusters.engine.inventory import Inventory, Quota, SkuFacts, build_inventory
from clusters.engine.shapes import loose_claim, loose_node, loose_pod, loose_slice
from clusters.engine.types import ProvisionerMode

Raw = dict[str, Any]

SKUS = {
    sku.instance_type.lower(): sku
    for sku in (
        SkuFacts("Standard_NC24ads_A100_v4", "NVIDIA A100", 1, 80, 8.0),
        SkuFacts("Standard_ND96isr_H100_v5", "NVIDIA H100", 8, 80, 9.0),
        SkuFacts("g6.xlarge", "NVIDIA L4", 1, 24, 8.9),
        SkuFacts("g6.12xlarge", "NVIDIA L4", 4, 24, 8.9),
    )
}


def lookup(instance_type: str) -> SkuFacts | None:
    return SKUS.get(instance_type.lower())


def inventory_of(
    nodes: Iterable[Raw],
    pods: Iterable[Raw] = (),
    *,
    slices: Iterable[Raw] = (),
    claims: Iterable[Raw] = (),
    quotas: Iterable[Quota] = (),
    mode: ProvisionerMode | None = ProvisionerMode.BYO,
    now: datetime | None = None,
    ahead: float = 0.0,
) -> Inventory:
    """The inventory of raw objects, read as the portal reads what does not fit its types."""
    return build_inventory(
        filter(None, map(loose_node, nodes)),
        filter(None, map(loose_pod, pods)),
        slices=filter(None, map(loose_slice, slices)),
        claims=filter(None, map(loose_claim, claims)),
        quotas=quotas,
        skus=lookup,
        mode=mode,
        now=now,
        ahead=ahead,
    )


def node(
    name: str,
    *,
    gpus: int = 8,
    allocatable: int | None = None,
    product: str = "NVIDIA-H100-80GB-HBM3",
    memory: int | None = 81559,
    instance_type: str = "Standard_ND96isr_H100_v5",
    labels: dict[str, str] | None = None,
    ready: bool = True,
    cordoned: bool = False,
    taints: list[Raw] | None = None,
    annotations: dict[str, str] | None = None,
    resource: str = "nvidia.com/gpu",
) -> Raw:
    gfd = {"nvidia.com/gpu.product": product, "nvidia.com/gpu.count": str(gpus)} if product else {}
    if product and memory:
        gfd["nvidia.com/gpu.memory"] = str(memory)
    offered = gpus if allocatable is None else allocatable
    return {
        "metadata": {
            "name": name,
            "annotations": annotations or {},
            "labels": gfd
            | {"node.kubernetes.io/instance-type": instance_type}
            | {"topology.kubernetes.io/region": "westeurope"}
            | (labels or {}),
        },
        "spec": {"unschedulable": cordoned, "taints": taints or []},
        "status": {
            "capacity": {resource: str(gpus), "cpu": "96"},
            "allocatable": {resource: str(offered), "cpu": "95"},
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def pod(
    name: str,
    node_name: str,
    gpus: int,
    *,
    workspace: str = "",
    phase: str = "Running",
    started: str = "",
) -> Raw:
    return {
        "metadata": {
            "name": name,
            "namespace": "team",
            "labels": {"kaito.sh/workspace": workspace} if workspace else {},
        },
        "spec": {
            "nodeName": node_name,
            "containers": [
                {"resources": {"limits": {"nvidia.com/gpu": str(gpus)}}},
                {"resources": {"requests": {"cpu": "1"}}},
            ],
        },
        "status": {"phase": phase} | ({"startTime": started} if started else {}),
    }
