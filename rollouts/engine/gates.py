"""What must hold before a stage opens, and before it passes.

Gates of one side are asked in order, one at a time. No data holds a gate: it never passes and it
never rolls back. An approval is counted again at the moment it is used.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rollouts.engine import look
from rollouts.engine.actions import Action, CloseApproval, MoveGate, OpenApproval
from rollouts.engine.types import (
    STALE_AFTER_SECONDS,
    ApprovalState,
    ApprovalView,
    GateKind,
    GateState,
    GateView,
    RolloutView,
    StageView,
    TargetState,
    TargetView,
    Verdict,
)
from rollouts.engine.types import Decision as VoteDecision
from rollouts.engine.votes import tally

BEFORE = frozenset({GateKind.WINDOW, GateKind.APPROVAL_BEFORE})
APPROVALS = frozenset({GateKind.APPROVAL_BEFORE, GateKind.APPROVAL_AFTER})
ORDER = tuple(GateKind)


def current(
    stage: StageView, rollout: RolloutView, now: datetime, *, before: bool
) -> GateView | None:
    """The first gate of that side that is not open now; None: the way is free."""
    for gate in sorted(stage.gates, key=lambda gate: ORDER.index(gate.kind)):
        if (gate.kind in BEFORE) is before and not _open(gate, rollout, now):
            return gate
    return None


def _open(gate: GateView, rollout: RolloutView, now: datetime) -> bool:
    if gate.state is GateState.OVERRIDDEN:
        return True
    if gate.state is not GateState.PASSED:
        return False
    if gate.kind is GateKind.WINDOW:
        return _judged(gate) is GateState.PASSED
    return gate.kind not in APPROVALS or _approved(gate, rollout, now)


def _approved(gate: GateView, rollout: RolloutView, now: datetime) -> bool:
    approval = gate.approval
    if approval is None or approval.state is not ApprovalState.APPROVED:
        return False
    return tally(approval, rollout.current_digest, now).state is ApprovalState.APPROVED


def approval_of(stage: StageView, *, before: bool) -> str | None:
    """The id of the approval that the move through this side rests on."""
    for gate in stage.gates:
        in_question = gate.kind in APPROVALS and (gate.kind in BEFORE) is before
        if in_question and gate.approval and gate.state is GateState.PASSED:
            return gate.approval.id
    return None


def gate_step(
    stage: StageView, gate: GateView, rollout: RolloutView, now: datetime
) -> list[Action]:
    """What the stage's current gate needs next; empty while it can only wait."""
    if gate.state is GateState.FAILED:
        return [_move(gate, GateState.HOLDING, "Asked again.")] if gate.retry else []
    if gate.kind in APPROVALS:
        return _approval_step(stage, gate, rollout, now)
    if gate.kind is GateKind.SOAK:
        to, reason = soak_state(stage, now)
    else:
        to, reason = _judged(gate), gate.message
    if gate.state is GateState.PASSED and to is not GateState.PASSED:
        to = GateState.HOLDING
    return [] if to is gate.state else [_move(gate, to, reason)]


def _move(gate: GateView, to: GateState, reason: str) -> MoveGate:
    return MoveGate(gate.id, gate.state, to, reason)


def _approval_step(
    stage: StageView, gate: GateView, rollout: RolloutView, now: datetime
) -> list[Action]:
    if gate.state is GateState.PASSED:
        return [_move(gate, GateState.HOLDING, "The approval no longer counts.")]
    if gate.state is GateState.NOT_REACHED:
        return [_move(gate, GateState.HOLDING, "Waiting for a decision.")]
    if gate.approval is None:
        return [_request(stage, gate, rollout, now)]
    if gate.approval.state is ApprovalState.APPROVED and _approved(gate, rollout, now):
        return [_move(gate, GateState.PASSED, tally(gate.approval, rollout.digest, now).reason)]
    return []  # approval_steps moves the approval itself


