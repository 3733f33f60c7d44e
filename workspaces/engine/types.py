"""Values that sizing and placement exchange. No Django, no clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clusters.engine.types import PoolKind, Toleration

GIB = 1 << 30
DEFAULT_MAX_MODEL_LEN = 2048  # what KAITO assumes when no max-model-len is configured


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What sizing and placement need of one catalog model."""

    slug: str  # "microsoft--phi-4-mini-instruct"
    hf_id: str  # "microsoft/Phi-4-mini-instruct", as KAITO's preset.name
    weights_gib: float  # sum of the safetensors files, GiB
    kv_bytes_per_token: int
    context_limit: int  # tokens
    gated: bool = False
    attention: str = "GQA"  # MHA | GQA | MQA | MLA
    architecture: str = ""
    quantization: str = ""
    runtimes: tuple[str, ...] = ("vllm",)
    min_compute_capability: float | None = None
    kv_heads: int | None = None  # None: unknown, taken as divisible over every GPU
    hybrid: str = ""  # "" | mamba | linear | sliding: layers that keep no full KV cache
    loaded_weights_gib: float | None = None  # what is loaded when the repository ships duplicates


@dataclass(frozen=True, slots=True)
class Shape:
    """One node shape: `gpus` cards of `gpu_memory_bytes` each."""

    gpus: int
    gpu_memory_bytes: int
    gpu_model: str = ""
    instance_type: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the arithmetic, ready to be shown: label, formula with numbers, value, unit."""

    label: str
    formula: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Caveat:
    """A place where KAITO's own estimate misleads; `code` is stable, `text` is for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """How one replica of a model lands on one node shape.

    `nodes` is KAITO's figure (what will happen), `corrected_nodes` ours (what would be needed).
    `fits` is False and `reason` says why when KAITO would refuse; counts are then None.
    """

    fits: bool
    reason: str
    nodes: int | None
    gpus: int | None  # nodes x gpus per node: what the replica occupies
    tensor_parallel: int | None
    pipeline_parallel: int | None
    data_parallel: int | None
    max_context: int | None  # largest max-model-len that still needs `nodes` nodes
    corrected_nodes: int | None
    lines: tuple[Line, ...] = ()
    warnings: tuple[Caveat, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """Kubernetes' label selector requirement, or a KubeFleet property one (`is_property`)."""

    key: str
    operator: str  # In NotIn Exists DoesNotExist | Gt Ge Lt Le Eq Ne for properties
    values: tuple[str, ...] = ()
    is_property: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """All requirements of one term must hold; a list of terms is an OR, as in Kubernetes."""

    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Preference:
    weight: int  # -100..100
    requirements: tuple[Requirement, ...] = ()
    property_sorter: tuple[str, str] | None = None  # (property, Ascending | Descending)


@dataclass(frozen=True, slots=True)
class SpreadConstraint:
    topology_key: str
    max_skew: int = 1
    when_unsatisfiable: str = "ScheduleAnyway"  # or DoNotSchedule


@dataclass(frozen=True, slots=True)
class Policy:
    """Placement policy in KubeFleet's words, plus term weights and user limits."""

    placement_type: str = "PickN"  # PickAll | PickN | PickFixed
    number_of_clusters: int | None = None
    cluster_names: tuple[str, ...] = ()
    required: tuple[Term, ...] = ()
    preferred: tuple[Preference, ...] = ()
    spread: tuple[SpreadConstraint, ...] = (SpreadConstraint("environment"),)
    tolerations: tuple[Toleration, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)  # term name -> weight
    max_nodes_per_replica: int | None = None
    max_price_per_hour: float | None = None
    regions: tuple[str, ...] = ()
    scoring: str = "fleetportal"  # or "kubefleet": its formulas exactly
    headroom: str = "spread"  # or "pack"


@dataclass(frozen=True, slots=True)
class Demand:
    """What has to be placed: `replicas` in total over all chosen clusters, at least one each."""

    model: ModelSpec
    replicas: int
    max_model_len: int | None
    team: str
    policy: Policy
    has_secret: bool = False  # the team has a token for a gated model
    deployment_names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Situation:
    """What the rest of the fleet means for this demand. Keys are (cluster id, pool key)."""

    claimed_nodes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    running_on: frozenset[str] = frozenset()  # cluster ids where the deployment runs now
    weights_on: frozenset[str] = frozenset()  # cluster ids that hold this model's weights
    tokens_per_minute: Mapping[tuple[str, str], float] = field(default_factory=dict)
    frozen_clusters: Mapping[str, str] = field(default_factory=dict)  # cluster id -> reason
    stale_after_seconds: float = 90.0


@dataclass(frozen=True, slots=True)
class FilterResult:
    """`passed` None: not evaluated, for the reason in `reason`."""

    name: str
    passed: bool | None
    value: str
    limit: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScoreTerm:
    """`points` = weight x value, rounded so that the terms add up to the total exactly.
    `value` is 0..1; a term without data has value None, weight 0 and points 0."""

    name: str
    weight: float
    value: float | None
    points: float
    explanation: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why one cluster was selected, kept spare or rejected."""

    cluster_id: str
    cluster: str
    verdict: str  # selected | spare | rejected
    reason: str  # the sentence people read; has the numbers in it
    filters: tuple[FilterResult, ...]
    scores: tuple[ScoreTerm, ...]
    total: float | None
    replicas: int
    pool: str
    pool_kind: PoolKind | None
    instance_type: str
    nodes_per_replica: int | None
    price_per_hour: float | None  # of this cluster's share; None: unknown
    estimate: Estimate | None


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict for every cluster, in the order of the input's names; `blocked` says why not."""

    verdicts: tuple[Verdict, ...]
    summary: str  # "3 replicas: test-use1, stg-weu, prod-weu. 3 spare, 3 rejected."
    price_per_hour: float | None
    price_is_partial: bool  # some chosen cluster has no known price
    blocked: str  # empty: ready
    digest: str  # sha256 over the canonical inputs and outcome
