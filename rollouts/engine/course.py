"""The course of the stages: one is current, it opens, runs, soaks, passes or fails.

A stage opens only when its gates before the start are open at that moment. Slots bound how many
targets are changed but not verified. One stopped target stops new ones: the line halts.
"""

from __future__ import annotations

from datetime import datetime

from rollouts.engine import look
from rollouts.engine.actions import Action, ClaimSlot, MoveRollout, MoveStage
from rollouts.engine.forward import begin, old_step, release, target_step
from rollouts.engine.gates import approval_of, current, gate_step
from rollouts.engine.types import (
    GateKind,
    GateState,
    OnDeadline,
    RolloutState,
    Snapshot,
    StageState,
    StageView,
    TargetState,
)

DONE = frozenset({StageState.PASSED, StageState.SKIPPED})
OVER = DONE | {StageState.ABORTED, StageState.ROLLED_BACK}


def current_stage(s: Snapshot) -> StageView | None:
    """The first stage that has neither passed nor been skipped."""
    return next((stage for stage in s.stages if stage.state not in DONE), None)


def work_steps(s: Snapshot, now: datetime) -> list[Action]:
    """What is in flight goes on, paused or not; slots that are not needed are given back."""
    steps: list[Action] = []
    for stage in s.stages:
        for target in stage.targets:
            step = release(target) or target_step(s, stage, target, now)
            if step is not None:
                steps.append(step)
    return steps


def old_steps(s: Snapshot, now: datetime) -> list[Action]:
    found = [old_step(s, stage, t, now) for stage in s.stages for t in stage.targets]
    return [step for step in found if step is not None]


def stage_steps(s: Snapshot, stage: StageView, now: datetime) -> list[Action]:
    if not stage.targets and stage.state is StageState.PENDING:
        return [_move(stage, StageState.SKIPPED, "No chosen cluster belongs to it.")]
    if stage.state is StageState.PENDING:
        return [_open_or_wait(s, stage, now)]
    if stage.state is StageState.RUNNING:
        return _run(s, stage, now)
    if stage.state is StageState.FAILED:
        return fail_or_recover(s, stage, now)
    if stage.started_at is None:
        gate = current(stage, s.rollout, now, before=True)
        return gate_step(stage, gate, s.rollout, now) if gate else [_open_or_wait(s, stage, now)]
    return _after(s, stage, now)


def _move(
    stage: StageView, to: StageState, reason: str = "", approval: str | None = None
) -> MoveStage:
    return MoveStage(stage.id, stage.state, to, reason, approval)


def _open_or_wait(s: Snapshot, stage: StageView, now: datetime) -> MoveStage:
    gate = current(stage, s.rollout, now, before=True)
    if gate is not None:
        return _move(stage, StageState.WAITING, f"Waiting for its gate: {gate.kind.words}.")
    return _move(stage, StageState.RUNNING, "Opened.", approval_of(stage, before=True))


def _run(s: Snapshot, stage: StageView, now: datetime) -> list[Action]:
    settled = (TargetState.SUCCEEDED, TargetState.SKIPPED)
    if all(t.state in settled and t.slot is None for t in stage.targets):
        return [_after_running(s, stage, now)]
    stopped = [t for t in stage.targets if t.state in look.STOPPED]
    if stopped and not any(t.state in look.AT_WORK or t.retry for t in stage.targets):
        names = ", ".join(target.cluster.name for target in stopped)
        return [_move(stage, StageState.FAILED, f"Stopped on {names}.")]
    return _begin_targets(stage, now, line_halted=bool(stopped))


def _begin_targets(stage: StageView, now: datetime, *, line_halted: bool) -> list[Action]:
    steps: list[Action] = []
    free = look.free_slots(stage)
    for target in stage.targets:
        if target.state is not TargetState.QUEUED or look.removed(target):
            continue
        if target.slot is not None:
            steps.append(begin(stage, target, now))
        elif free and not (line_halted or target.cluster.frozen or look.away(target)):
            steps.append(ClaimSlot(target.id, target.state, stage.id, free.pop(0)))
    return steps


