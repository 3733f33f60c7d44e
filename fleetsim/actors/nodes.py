"""Builds GPU nodes as clouds, kubelets and GPU Feature Discovery leave them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleetsim.actors.skus import Sku

Obj = dict[str, Any]
GPU = "nvidia.com/gpu"
SKU_TAINT = {"key": "sku", "value": "gpu", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class Site:
    """Where a node stands."""

    provider: str  # azure | aws
    region: str
    zone: str


@dataclass(slots=True)
class NodePlan:
    """One node to build. `allocatable` is below the SKU's count where a device is unhealthy."""

    name: str
    sku: Sku
    site: Site
    pool: str = "gpu"
    allocatable: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[Obj] = field(default_factory=list)
    spot: bool = False


def gfd_labels(sku: Sku) -> dict[str, str]:
    """What GPU Feature Discovery writes: memory is MiB per card, as the driver reports it."""
    card = sku.card
    return {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": card.product,
        "nvidia.com/gpu.count": str(sku.gpus),
        "nvidia.com/gpu.replicas": str(sku.gpus),
        "nvidia.com/gpu.memory": str(sku.mib),
        "nvidia.com/gpu.family": card.family,
        "nvidia.com/gpu.compute.major": str(card.major),
        "nvidia.com/gpu.compute.minor": str(card.minor),
        "nvidia.com/cuda.compute.major": str(card.major),
        "nvidia.com/cuda.compute.minor": str(card.minor),
        "nvidia.com/cuda.driver-version.full": "570.124.06",
        "nvidia.com/cuda.driver-version.major": "570",
        "nvidia.com/cuda.runtime-version.full": "12.8",
        "nvidia.com/gpu.sharing-strategy": "none",
        "nvidia.com/mig.capable": "true" if card.major in (8, 9) and sku.gib >= 40 else "false",
        "nvidia.com/mig.strategy": "single",
        "nvidia.com/gpu.machine": sku.name.replace("_", "-"),
    }


def cloud_labels(plan: NodePlan) -> dict[str, str]:
    """The labels that say place, shape, pool and capacity type, in the provider's own words."""
    base = {
        "kubernetes.io/hostname": plan.name,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": plan.sku.name,
        "topology.kubernetes.io/region": plan.site.region,
        "topology.kubernetes.io/zone": plan.site.zone,
    }
    if plan.site.provider == "azure":
        base["kubernetes.azure.com/agentpool"] = plan.pool
        base["kubernetes.azure.com/accelerator"] = "nvidia"
        if plan.spot:
            base["kubernetes.azure.com/scalesetpriority"] = "spot"
    elif plan.site.provider == "aws":
        base["eks.amazonaws.com/nodegroup"] = plan.pool
        base["eks.amazonaws.com/capacityType"] = "SPOT" if plan.spot else "ON_DEMAND"
    return base


def provider_id(plan: NodePlan, suffix: str) -> str:
    """`spec.providerID` in the cloud's form; `suffix` makes it unique."""
    if plan.site.provider == "azure":
        group = f"mc_{plan.site.region}_{plan.pool}"
        path = f"providers/Microsoft.Compute/virtualMachineScaleSets/{plan.pool}"
        return f"azure:///subscriptions/sim/resourceGroups/{group}/{path}/virtualMachines/{suffix}"
    return f"aws:///{plan.site.zone}/i-{suffix:0>17}"


def resources(sku: Sku, gpus: int) -> dict[str, str]:
    """A capacity or allocatable block."""
    block = {
        "cpu": str(sku.cpus),
        "memory": f"{sku.memory_gib * 1024 * 1024}Ki",
        "ephemeral-storage": "1048576000Ki",
        "pods": "110",
    }
    if gpus:
        block[GPU] = str(gpus)
    return block


def conditions(ready: bool, stamp: str) -> list[Obj]:
    """Node conditions of a kubelet."""
    reason = "KubeletReady" if ready else "KubeletNotReady"
    text = "kubelet is posting ready status" if ready else "container runtime network not ready"
    calm = [
        ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ]
    rows = [_condition(kind, "False", why, message, stamp) for kind, why, message in calm]
    return [*rows, _condition("Ready", "True" if ready else "False", reason, text, stamp)]


def _condition(kind: str, status: str, reason: str, message: str, stamp: str) -> Obj:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": stamp,
    }


def build(plan: NodePlan, suffix: str, stamp: str) -> Obj:
    """A ready node with all its labels and GPUs."""
    gpus = plan.sku.gpus if plan.allocatable is None else plan.allocatable
    node = bare(plan, suffix, stamp)
    node["metadata"]["labels"] |= gfd_labels(plan.sku) | plan.labels
    node["status"]["conditions"] = conditions(True, stamp)
    node["status"]["capacity"] = resources(plan.sku, plan.sku.gpus)
    node["status"]["allocatable"] = resources(plan.sku, gpus)
    return node


def bare(plan: NodePlan, suffix: str, stamp: str) -> Obj:
    """A node that has just joined: not ready, no device plugin yet."""
    spec: Obj = {"providerID": provider_id(plan, suffix)}
    if plan.taints:
        spec["taints"] = plan.taints
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": plan.name, "labels": cloud_labels(plan) | plan.labels},
        "spec": spec,
        "status": {
            "capacity": resources(plan.sku, 0),
            "allocatable": resources(plan.sku, 0),
            "conditions": conditions(False, stamp),
            "nodeInfo": {
                "kubeletVersion": "v1.33.4",
                "osImage": "Ubuntu 22.04.5 LTS",
                "kernelVersion": "5.15.0-1091",
                "containerRuntimeVersion": "containerd://1.7.28",
                "architecture": "amd64",
                "operatingSystem": "linux",
                "machineID": suffix,
                "systemUUID": suffix,
                "bootID": suffix,
                "kubeProxyVersion": "",
            },
        },
    }
