"""What a rollout waits for, who or what ends that, and when: for the page and for the ticker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rollouts.engine import look
from rollouts.engine.forward import keep_until
from rollouts.engine.gates import BEFORE, current, open_approvals, rejection, soak_until
from rollouts.engine.moves import ROLLOUT_TERMINAL
from rollouts.engine.types import (
    ApprovalState,
    GateKind,
    GateView,
    RolloutState,
    Snapshot,
    StageState,
    StageView,
    TargetState,
    TargetView,
)


class WaitKind(StrEnum):
    NOTHING = "nothing"
    WORK = "work"  # the portal or a cluster is busy; nobody has to act
    CLUSTER = "cluster"  # a cluster is away or frozen
    APPROVAL = "approval"
    APPROVAL_EXPIRED = "approval_expired"
    WINDOW = "window"
    SOAK = "soak"
    ANALYSIS = "analysis"
    BENCHMARK = "benchmark"
    PAUSED = "paused"
    HELD = "held"
    DECISION = "decision"  # failed, or the plan changed: retry, abort or roll back
    OLD = "old"  # the old revision is kept warm or still has requests


@dataclass(frozen=True, slots=True)
class WaitingFor:
    """`who` ends it: a role, "time", "the cluster", "FleetPortal". `until`: when, if known."""

    kind: WaitKind
    text: str
    who: str
    until: datetime | None = None


def waiting_for(s: Snapshot, now: datetime) -> WaitingFor:
    """The one thing that stands between this rollout and its next step."""
    rollout = s.rollout
    if rollout.state in ROLLOUT_TERMINAL:
        return _old(s, now) if _cleans_up(s) else WaitingFor(WaitKind.NOTHING, "", "")
    targets = [target for stage in s.stages for target in stage.targets]
    if rollout.rollback or rollout.state is RolloutState.ROLLING_BACK:
        return _rolling_back(targets, now)
    if rollout.abort or any(map(rejection, s.stages)):
        return _work(targets, "Taking away what was begun", now)
    if rollout.current_digest != rollout.digest:
        text = "The plan changed. Abort or roll back, then plan again."
        return WaitingFor(WaitKind.DECISION, text, "engineer or operator")
    if rollout.state is RolloutState.PAUSED or rollout.pause:
        text = "Paused. What is in flight finishes; nothing new begins."
        return WaitingFor(WaitKind.PAUSED, text, "whoever resumes it")
    if rollout.held:
        return WaitingFor(WaitKind.HELD, f"Held: {rollout.held}", "whoever lifts the hold")
    stage = next((x for x in s.stages if x.state not in _DONE), None)
    if rollout.state is RolloutState.FAILED:
        return _decision(stage)
    return _old(s, now) if stage is None else _stage(s, stage, now)


_DONE = (StageState.PASSED, StageState.SKIPPED)


def _cleans_up(s: Snapshot) -> bool:
    kept = (RolloutState.ABORTED, RolloutState.REJECTED)
    return s.rollout.state in kept and bool(_with_old(s))


def _decision(stage: StageView | None) -> WaitingFor:
    who = "engineer or operator"
    for target in stage.targets if stage else ():
        if target.state in look.STOPPED:
            cause = target.problem.message if target.problem else "it did not become ready in time"
            text = f"{target.cluster.name}: {cause}. Retry, abort or roll back."
            return WaitingFor(WaitKind.DECISION, text, who)
    name = f"{stage.spec.name} failed" if stage else "It failed"
    return WaitingFor(WaitKind.DECISION, f"{name}. Retry, abort or roll back.", who)


def _stage(s: Snapshot, stage: StageView, now: datetime) -> WaitingFor:
    if stage.state in (StageState.WAITING, StageState.SOAKING):
        gate = current(stage, s.rollout, now, before=stage.started_at is None)
        if gate is not None:
            return _gate(stage, gate)
    return _work(list(stage.targets), f"stage {stage.spec.name} is at work", now)


def _gate(stage: StageView, gate: GateView) -> WaitingFor:
    name = stage.spec.name
    if gate.kind in (GateKind.APPROVAL_BEFORE, GateKind.APPROVAL_AFTER):
        return _approval(stage, gate)
    if gate.kind is GateKind.SOAK:
        until = soak_until(stage)
        return WaitingFor(
            WaitKind.SOAK, f"stage {name} soaks. {gate.message}".strip(), "time", until
        )
    if gate.kind is GateKind.WINDOW:
        text = gate.message or f"The window of stage {name} is closed."
        return WaitingFor(WaitKind.WINDOW, text, "time", gate.until)
    text = gate.message or f"The {gate.kind.value} of stage {name} has no data."
    return WaitingFor(WaitKind(gate.kind.value), text, "traffic and measurements")


def _approval(stage: StageView, gate: GateView) -> WaitingFor:
    approval = gate.approval
    action = "start" if gate.kind in BEFORE else "pass"
    who = " or ".join(stage.spec.approver_roles)
    if approval is None or approval.state in (ApprovalState.WAITING, ApprovalState.APPROVED):
        text = f"Waiting for approval before stage {stage.spec.name} may {action}."
        until = approval.expires_at if approval else None
        return WaitingFor(WaitKind.APPROVAL, text, who, until)
    text = f"The approval of stage {stage.spec.name} is {approval.state.value}. Ask for it again."
    return WaitingFor(WaitKind.APPROVAL_EXPIRED, text, "engineer or operator")


def _rolling_back(targets: list[TargetView], now: datetime) -> WaitingFor:
    """A target that gave up with something unverified on its cluster keeps its slot."""
    for target in targets:
        at_work = any(t.state is TargetState.ROLLING_BACK for t in targets)
        if target.undo_blocked and target.slot is not None and not at_work:
            text = f"{target.cluster.name} could not go back and holds up the others. Retry it."
            return WaitingFor(WaitKind.DECISION, text, "engineer or operator")
    return _work(targets, "Rolling back", now)


def _work(targets: list[TargetView], doing: str, now: datetime) -> WaitingFor:
    busy = [t for t in targets if t.state in look.AT_WORK or t.state is TargetState.ROLLING_BACK]
    reachable = [target for target in busy if not look.away(target)]
    for target in reachable:
        text = f"{doing}: {target.cluster.name} ({_busy_with(target)})."
        return WaitingFor(WaitKind.WORK, text, "the cluster", target.not_before or target.deadline)
    for target in targets:
        if target.state in look.ENDED or target.state is TargetState.SUCCEEDED:
            continue
        if look.away(target):
            text = f"{doing}: {target.cluster.name} is {target.cluster.state.replace('_', ' ')}."
            return WaitingFor(WaitKind.CLUSTER, text, "the cluster, or its operator")
        if target.state is TargetState.QUEUED and target.cluster.frozen:
            text = f"{target.cluster.name}: {target.cluster.frozen}"
            return WaitingFor(WaitKind.CLUSTER, text, "operator")
    return WaitingFor(WaitKind.WORK, f"{doing}.", "FleetPortal")


def _busy_with(target: TargetView) -> str:
    """What it is at, or what keeps it: the last refusal, else the cluster's own words."""
    new = target.new
    if target.problem:
        return target.problem.message.rstrip(".")
    if new is not None and new.state in ("stuck", "not_ready") and new.message:
        return new.message.rstrip(".")
    return target.state.value.replace("_", " ")