def _after_running(s: Snapshot, stage: StageView, now: datetime) -> MoveStage:
    gate = current(stage, s.rollout, now, before=False)
    if gate is None:
        approval = approval_of(stage, before=False)
        return _move(stage, StageState.PASSED, "Passed.", approval)
    if gate.kind is GateKind.SOAK:
        return _move(stage, StageState.SOAKING, "Every target serves.")
    return _move(stage, StageState.WAITING, f"Waiting for its gate: {gate.kind.words}.")


def _after(s: Snapshot, stage: StageView, now: datetime) -> list[Action]:
    gate = current(stage, s.rollout, now, before=False)
    if gate is None:
        return [_after_running(s, stage, now)]
    if gate.state is GateState.FAILED and not gate.retry:
        return [_move(stage, StageState.FAILED, f"{gate.kind.value}: {gate.message or 'failed'}")]
    wanted = StageState.SOAKING if gate.kind is GateKind.SOAK else StageState.WAITING
    if stage.state is not wanted:
        return [_after_running(s, stage, now)]
    return gate_step(stage, gate, s.rollout, now)


def fail_or_recover(s: Snapshot, stage: StageView, now: datetime) -> list[Action]:
    """A failed stage: go on when a person asked for it, otherwise stop or roll back by policy."""
    retried = [
        step
        for gate in stage.gates
        if gate.state is GateState.FAILED and gate.retry
        for step in gate_step(stage, gate, s.rollout, now)
    ]
    stopped = [t for t in stage.targets if t.state in look.STOPPED]
    failed_gates = [gate for gate in stage.gates if gate.state is GateState.FAILED]
    if retried or any(target.retry for target in stopped):
        return retried
    if not stopped and not failed_gates:
        return [_recover(s, stage, now)]
    if s.rollout.state is RolloutState.FAILED:
        return []
    return [_by_policy(s, stage)]


def _recover(s: Snapshot, stage: StageView, now: datetime) -> MoveStage:
    gate = current(stage, s.rollout, now, before=False)
    if gate is not None and stage.soak_started_at is not None:
        return _after_running(s, stage, now)
    return _move(stage, StageState.RUNNING, "Going on.")


def _by_policy(s: Snapshot, stage: StageView) -> MoveRollout:
    broken = any(target.state is TargetState.FAILED for target in stage.targets)
    failed = [gate for gate in stage.gates if gate.state is GateState.FAILED]
    judged_bad = any(gate.kind is GateKind.ANALYSIS for gate in failed)
    wanted = stage.spec.on_deadline is OnDeadline.ROLLBACK and (broken or bool(failed))
    if judged_bad or wanted:
        to, hold, reason = RolloutState.ROLLING_BACK, True, f"{stage.spec.name} failed."
    else:
        to, hold, reason = RolloutState.FAILED, False, f"{stage.spec.name} failed: your decision."
    return MoveRollout(s.rollout.id, s.rollout.state, to, reason, hold=hold)


def end_stage(stage: StageView, to: StageState) -> list[Action]:
    """The stage's last word when the rollout was aborted or rolled back."""
    finished = OVER if to is StageState.ABORTED else OVER - {StageState.PASSED}
    if stage.state in finished:
        return []
    touched = any(look.touched(target) for target in stage.targets)
    if to is StageState.ROLLED_BACK and any(target.undo_blocked for target in stage.targets):
        return [] if stage.state is StageState.FAILED else [_move(stage, StageState.FAILED)]
    if to is StageState.ROLLED_BACK and (touched or stage.state is StageState.PASSED):
        return [_move(stage, StageState.ROLLED_BACK, "Its targets are back.")]
    return [_move(stage, StageState.ABORTED, "Not begun." if not touched else "Stopped.")]
