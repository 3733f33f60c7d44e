"""From a strategy and a plan's clusters to stages, gates and the digest that approvals bind to.

Every chosen cluster lands in exactly one stage, or an error names it. Pure: the same clusters in
the same order always give the same digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rollouts.engine.types import ApprovalMode, GateKind, Mode, StageSpec, StrategySpec
from workspaces.engine.types import Requirement


class StrategyError(ValueError):
    """A strategy or its match with the plan is wrong; `field` names where, the text the remedy."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class ChosenCluster:
    """One cluster that the plan selected."""

    uid: str
    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AssignedStage:
    """`note` says why an empty stage is skipped; it is empty otherwise."""

    index: int
    spec: StageSpec
    clusters: tuple[ChosenCluster, ...]
    gates: tuple[GateKind, ...]
    note: str


def check_strategy(strategy: StrategySpec) -> None:
    """Raise StrategyError for a strategy that no rollout can follow."""
    if not strategy.stages:
        raise StrategyError("stages", "A strategy needs at least one stage.")
    if strategy.mode is Mode.SHIFT:
        raise StrategyError("mode", "shift is not offered yet: choose blue_green or recreate.")
    if strategy.keep_old_for_seconds < 0:
        raise StrategyError("keep_old_for_seconds", "keep_old_for_seconds must be 0 or more.")
    seen: set[str] = set()
    for spec in strategy.stages:
        if spec.name in seen:
            raise StrategyError("stages", f"Two stages are called {spec.name}: rename one.")
        seen.add(spec.name)
        _check_stage(spec)


def _check_stage(spec: StageSpec) -> None:
    lowest = {
        "max_concurrency": 1,
        "quorum": 1,
        "soak_seconds": 0,
        "approval_ttl_seconds": 1,
        "deadline_seconds": 1,
    }
    for field, least in lowest.items():
        if getattr(spec, field) < least:
            raise StrategyError(field, f"Stage {spec.name}: {field} must be {least} or more.")
    if spec.approval is not ApprovalMode.NONE and not spec.approver_roles:
        raise StrategyError("approver_roles", f"Stage {spec.name}: name a role that approves.")


def selects(selector: Sequence[Requirement], labels: Mapping[str, str]) -> bool:
    """Kubernetes' rule: all requirements hold; NotIn also holds where the label is missing."""
    return all(_holds(requirement, labels) for requirement in selector)


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    if requirement.operator == "In":
        return value is not None and value in requirement.values
    if requirement.operator == "NotIn":
        return value is None or value not in requirement.values
    if requirement.operator == "Exists":
        return value is not None
    if requirement.operator == "DoesNotExist":
        return value is None
    raise StrategyError(
        "selector",
        f"{requirement.operator} is not a label operator: use In, NotIn, Exists or DoesNotExist.",
    )


def assign(strategy: StrategySpec, clusters: Sequence[ChosenCluster]) -> tuple[AssignedStage, ...]:
    """Put every chosen cluster into its stage, keeping the plan's order.

    Raises StrategyError naming the cluster that no stage, or more than one stage, takes.
    """
    check_strategy(strategy)
    if not clusters:
        raise StrategyError("plan", "The plan selected no cluster: there is nothing to roll out.")
    members: dict[str, list[ChosenCluster]] = {spec.name: [] for spec in strategy.stages}
    for cluster in clusters:
        members[_stage_of(strategy, cluster)].append(cluster)
    return tuple(
        AssignedStage(
            index,
            spec,
            tuple(members[spec.name]),
            gates_for(spec),
            "" if members[spec.name] else f"Skipped: no chosen cluster belongs to {spec.name}.",
        )
        for index, spec in enumerate(strategy.stages)
    )


def _stage_of(strategy: StrategySpec, cluster: ChosenCluster) -> str:
    names = [spec.name for spec in strategy.stages if selects(spec.selector, cluster.labels)]
    if not names:
        raise StrategyError(
            "stages",
            f"No stage takes the cluster {cluster.name}: label it, or add a stage that selects it.",
        )
    if len(names) > 1:
        raise StrategyError(
            "stages",
            f"The cluster {cluster.name} belongs to {' and '.join(names)}: "
            "make their selectors exclude each other.",
        )
    return names[0]


def gates_for(spec: StageSpec) -> tuple[GateKind, ...]:
    """The gates of a stage, in the order in which they are asked."""
    wanted = {
        GateKind.WINDOW: spec.window,
        GateKind.APPROVAL_BEFORE: spec.approval is ApprovalMode.BEFORE,
        GateKind.SOAK: spec.soak_seconds > 0,
        GateKind.ANALYSIS: spec.analysis,
        GateKind.BENCHMARK: spec.benchmark,
        GateKind.APPROVAL_AFTER: spec.approval is ApprovalMode.AFTER,
    }
    return tuple(kind for kind, on in wanted.items() if on)


def rollout_digest(
    plan_digest: str, strategy: StrategySpec, stages: Sequence[AssignedStage]
) -> str:
    """SHA-256 over canonical JSON of everything that an approval approves.

    Plan digest, mode, retention, and per stage its whole spec, gates and ordered cluster UIDs.
    """
    document = {
        "plan": plan_digest,
        "mode": strategy.mode,
        "keep_old_for_seconds": strategy.keep_old_for_seconds,
        "stages": [
            {
                "spec": asdict(stage.spec),
                "gates": list(stage.gates),
                "clusters": [cluster.uid for cluster in stage.clusters],
            }
            for stage in stages
        ],
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
