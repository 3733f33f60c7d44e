"""What one Kubernetes Node says about its GPUs. Pure; broken input gives unknown, not errors.

Sources, best first: GPU Feature Discovery labels, cloud and Karpenter labels, the SKU table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clusters.engine.quantities import parse_quantity
from clusters.engine.raw import gpu_count, sum_gpus, word
from clusters.engine.shapes import Node
from clusters.engine.types import Taint, Toleration

GFD_PRODUCT = "nvidia.com/gpu.product"
GFD_COUNT = "nvidia.com/gpu.count"
GFD_MEMORY = "nvidia.com/gpu.memory"
INSTANCE_TYPE_LABELS = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")

_PIN_LABELS = ("kaito.sh/workspace", "karpenter.kaito.sh/workspace-name")
_ZONE_LABELS = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_REGION_LABELS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_MODEL_LABELS = (
    GFD_PRODUCT,
    "amd.com/gpu.product-name",
    "cloud.google.com/gke-accelerator",
    "eks.amazonaws.com/instance-gpu-name",
    "karpenter.k8s.aws/instance-gpu-name",
    "karpenter.azure.com/sku-gpu-name",
)
_COUNT_LABELS = (
    GFD_COUNT,
    "cloud.google.com/gke-accelerator-count",
    "karpenter.k8s.aws/instance-gpu-count",
    "karpenter.azure.com/sku-gpu-count",
)
_MEMORY_LABELS = (GFD_MEMORY, "karpenter.k8s.aws/instance-gpu-memory")  # MiB per GPU
# label -> what its value (in lower case) says about how the node is paid for
_CAPACITY_LABELS: dict[str, dict[str, str]] = {
    "karpenter.sh/capacity-type": {"spot": "spot", "reserved": "reserved"},
    "kubernetes.azure.com/scalesetpriority": {"spot": "spot"},
    "eks.amazonaws.com/capacitytype": {"spot": "spot", "capacity_block": "reserved"},
    "cloud.google.com/gke-spot": {"true": "spot"},
    "cloud.google.com/gke-preemptible": {"true": "spot"},
    "cloud.google.com/gke-provisioning": {"spot": "spot", "preemptible": "spot"},
}

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


@dataclass(frozen=True, slots=True)
class SkuFacts:
    """One row of a cloud's table. `gpu_memory_gib` is per GPU."""

    instance_type: str
    gpu_model: str
    gpus: int
    gpu_memory_gib: float | None
    compute_capability: float | None = None


SkuLookup = Callable[[str], SkuFacts | None]  # instance type, any case -> its row


@dataclass(frozen=True, slots=True)
class NodeReading:
    """One GPU node as its JSON says. Counts are GPUs (or slices where `sharing` is not none)."""

    name: str
    labels: Mapping[str, str]
    instance_type: str
    gpu_model: str
    gpu_memory_mib: int | None
    compute_capability: float | None
    labelled_count: int | None  # what KAITO reads as GPUs per node on bring-your-own nodes
    physical: int | None
    allocatable: int
    ready: bool
    cordoned: bool
    taints: tuple[Taint, ...]
    sharing: str
    capacity_type: str
    capacity_label: tuple[str, str] | None  # the label that said so
    workspace: str  # KAITO workspace this node was made for, or ""
    zone: str
    region: str


def read_node(node: Node, skus: SkuLookup) -> NodeReading | None:
    """The GPU side of a node, or None: it has no name or gives no sign of a GPU."""
    name = word(node.metadata.name)
    labels = node.metadata.labels or {}
    sku = _sku(labels, skus)
    sharing = _sharing(labels, node)
    physical = _physical(labels, node, sku, sharing)
    allocatable = sum_gpus(node.status.allocatable)
    if not name or not (physical or allocatable or _first(labels, _MODEL_LABELS)):
        return None
    capacity_label, capacity_type = _capacity(labels)
    return NodeReading(
        name=name,
        labels=labels,
        instance_type=sku.instance_type if sku else _first(labels, INSTANCE_TYPE_LABELS),
        gpu_model=_model(labels, sku),
        gpu_memory_mib=_memory(labels, sku),
        compute_capability=_compute_capability(labels, sku),
        labelled_count=gpu_count(_first(labels, _COUNT_LABELS)) or None,
        physical=physical,
        allocatable=allocatable,
        ready=_is_ready(node),
        cordoned=node.spec.unschedulable,
        taints=_taints(node),
        sharing=sharing,
        capacity_type=capacity_type,
        capacity_label=capacity_label,
        workspace=_first(labels, _PIN_LABELS),
        zone=_first(labels, _ZONE_LABELS),
        region=_first(labels, _REGION_LABELS),
    )


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