def _with_old(s: Snapshot) -> list[tuple[StageView, TargetView]]:
    return [
        (stage, target)
        for stage in s.stages
        for target in stage.targets
        if target.state is TargetState.SUCCEEDED and not look.retired(target)
    ]


def _old(s: Snapshot, now: datetime) -> WaitingFor:
    for stage, target in _with_old(s):
        until = keep_until(s, stage)
        name = target.cluster.name
        if target.old_retired:
            return WaitingFor(WaitKind.OLD, f"The old revision on {name} is going.", "the cluster")
        if until is not None and now < until:
            text = "The old revision is kept warm, so that a roll back takes seconds."
            return WaitingFor(WaitKind.OLD, text, "time, or whoever retires it now", until)
        if not look.idle(target.old):
            known = "still has requests" if look.busy(target.old) else "may still have requests"
            text = f"The old revision on {name} {known}."
            return WaitingFor(WaitKind.OLD, text, "its clients, or whoever retires it now")
        text = f"{name} has to be seen ready before its old revision goes."
        return WaitingFor(WaitKind.OLD, text, "the cluster")
    return WaitingFor(WaitKind.WORK, "Finishing.", "FleetPortal")


def next_moment(s: Snapshot, now: datetime) -> datetime | None:
    """The earliest time after `now` at which the clock alone may change the answer."""
    moments: list[datetime | None] = []
    for stage in s.stages:
        moments += [soak_until(stage), keep_until(s, stage)]
        moments += [approval.expires_at for approval in open_approvals(stage)]
        moments += [gate.until for gate in stage.gates]
        for target in stage.targets:
            if target.state not in look.ENDED:
                moments += [target.not_before, target.deadline, target.in_flight_until]
    return min((moment for moment in moments if moment and moment > now), default=None)
