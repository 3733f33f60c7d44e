"""What a rollout does next: the whole logic, from one snapshot and the time.

`next_actions` may be called at any moment, by anyone, twice: it decides from rows and last
observations only, and each action carries the state it was decided in. Order of precedence: ended
outside, roll back, abort or rejection, votes, a changed plan, pause, and then the way forward.
"""

from __future__ import annotations

from datetime import datetime

from rollouts.engine import look
from rollouts.engine.actions import Action, MoveRollout, Wait
from rollouts.engine.backward import (
    begin_undo,
    over,
    rollback_steps,
    settled,
    undo_step,
    untouched_steps,
)
from rollouts.engine.course import (
    current_stage,
    end_stage,
    fail_or_recover,
    old_steps,
    stage_steps,
    work_steps,
)
from rollouts.engine.forward import release, target_step
from rollouts.engine.gates import approval_steps, rejection, withdraw_approvals
from rollouts.engine.moves import ROLLOUT_TERMINAL
from rollouts.engine.types import (
    RolloutState,
    Snapshot,
    StageState,
    StageView,
    TargetPhase,
    TargetState,
    TargetView,
)
from rollouts.engine.waiting import next_moment, waiting_for

CHANGED = "The plan changed since this rollout was started: abort or roll back, then plan again."


def next_actions(s: Snapshot, now: datetime) -> list[Action]:
    """All actions that can be done now, at most one per row; or one `Wait`."""
    return _decide(s, now) or [Wait(next_moment(s, now), waiting_for(s, now).text)]


def _decide(s: Snapshot, now: datetime) -> list[Action]:
    rollout = s.rollout
    if rollout.state in ROLLOUT_TERMINAL:
        return _after_the_end(s, now)
    if rollout.ended_outside:
        return [_move(s, RolloutState.ABORTED_OUTSIDE, f"Ended by {rollout.ended_outside}.")]
    if rollout.rollback or rollout.state is RolloutState.ROLLING_BACK:
        return _roll_back(s, now)
    votes = [step for stage in s.stages for step in approval_steps(stage, rollout, now)]
    if votes and not rollout.abort:
        return votes
    refused = next(filter(None, map(rejection, s.stages)), "")
    if rollout.abort or refused:
        return _wind_down(s, now, refused)
    if rollout.current_digest != rollout.digest:
        failed = rollout.state is RolloutState.FAILED
        return [] if failed else [_move(s, RolloutState.FAILED, CHANGED)]
    return _go(s, now)


def _move(s: Snapshot, to: RolloutState, reason: str, **flags: bool) -> MoveRollout:
    return MoveRollout(s.rollout.id, s.rollout.state, to, reason, **flags)


def _go(s: Snapshot, now: datetime) -> list[Action]:
    rollout = s.rollout
    if rollout.state is RolloutState.PAUSED:
        if not rollout.pause:
            return [_move(s, RolloutState.RUNNING, "Resumed.")]
    elif rollout.pause and rollout.state is not RolloutState.FAILED:
        return [_move(s, RolloutState.PAUSED, "Paused: what is in flight finishes.")]
    if rollout.state is RolloutState.PENDING:
        return [] if rollout.held else [_move(s, RolloutState.RUNNING, "Started.")]
    steps = work_steps(s, now)
    if rollout.state is RolloutState.PAUSED or rollout.held:
        return steps
    if rollout.state is RolloutState.FAILED:
        return steps + _recover(s, now)
    return steps + _onward(s, now)


def _recover(s: Snapshot, now: datetime) -> list[Action]:
    stage = current_stage(s)
    if stage is not None and stage.state is StageState.FAILED:
        return fail_or_recover(s, stage, now)
    return [_move(s, RolloutState.RUNNING, "Going on.")]


def _onward(s: Snapshot, now: datetime) -> list[Action]:
    steps = old_steps(s, now)
    stage = current_stage(s)
    if stage is None:
        return steps or _finish(s)
    flip = _flip(s, waits=stage.state in (StageState.WAITING, StageState.SOAKING))
    onward = stage_steps(s, stage, now)
    rollout_moves = any(isinstance(step, MoveRollout) for step in onward)
    return steps + onward + ([] if rollout_moves else flip)


