"""What the portal knows of one cluster, as plain values.

Everything that decides (inventory, health, placement, rollouts) speaks in these types, so that a
decision can be repeated from a stored row, in a test, or in another process. No Django, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class PoolKind(StrEnum):
    """Where the nodes of a pool come from; a workload uses one kind, never both."""

    EXISTING = "existing"  # bring-your-own: nodes that are there now
    PROVISIONABLE = "provisionable"  # KAITO's provisioner creates them; bounded by declared quota


class ProvisionerMode(StrEnum):
    """KAITO's `--node-provisioner`."""

    BYO = "byo"
    AZURE = "azure-gpu-provisioner"
    KARPENTER = "karpenter"


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str = ""
    effect: str = "NoSchedule"  # NoSchedule | PreferNoSchedule | NoExecute


@dataclass(frozen=True, slots=True)
class Toleration:
    """A Kubernetes toleration; an empty key with `Exists` tolerates everything."""

    key: str = ""
    operator: str = "Equal"  # Equal | Exists
    value: str = ""
    effect: str = ""  # empty: every effect


@dataclass(frozen=True, slots=True)
class CardFacts:
    """One card of a node, where the cluster tells cards apart (HAMi, DRA). None: not said.

    `shares`: parts that it may be given out in. `cores_used`: percent of the card's compute.
    """

    uuid: str
    index: int | None = None
    memory_mib: int | None = None
    memory_used_mib: int | None = None
    cores: int | None = None
    cores_used: int | None = None
    shares: int = 1
    shares_used: int = 0
    healthy: bool = True
    cordoned: bool = False  # an operator keeps it from new pods


@dataclass(frozen=True, slots=True)
class ShareFacts:
    """Parts of shared cards of one kind: a MIG profile, "replica" or "vgpu"."""

    profile: str
    offered: int
    used: int
    memory_mib: int | None = None  # of one part; None: no limit of its own, or not said


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One GPU node. None means unknown and is never shown as 0.

    `physical` and `faulty` are cards. `allocatable`, `used` and `free` are whole cards where
    `sharing` is none; elsewhere they are parts (MIG slices, replicas, vGPUs) and say nothing of
    how many cards there are.
    """

    name: str
    pool: str  # key of its PoolFacts
    instance_type: str
    ready: bool
    cordoned: bool
    physical: int | None
    allocatable: int
    used: int
    zone: str = ""
    taints: tuple[Taint, ...] = ()
    # pods that hold GPUs here: (namespace/name, GPUs, KAITO workspace or "")
    holders: tuple[tuple[str, int, str], ...] = ()
    # since when each of them is here, in unix seconds by our clock; None: it has not
    # started, or was not seen; (): nobody knows
    held_since: tuple[float | None, ...] = ()
    # none | time-slicing | mps | hami | mig | unknown (parts, and nobody says of which kind)
    sharing: str = "none"
    workspace: str = ""  # KAITO workspace that this node was made for; others cannot use it
    blocked: str = ""  # why it takes no KAITO pods although ready and not cordoned; "" if it does
    vendor: str = ""  # nvidia | amd | intel | habana | aws | google | ...
    gpu_model: str = ""  # as the node spells it; engine.cards.card_class gives the class
    gpu_memory_mib: int | None = None  # of one card
    capacity_type: str = "on-demand"  # on-demand | spot | reserved
    provider: str = ""  # azure | aws | gcp | byo
    region: str = ""
    node_group: str = ""
    cards: tuple[CardFacts, ...] = ()
    shares: tuple[ShareFacts, ...] = ()

    @property
    def free(self) -> int:
        """GPUs a new pod could get now: 0 on a node that takes no pods."""
        if not self.ready or self.cordoned or self.blocked:
            return 0
        return max(0, self.allocatable - self.used)

    @property
    def faulty(self) -> int:
        """Cards that are in the box but that nobody offers."""
        if self.sharing != "none":
            return sum(not card.healthy for card in self.cards)
        return 0 if self.physical is None else max(0, self.physical - self.allocatable)

    @property
    def whole_shared(self) -> int:
        """Working cards that are given out in parts; 0 where nobody says how many there are."""
        return 0 if self.sharing == "none" else max(0, (self.physical or 0) - self.faulty)

    @property
    def health(self) -> str:
        """ok | faulty | not-ready | unknown (nobody says how many cards there should be)."""
        if not self.ready:
            return "not-ready"
        if self.faulty:
            return "faulty"
        return "unknown" if self.physical is None else "ok"


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """GPUs of one model and node shape in one cluster.

    `gpu_memory_mib` is what the card reports (GPU Feature Discovery), else the SKU table's figure.
    For provisionable pools the node counts describe nodes that exist already; what may still be
    created is `quota_nodes - nodes` (None: nobody declared a quota).
    """

    key: str
    kind: PoolKind
    gpu_model: str
    gpu_memory_mib: int | None
    gpus_per_node: int
    instance_type: str
    nodes: int
    physical: int | None
    allocatable: int
    used: int
    free: int
    whole_free_nodes: int
    largest_free_group: int  # most free GPUs on one node
    capacity_type: str = "on-demand"  # on-demand | spot | reserved
    compute_capability: float | None = None
    price_per_hour: float | None = None  # $/h of one node
    quota_nodes: int | None = None  # nodes the operator says may exist in this pool
    selector: Mapping[str, str] = field(default_factory=dict)  # node labels that choose this pool
    taints: tuple[Taint, ...] = ()
    sharing: str = "none"  # as NodeFacts
    vendor: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """A permission or a part of KAITO that is missing, and what that costs."""

    feature: str  # deploy | observe | logs | prompt | inference-set | provisioning
    missing: str  # "create inferencesets.kaito.sh", "webhook validation.inferenceset.kaito.sh"
    cost: str  # one sentence: what does not work because of it


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a cluster really serves. None means that the probe could not tell."""

    kubernetes_version: str | None = None
    kaito_version: str | None = None  # "0.12.0"
    workspace_served: bool | None = None
    inference_set_works: bool | None = None  # served and its controller is alive, not merely a CRD
    provisioner: ProvisionerMode | None = None
    webhook_ready: bool | None = None
    feature_gates: Mapping[str, bool] = field(default_factory=dict)
    base_image_tag: str | None = None
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """One cluster as the placement engine sees it."""

    id: str  # primary key as text
    name: str
    uid: str  # UID of its kube-system namespace
    state: str  # a state of clusters.states.CLUSTER
    simulated: bool
    cordoned: bool
    cordon_reason: str
    age_seconds: float | None  # since the inventory was last seen; None: never
    labels: Mapping[str, str]
    properties: Mapping[str, float]  # KubeFleet property names -> number
    taints: tuple[Taint, ...]
    region: str
    environment: str
    teams: frozenset[str] | None  # slugs it is granted to; None: every team
    capabilities: Capabilities
    pools: tuple[PoolFacts, ...]
