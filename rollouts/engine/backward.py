"""The way back: R0 deletes what never served, R1 switches to the warm old one, R2 rebuilds it.

Stages go in reverse order, with the slots of the way forward. A target that was never changed
gets no request. Before anything is undone, requests of a lost holder have had their time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rollouts.engine import look
from rollouts.engine.actions import (
    Action,
    ClaimSlot,
    DeleteNew,
    DeleteRestored,
    Reprovision,
    Smoke,
    SwitchBack,
)
from rollouts.engine.forward import move, release
from rollouts.engine.types import (
    Mode,
    ProblemKind,
    Serving,
    Snapshot,
    StageView,
    TargetState,
    TargetView,
)


def settled(target: TargetView) -> bool:
    """The rollback has nothing more to do here, and nothing to give back."""
    return over(target) and release(target) is None


def over(target: TargetView) -> bool:
    """Back, skipped, or given up."""
    if target.state in look.ENDED:
        return True
    return target.state is TargetState.FAILED and target.undo_blocked and not target.retry


def rollback_steps(s: Snapshot, now: datetime) -> list[Action]:
    """One action per target at most; a stage begins when the later ones are done or away."""
    steps: list[Action] = []
    reached = True
    for stage in reversed(s.stages):
        steps += untouched_steps(stage)
        if not reached:
            continue
        free = look.free_slots(stage)
        touched = [target for target in stage.targets if look.touched(target)]
        found = [_begin_or_undo(s, stage, target, free, now) for target in touched]
        steps += [step for step in found if step is not None]
        reached = all(settled(target) or look.away(target) for target in touched)
    return steps


def untouched_steps(stage: StageView) -> list[Action]:
    """Skip what was never begun, without a request to its cluster, and free its slot."""
    steps: list[Action] = []
    for target in stage.targets:
        if look.touched(target):
            continue
        freed = release(target)
        if target.state not in look.ENDED:
            steps.append(move(target, TargetState.SKIPPED, "Never begun."))
        elif freed is not None:
            steps.append(freed)
    return steps


def _begin_or_undo(
    s: Snapshot, stage: StageView, target: TargetView, free: list[int], now: datetime
) -> Action | None:
    if over(target):
        return release(target)
    if target.state is TargetState.ROLLING_BACK:
        return undo_step(s, target, now)
    if target.slot is not None:
        return begin_undo(stage, target, now)
    if look.away(target) or not free:
        return None
    return ClaimSlot(target.id, target.state, stage.id, free.pop(0))


def begin_undo(stage: StageView, target: TargetView, now: datetime) -> Action:
    deadline = now + timedelta(seconds=stage.spec.deadline_seconds)
    return move(target, TargetState.ROLLING_BACK, deadline=deadline)


def undo_step(s: Snapshot, target: TargetView, now: datetime) -> Action | None:
    """The next action of a target that is rolling back."""
    if look.removed(target):
        return move(target, TargetState.SKIPPED, "The cluster was removed from the portal.")
    if look.away(target) or look.later(target, now):
        return None
    if target.in_flight_until is not None and now < target.in_flight_until:
        return None
    problem = target.problem
    if problem and problem.kind is not ProblemKind.TEMPORARY:
        return _give_up(target, problem.message)
    if target.old is None or _never_left(target):
        return _delete_new(target, "Taken away; it never served." if target.old else "Taken away.")
    if look.old_stays(target):
        return _back_to_old(target, now)
    return _rebuild_old(s, target, now)


def _never_left(target: TargetView) -> bool:
    """R0: our Service still selects the old one, and the old one is untouched."""
    return look.old_stays(target) and not look.switch_begun(target)


def _delete_new(target: TargetView, reason: str) -> Action:
    if look.gone(target.new):
        return move(target, TargetState.ROLLED_BACK, reason)
    return DeleteNew(target.id, target.state, target.attempt)


def _back_to_old(target: TargetView, now: datetime) -> Action | None:
    """R1. The old one must be seen to serve after the last forward request could arrive."""
    if target.serving is Serving.OLD:
        return _unless_busy(target, "Back on the old revision, which was still warm.", now)
    old = target.old
    if old is None or not look.seen_since(old, target.in_flight_until, now):
        return None
    if look.ready(old):
        return SwitchBack(target.id, target.state, target.attempt, Serving.OLD)
    if look.not_ready(old) and _late(target, now):
        return _give_up(target, "The old revision is not ready any more.")
    return None


def _rebuild_old(s: Snapshot, target: TargetView, now: datetime) -> Action | None:
    """R2. In recreate mode the new one makes room first; otherwise it serves until the end."""
    if target.serving is Serving.RESTORED:
        return _unless_busy(target, "Back on the old spec, in a new object.", now)
    if target.restored is None or look.gone(target.restored):
        return _provision(s, target, now)
    if look.not_ready(target.restored) and _late(target, now):
        return _give_up(target, "The old spec did not become ready again.")
    if not look.ready(target.restored):
        return None
    if not target.restore_verified:
        return Smoke(target.id, target.state, target.attempt, Serving.RESTORED)
    return SwitchBack(target.id, target.state, target.attempt, Serving.RESTORED)


def _provision(s: Snapshot, target: TargetView, now: datetime) -> Action:
    if target.capacity is not True:
        known = "no room" if target.capacity is False else "nobody knows whether there is room"
        return _give_up(target, f"The old revision is gone and {known} for it.")
    if _late(target, now):
        return _give_up(target, "The old spec did not become ready again.")
    if s.strategy.mode is Mode.RECREATE and not look.gone(target.new):
        return DeleteNew(target.id, target.state, target.attempt)
    return Reprovision(target.id, target.state, target.attempt)


def _unless_busy(target: TargetView, reason: str, now: datetime) -> Action | None:
    """Let requests that still run on the new one finish, but not beyond the deadline."""
    if look.busy(target.new) and not _late(target, now):
        return None
    return _delete_new(target, reason)


def _late(target: TargetView, now: datetime) -> bool:
    return target.deadline is not None and now >= target.deadline


def _give_up(target: TargetView, reason: str) -> Action:
    """Take away what never served, then leave the target to a person."""
    stillborn = target.restored is not None and not look.gone(target.restored)
    if stillborn and target.serving not in (Serving.RESTORED, Serving.UNKNOWN):
        return DeleteRestored(target.id, target.state, target.attempt)
    unused = not target.verified and target.serving in (Serving.OLD, Serving.NOTHING)
    if unused and not look.gone(target.new):
        return DeleteNew(target.id, target.state, target.attempt)
    return move(target, TargetState.FAILED, reason, undo_blocked=True)
