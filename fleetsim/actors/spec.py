"""What a simulated cluster is: its KAITO, its cloud and what goes wrong in it.

A plain value that scenarios build from a dict; actors read it, tests and the demo may change it
while the fleet runs (capacity runs out, a fault begins).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleetsim.actors.loads import LoadRule

BYO = "byo"
AZURE = "azure-gpu-provisioner"
KARPENTER = "karpenter"
MODES = (BYO, AZURE, KARPENTER)
FAULTS = ("image", "oom", "benchmark", "slow", "stuck", "capacity", "weights")
FAULT_ANNOTATION = "fleetsim.dev/fault"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that fails for every Workspace whose name begins with `match` (empty: all).

    `kind`: image (cannot be pulled), oom (killed while loading), benchmark (no result line), slow
    (peak tokens times `factor`), stuck (never ready), capacity (no node), weights (refused).
    """

    kind: str
    match: str = ""
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ValueError(f"fault kind {self.kind!r} is not one of {', '.join(FAULTS)}")


@dataclass(slots=True)
class ClusterSpec:
    """`capacity` bounds what the cloud really has: instance type -> nodes (absent: no bound)."""

    kaito_version: str = "0.12.0"
    mode: str = BYO
    provider: str = "aws"
    region: str = "us-east-1"
    zones: tuple[str, ...] = ("a", "b", "c")
    gates: dict[str, bool] = field(default_factory=dict)
    base_tag: str = "0.5.0"
    engine_version: str = "0.25.1"
    capacity: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    cache_lag: float = 0.2  # real seconds until the webhook's cache sees a new ConfigMap
    webhook_down: bool = False
    inference_set_served: bool = True
    exporters: bool = False  # DCGM and HAMi exporters on GPU nodes, and a Prometheus
    past: float = 0.0  # real seconds in which new engines count as a week old (the story's)
    young: float = 0.0  # real seconds until the Prometheus tells of a past that no engine changes
    load: list[LoadRule] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode {self.mode!r} is not one of {', '.join(MODES)}")
        if self.version < (0, 11):
            self.inference_set_served = False

    @property
    def version(self) -> tuple[int, ...]:
        """The KAITO version as numbers."""
        return tuple(int(part) for part in self.kaito_version.split("-")[0].split("."))

    @property
    def engine(self) -> tuple[int, ...]:
        """vLLM's version as numbers."""
        return tuple(int(part) for part in self.engine_version.split("-")[0].split("."))

    @property
    def byo(self) -> bool:
        """Whether nodes are brought by people rather than created."""
        return self.mode == BYO

    @property
    def inference_sets(self) -> bool:
        """Whether the InferenceSet controller runs (its CRD may be served without it)."""
        return self.inference_set_served and self.gates.get("enableInferenceSetController", True)

    def fault(self, kind: str, workspace: str) -> Fault | None:
        """The first fault of a kind that hits this Workspace."""
        hits = (f for f in self.faults if f.kind == kind and workspace.startswith(f.match))
        return next(hits, None)

    @classmethod
    def parse(cls, data: dict[str, Any]) -> ClusterSpec:
        """From a scenario's or the admin's dict. Raises ValueError naming an unknown key."""
        known = set(cls.__dataclass_fields__)
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(
                f"unknown cluster setting {unknown[0]!r}; known: {', '.join(sorted(known))}"
            )
        values = dict(data)
        values["faults"] = [
            f if isinstance(f, Fault) else Fault(**f) for f in data.get("faults", ())
        ]
        values["load"] = [
            r if isinstance(r, LoadRule) else LoadRule(**r) for r in data.get("load", ())
        ]
        values["zones"] = tuple(data.get("zones", ("a", "b", "c")))
        return cls(**values)