def _finish(s: Snapshot) -> list[Action]:
    done = [t for stage in s.stages for t in stage.targets if t.state is TargetState.SUCCEEDED]
    if not all(look.retired(target) for target in done):
        return _flip(s, waits=True)
    if not done:
        return [_move(s, RolloutState.ABORTED, "No cluster was left to run on.")]
    clusters = "1 cluster" if len(done) == 1 else f"{len(done)} clusters"
    return [_move(s, RolloutState.SUCCEEDED, f"Running on {clusters}.")]


def _flip(s: Snapshot, *, waits: bool) -> list[Action]:
    wanted = RolloutState.WAITING if waits else RolloutState.RUNNING
    return [] if s.rollout.state is wanted else [_move(s, wanted, "")]


def _after_the_end(s: Snapshot, now: datetime) -> list[Action]:
    """The state is final; slots, open questions and replaced revisions are still tidied up."""
    steps = [a for stage in s.stages for a in withdraw_approvals(stage, "The rollout has ended.")]
    steps += [a for stage in s.stages for a in map(release, stage.targets) if a is not None]
    if s.rollout.state in (RolloutState.ABORTED, RolloutState.REJECTED):
        steps += old_steps(s, now)
    return steps


def _wind_down(s: Snapshot, now: datetime, refused: str) -> list[Action]:
    """Abort: what serves stays, what does not serve yet is taken away, nothing new begins."""
    steps = [a for stage in s.stages for a in withdraw_approvals(stage, "The rollout was aborted.")]
    for stage in s.stages:
        steps += untouched_steps(stage)
        found = [_wind_down_target(s, stage, t, now) for t in stage.targets if look.touched(t)]
        steps += [step for step in found if step is not None]
    if steps or not all(_down(target) for stage in s.stages for target in stage.targets):
        return steps
    steps = [a for stage in s.stages for a in end_stage(stage, StageState.ABORTED)]
    if steps:
        return steps
    if refused and not s.rollout.abort:
        return [_move(s, RolloutState.REJECTED, refused, quarantine=True)]
    return [_move(s, RolloutState.ABORTED, refused or "Aborted.", quarantine=bool(refused))]


def _down(target: TargetView) -> bool:
    return target.state is TargetState.SUCCEEDED or settled(target)


def _wind_down_target(
    s: Snapshot, stage: StageView, target: TargetView, now: datetime
) -> Action | None:
    if target.state is TargetState.SUCCEEDED or over(target):
        return release(target)
    if target.state is TargetState.ROLLING_BACK:
        return undo_step(s, target, now)
    serves_soon = target.phase is TargetPhase.SWITCH and target.state not in look.STOPPED
    if serves_soon or look.removed(target):
        return target_step(s, stage, target, now)
    return None if look.away(target) else begin_undo(stage, target, now)


def _roll_back(s: Snapshot, now: datetime) -> list[Action]:
    if s.rollout.state is not RolloutState.ROLLING_BACK:
        return [_move(s, RolloutState.ROLLING_BACK, "A roll back was asked for.", hold=True)]
    steps = [a for stage in s.stages for a in withdraw_approvals(stage, "Rolling back.")]
    steps += rollback_steps(s, now)
    targets = [target for stage in s.stages for target in stage.targets]
    if steps or not all(settled(target) for target in targets):
        return steps
    steps = [a for stage in s.stages for a in end_stage(stage, StageState.ROLLED_BACK)]
    if steps:
        return steps
    refused = any(map(rejection, s.stages))
    to, reason = _outcome(targets)
    return [_move(s, to, reason, hold=True, quarantine=refused)]


def _outcome(targets: list[TargetView]) -> tuple[RolloutState, str]:
    blocked = [target.cluster.name for target in targets if target.undo_blocked]
    if not blocked:
        return RolloutState.ROLLED_BACK, "Every cluster that was touched is back."
    names = ", ".join(blocked)
    if any(target.state is TargetState.ROLLED_BACK for target in targets):
        return RolloutState.ROLLED_BACK_PARTIALLY, f"Still on the new revision: {names}."
    return RolloutState.ROLLBACK_BLOCKED, f"Nothing could go back: {names}."