def _request(stage: StageView, gate: GateView, rollout: RolloutView, now: datetime) -> OpenApproval:
    return OpenApproval(
        gate.id,
        gate.state,
        rollout.digest,
        rollout.requester,
        stage.spec.quorum,
        stage.spec.approver_roles,
        now + timedelta(seconds=stage.spec.approval_ttl_seconds),
    )


def approval_steps(stage: StageView, rollout: RolloutView, now: datetime) -> list[Action]:
    """Bring the stored state of open approvals in line with their votes, the clock, the digest."""
    steps: list[Action] = []
    for approval in open_approvals(stage):
        count = tally(approval, rollout.current_digest, now)
        if count.state is not approval.state:
            steps.append(CloseApproval(approval.id, approval.state, count.state, count.reason))
    return steps


def withdraw_approvals(stage: StageView, reason: str) -> list[Action]:
    return [
        CloseApproval(approval.id, approval.state, ApprovalState.WITHDRAWN, reason)
        for approval in open_approvals(stage)
    ]


def open_approvals(stage: StageView) -> list[ApprovalView]:
    """Those that can still change: one that let its stage through stays approved for good."""
    return [
        gate.approval
        for gate in stage.gates
        if gate.approval
        and gate.approval.state in (ApprovalState.WAITING, ApprovalState.APPROVED)
        and (stage.started_at if gate.kind in BEFORE else stage.passed_at) is None
    ]


def rejection(stage: StageView) -> str:
    """Why the stage was refused by a person; empty: it was not."""
    for gate in stage.gates:
        if gate.approval and gate.approval.state is ApprovalState.REJECTED:
            names = [v.voter for v in gate.approval.votes if v.decision is VoteDecision.REJECT]
            return f"Rejected by {', '.join(names) or 'an approver'}."
    return ""


def _judged(gate: GateView) -> GateState:
    """The state that the judge's word amounts to; a closed or unknown window only holds."""
    age = gate.verdict_age_seconds
    stale = gate.verdict is None or age is None or age > STALE_AFTER_SECONDS
    if gate.kind is GateKind.WINDOW and not stale and gate.verdict is not Verdict.PASSED:
        return GateState.HOLDING
    if stale or gate.verdict is None:
        return GateState.NO_DATA
    return {
        Verdict.PASSED: GateState.PASSED,
        Verdict.FAILED: GateState.FAILED,
        Verdict.INCONCLUSIVE: GateState.INCONCLUSIVE,
    }[gate.verdict]


def soak_until(stage: StageView) -> datetime | None:
    """When the soak ends: every target has to be ready for the whole of it, without a break."""
    if stage.soak_started_at is None:
        return None
    starts = [stage.soak_started_at]
    starts += [t.new.since for t in _soaking(stage) if t.new and t.new.since]
    return max(starts) + timedelta(seconds=stage.spec.soak_seconds)


def soak_state(stage: StageView, now: datetime) -> tuple[GateState, str]:
    until = soak_until(stage)
    if until is None:
        return GateState.HOLDING, "The soak has not begun."
    broken = [t for t in _soaking(stage) if look.not_ready(t.new)]
    limit = timedelta(seconds=stage.spec.deadline_seconds)
    for target in broken:
        since = max(target.new.since or now, stage.soak_started_at or now) if target.new else now
        if now - since >= limit:
            return GateState.FAILED, f"{target.cluster.name} did not stay ready."
    if broken:
        return GateState.HOLDING, f"{broken[0].cluster.name} is not ready: the soak starts again."
    silent = [t for t in _soaking(stage) if not look.fresh(t.new)]
    if silent:
        return GateState.NO_DATA, f"Nothing is known of {silent[0].cluster.name}."
    if now < until:
        return GateState.HOLDING, "Soaking."
    return GateState.PASSED, f"Ready for {stage.spec.soak_seconds} s without a break."


def _soaking(stage: StageView) -> list[TargetView]:
    return [
        target
        for target in stage.targets
        if target.state is TargetState.SUCCEEDED and not look.removed(target)
    ]