def _first(labels: Mapping[str, str], keys: tuple[str, ...]) -> str:
    """The first of these labels that has a value we can keep."""
    for key in keys:
        value = labels.get(key)
        if value and word(value):
            return value
    return ""


def _sku(labels: Mapping[str, str], skus: SkuLookup) -> SkuFacts | None:
    instance_type = _first(labels, INSTANCE_TYPE_LABELS)
    return skus(instance_type) if instance_type else None


def _model(labels: Mapping[str, str], sku: SkuFacts | None) -> str:
    label = _first(labels, _MODEL_LABELS).removesuffix("-SHARED").split("-MIG-")[0]
    return label or (sku.gpu_model if sku else "")


def _memory(labels: Mapping[str, str], sku: SkuFacts | None) -> int | None:
    mib = parse_quantity(_first(labels, _MEMORY_LABELS))
    if mib is not None and 0 < mib < 2**31:
        return int(mib)
    vram = parse_quantity(f"{labels.get('amd.com/gpu.vram', '')}i")  # "64G" means GiB there
    if vram is not None and 0 < vram < 2**51:
        return int(vram) >> 20
    return int(sku.gpu_memory_gib * 1024) if sku and sku.gpu_memory_gib else None


def _compute_capability(labels: Mapping[str, str], sku: SkuFacts | None) -> float | None:
    for prefix in ("nvidia.com/gpu.compute", "nvidia.com/cuda.compute"):
        major = gpu_count(labels.get(f"{prefix}.major"))
        minor = gpu_count(labels.get(f"{prefix}.minor"))
        if major is not None and minor is not None and minor < 10:
            return major + minor / 10
    return sku.compute_capability if sku else None


def _physical(
    labels: Mapping[str, str], node: Node, sku: SkuFacts | None, sharing: str
) -> int | None:
    """Cards in the box: the largest figure that any source gives, since a dead card vanishes
    from labels and capacity but not from the SKU table. Under MIG labels count slices."""
    figures = [sku.gpus if sku else None]
    if sharing != "mig":
        figures.append(gpu_count(_first(labels, _COUNT_LABELS)))
    if sharing == "none":
        figures.append(sum_gpus(node.status.capacity) or None)
    return max((figure for figure in figures if figure), default=None)


def _sharing(labels: Mapping[str, str], node: Node) -> str:
    if (node.metadata.annotations or {}).get("hami.io/node-nvidia-register"):
        return "hami"
    product = labels.get(GFD_PRODUCT, "")
    offered = {**(node.status.allocatable or {}), **(node.status.capacity or {})}
    if "-MIG-" in product or any(
        name.startswith("nvidia.com/mig-") and gpu_count(value) for name, value in offered.items()
    ):
        return "mig"
    return _replicated(labels, product, offered)


def _replicated(labels: Mapping[str, str], product: str, offered: Mapping[str, object]) -> str:
    strategy = labels.get("nvidia.com/gpu.sharing-strategy", "none")
    if strategy in ("mps", "time-slicing"):
        return strategy
    replicas = gpu_count(labels.get("nvidia.com/gpu.replicas")) or 0
    count = gpu_count(labels.get(GFD_COUNT))
    renamed = gpu_count(offered.get("nvidia.com/gpu.shared"))
    if product.endswith("-SHARED") or renamed or (count and replicas > count):
        return "time-slicing"
    return "none"


def _capacity(labels: Mapping[str, str]) -> tuple[tuple[str, str] | None, str]:
    for key in sorted(labels):
        meaning = _CAPACITY_LABELS.get(key.lower(), {}).get(labels[key].lower())
        if meaning:
            return (key, labels[key]), meaning
    return None, "on-demand"


def _is_ready(node: Node) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions or ())


def _taints(node: Node) -> tuple[Taint, ...]:
    found = {
        Taint(t.key, word(t.value), word(t.effect)) for t in node.spec.taints or () if word(t.key)
    }
    return tuple(sorted(found, key=lambda t: (t.key, t.value, t.effect)))
