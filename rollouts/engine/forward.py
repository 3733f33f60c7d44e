"""One target on its way from queued to succeeded, and its old revision on its way out.

Each function looks at one target and names its next action, or None while it can only wait.
Nothing is switched, drained or deleted on stale or missing data.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rollouts.engine import look
from rollouts.engine.actions import (
    Action,
    Apply,
    DrainOld,
    MoveTarget,
    Preflight,
    ReleaseSlot,
    RetireOld,
    Smoke,
    SwitchService,
)
from rollouts.engine.types import (
    Mode,
    ProblemKind,
    RolloutView,
    Serving,
    Snapshot,
    StageView,
    TargetPhase,
    TargetState,
    TargetView,
)


def move(
    target: TargetView,
    to: TargetState,
    reason: str = "",
    *,
    phase: TargetPhase | None = None,
    deadline: datetime | None = None,
    reset: bool = False,
    undo_blocked: bool = False,
) -> MoveTarget:
    return MoveTarget(
        target.id,
        target.state,
        to,
        target.attempt,
        reason,
        phase=phase,
        deadline=deadline,
        reset=reset,
        undo_blocked=undo_blocked,
    )


def target_step(s: Snapshot, stage: StageView, target: TargetView, now: datetime) -> Action | None:
    """The next action of a target that is at work, away, or stopped with a retry asked for."""
    state = target.state
    if look.removed(target) and state not in look.ENDED and state is not TargetState.SUCCEEDED:
        return move(target, TargetState.SKIPPED, "The cluster was removed from the portal.")
    if state in look.STOPPED and target.retry:
        return move(target, TargetState.QUEUED, "Another attempt was asked for.", reset=True)
    if state is TargetState.CLUSTER_AWAY and not look.away(target):
        deadline = now + timedelta(seconds=stage.spec.deadline_seconds)
        return move(target, _back_to(target), "The cluster is back.", deadline=deadline)
    if state in look.AT_WORK:
        return _work(s, target, now)
    return None


def begin(stage: StageView, target: TargetView, now: datetime) -> MoveTarget:
    """From queued, with a slot, to the pre-flight; the deadline of the attempt starts here."""
    deadline = now + timedelta(seconds=stage.spec.deadline_seconds)
    return move(target, TargetState.CHECKING, deadline=deadline)


def release(target: TargetView) -> Action | None:
    """Give the slot back once nothing unverified of this target is on its cluster."""
    verified = target.state is TargetState.SUCCEEDED or target.state in look.ENDED
    given_up = target.undo_blocked and (target.verified or look.gone(target.new))
    harmless = given_up or not target.mutated
    if target.slot is None or not (verified or (target.state in look.STOPPED and harmless)):
        return None
    return ReleaseSlot(target.id, target.state, target.slot)


def _back_to(target: TargetView) -> TargetState:
    if not target.checked:
        return TargetState.CHECKING
    if not target.applied:
        return TargetState.APPLYING
    return TargetState.SWITCHING if look.switch_begun(target) else TargetState.STARTING


def _work(s: Snapshot, target: TargetView, now: datetime) -> Action | None:
    problem = target.problem
    if problem and problem.kind is ProblemKind.CONFLICT:
        return move(target, TargetState.CONFLICT, problem.message)
    if problem and problem.kind is ProblemKind.REFUSED:
        return move(target, TargetState.FAILED, problem.message)
    if look.away(target):
        return move(target, TargetState.CLUSTER_AWAY, f"The cluster is {target.cluster.state}.")
    if target.deadline and now >= target.deadline and _evidence(target):
        return move(target, TargetState.FAILED, _late(target))
    if look.later(target, now):
        return None
    steps = {
        TargetState.CHECKING: _check,
        TargetState.APPLYING: _apply,
        TargetState.STARTING: _start,
        TargetState.SWITCHING: _switch,
    }
    return steps[target.state](s, target)


def _evidence(target: TargetView) -> bool:
    """Late is a failure only when something was seen to be wrong: silence is not."""
    return target.problem is not None or look.not_ready(target.new)


def _late(target: TargetView) -> str:
    seen = target.problem.message if target.problem else target.new.message if target.new else ""
    return f"Not done by the deadline: {seen or 'not ready'}"


def _check(s: Snapshot, target: TargetView) -> Action | None:
    if not target.checked:
        return Preflight(target.id, target.state, target.attempt)
    return move(target, TargetState.APPLYING)


def _apply(s: Snapshot, target: TargetView) -> Action | None:
    if target.applied:
        return move(target, TargetState.STARTING)
    if s.strategy.mode is Mode.RECREATE and not look.retired(target):
        return RetireOld(target.id, target.state, target.attempt)
    return Apply(target.id, target.state, target.attempt, s.rollout.digest)


def _start(s: Snapshot, target: TargetView) -> Action | None:
    if not look.ready(target.new):
        return None
    if not target.verified:
        return Smoke(target.id, target.state, target.attempt, Serving.NEW)
    return move(target, TargetState.SWITCHING, phase=TargetPhase.SWITCH)


def _switch(s: Snapshot, target: TargetView) -> Action | None:
    if target.serving is Serving.NEW:
        return move(target, TargetState.SUCCEEDED, "Serving.")
    if not look.ready(target.new):
        return None
    return SwitchService(target.id, target.state, target.attempt, s.rollout.digest)


def keep_until(s: Snapshot, stage: StageView) -> datetime | None:
    """Until when the old ones of a stage stay warm; None: the stage has not passed yet."""
    since = stage.passed_at or s.rollout.ended_at
    if since is None:
        return None
    return since + timedelta(seconds=s.strategy.keep_old_for_seconds)


def old_step(s: Snapshot, stage: StageView, target: TargetView, now: datetime) -> Action | None:
    """Drain the old revision of a succeeded target, then retire it."""
    until = keep_until(s, stage)
    if target.state is not TargetState.SUCCEEDED or until is None or look.retired(target):
        return None
    if look.away(target) or look.later(target, now):
        return None
    if target.phase is TargetPhase.SWITCH:
        return DrainOld(target.id, target.state, target.attempt)
    if _may_retire(s.rollout, target, now >= until):
        return RetireOld(target.id, target.state, target.attempt)
    return None


def _may_retire(rollout: RolloutView, target: TargetView, kept_long_enough: bool) -> bool:
    """Only while the new one is seen to serve; a person may give up waiting for the old one."""
    if target.serving is not Serving.NEW or not look.ready(target.new):
        return False
    if target.old_retired or rollout.retire_now:
        return True
    return kept_long_enough and look.idle(target.old)
