"""The toy portal's executor: performs the engine's actions on rows and fleet, and may be killed.

It checks what the real one's database checks (state, attempt, fence, unique slots, the move
tables, votes at the moment of use); a refused write raises nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from rollouts.engine import actions as a
from rollouts.engine import moves
from rollouts.engine.steps import next_actions
from rollouts.engine.types import (
    ApprovalState,
    ApprovalView,
    Decision,
    GateKind,
    GateState,
    Problem,
    ProblemKind,
    Serving,
    StageState,
    TargetPhase,
    TargetState,
    TargetView,
    VoteView,
    WorkspaceView,
)
from rollouts.engine.votes import PrincipalFacts, can_decide, tally
from rollouts.engine.waiting import WaitingFor, waiting_for
from tests.engine.rollout_world import LEASE, Answer, Fault, Late, Rows


class Executor:
    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def perform(self, action: a.Action, fence: int, fault: Fault | None = None) -> None:
        """One action under the lease `fence`; with a fault the process dies on the way."""
        if fence != self.rows.rollout.fence:
            return
        if isinstance(action, a.Effect):
            self._effect(action, fence, fault)
        elif fault is None and not isinstance(action, a.Wait):
            self._write(action)
        if fault is not None:
            self.rows.steal_lease()

    def _journal(
        self, kind: str, pk: str, table: moves.Moves, expect: StrEnum, to: StrEnum
    ) -> None:
        assert (expect, to) in table, f"{kind}: {expect} -> {to} is not in the table"
        self.rows.journal.append((kind, pk, expect.value, to.value))

    def _write(self, action: a.Action) -> None:
        writers: dict[type, Callable[[Any], None]] = {
            a.MoveRollout: self._rollout,
            a.MoveStage: self._stage,
            a.MoveTarget: self._target,
            a.MoveGate: self._gate,
            a.OpenApproval: self._open,
            a.CloseApproval: self._close,
            a.ClaimSlot: self._claim,
            a.ReleaseSlot: self._release,
        }
        writers[type(action)](action)

    def _rollout(self, action: a.MoveRollout) -> None:
        rows = self.rows
        if rows.rollout.state is not action.expect:
            return
        self._journal("rollout", "r", moves.ROLLOUT_MOVES, action.expect, action.to)
        ended = rows.now if action.to in moves.ROLLOUT_TERMINAL else None
        rows.rollout = replace(rows.rollout, state=action.to, ended_at=ended)

    def _stage(self, action: a.MoveStage) -> None:
        rows = self.rows
        stage = rows.stages[action.stage]
        if stage.state is not action.expect:
            return
        if action.approval is not None and not self._counts(rows.approvals[action.approval]):
            return
        self._journal("stage", stage.id, moves.STAGE_MOVES, action.expect, action.to)
        stage = replace(stage, state=action.to)
        if action.to is StageState.RUNNING and stage.started_at is None:
            stage = replace(stage, started_at=rows.now)
        if action.to is StageState.SOAKING:
            stage = replace(stage, soak_started_at=rows.now)
        if action.to is StageState.PASSED:
            stage = replace(stage, passed_at=rows.now)
        rows.stages[stage.id] = stage

    def _counts(self, approval: ApprovalView) -> bool:
        rows = self.rows
        count = tally(rows.with_roles(approval), rows.rollout.current_digest, rows.now)
        return (count.state, approval.state) == (ApprovalState.APPROVED, ApprovalState.APPROVED)

    def _target(self, action: a.MoveTarget) -> None:
        target = self.rows.targets[action.target]
        if target.state is not action.expect or target.attempt != action.attempt:
            return
        self._journal("target", target.id, moves.TARGET_MOVES, action.expect, action.to)
        keeps = action.to in (TargetState.FAILED, TargetState.CONFLICT)
        target = replace(
            target,
            state=action.to,
            retry=False,
            not_before=None,
            problem=target.problem if keeps else None,
            phase=action.phase or target.phase,
            deadline=action.deadline or target.deadline,
            undo_blocked=action.undo_blocked,
        )
        if action.reset:
            attempt = action.attempt + 1
            target = replace(
                target, attempt=attempt, checked=False, applied=False, verified=False, deadline=None
            )
        self.rows.targets[target.id] = target

    def _gate(self, action: a.MoveGate) -> None:
        gate = self.rows.gates[action.gate]
        if gate.state is action.expect:
            self._journal("gate", gate.id, moves.GATE_MOVES, action.expect, action.to)
            self.rows.gates[gate.id] = replace(gate, state=action.to, retry=False)

    def _open(self, action: a.OpenApproval) -> None:
        rows = self.rows
        waiting = (ApprovalState.WAITING, ApprovalState.APPROVED)
        mine = [x for x in rows.approvals.values() if rows.approval_gate[x.id] == action.gate]
        taken = any(approval.state in waiting for approval in mine)
        if rows.gates[action.gate].state is not GateState.HOLDING or taken:
            return
        view = ApprovalView(
            "", ApprovalState.WAITING, action.digest, action.requester, action.quorum,
            action.roles, action.expires_at,
        )  # fmt: skip
        rows.add_approval(action.gate, view)

    def _close(self, action: a.CloseApproval) -> None:
        approval = self.rows.approvals[action.approval]
        if approval.state is action.expect:
            self._journal("approval", approval.id, moves.APPROVAL_MOVES, action.expect, action.to)
            self.rows.approvals[approval.id] = replace(approval, state=action.to)

    def _claim(self, action: a.ClaimSlot) -> None:
        rows = self.rows
        target = rows.targets[action.target]
        peers = [t for t in rows.targets.values() if rows.stage_of[t.id] == action.stage]
        taken = any(peer.slot == action.index for peer in peers)
        if target.state is action.expect and target.slot is None and not taken:
            rows.targets[target.id] = replace(target, slot=action.index)

    def _release(self, action: a.ReleaseSlot) -> None:
        target = self.rows.targets[action.target]
        if target.state is action.expect and target.slot == action.index:
            self.rows.targets[target.id] = replace(target, slot=None)

    def _matches(self, action: a.Effect, fence: int) -> TargetView | None:
        target = self.rows.targets[action.target]
        same = target.state is action.expect and target.attempt == action.attempt
        return target if same and fence == self.rows.rollout.fence else None

    def _effect(self, action: a.Effect, fence: int, fault: Fault | None) -> None:
        target = self._matches(action, fence)
        stale_plan = getattr(action, "digest", None) not in (None, self.rows.rollout.current_digest)
        if target is None or stale_plan or fault is Fault.BEFORE_INTENT:
            return
        earlier = target.in_flight_until
        until = self.rows.now + LEASE
        changes = not isinstance(action, a.Preflight | a.Smoke | a.DrainOld)
        if changes:
            self._intend(action, target, until)
        if fault is Fault.AFTER_INTENT:
            return
        if fault is Fault.STALLED:
            if changes:
                self.rows.late.append(Late(target.id, until, lambda: self._send(action)))
            return
        answer = self._send(action)
        if fault is None and self._matches(action, fence):
            self._record(action, answer, earlier)

    def _intend(self, action: a.Effect, target: TargetView, until: object) -> None:
        fields: dict[str, Any] = {"mutated": True, "in_flight_until": until}
        if isinstance(action, a.SwitchService | a.SwitchBack):
            fields["serving"] = Serving.UNKNOWN
        if isinstance(action, a.Apply) and target.new is None:
            fields["new"] = WorkspaceView(f"{target.id}/new", "applying")
        if isinstance(action, a.Reprovision):
            fields["restored"] = WorkspaceView(f"{target.id}/restored", "applying")
            self.rows.delete_begun.discard((target.id, "restored"))
        if isinstance(action, a.RetireOld):
            fields["old_retired"] = True
            if target.phase is not TargetPhase.INTRODUCE:
                fields["phase"] = TargetPhase.RETIRE
        if isinstance(action, a.DeleteNew) and target.new is None:
            fields["new"] = WorkspaceView(f"{target.id}/new", "retiring")
        self.rows.targets[target.id] = replace(target, **fields)

    def _send(self, action: a.Effect) -> Answer:
        rows, name = self.rows, action.target
        fleet = rows.fleet
        digest = rows.rollout.digest
        match action:
            case a.Preflight():
                return Answer.OK if fleet.sites[name].admits else Answer.REFUSED
            case a.Apply():
                return fleet.create(name, "new", digest)
            case a.Reprovision():
                return fleet.create(name, "restored", digest)
            case a.Smoke():
                return fleet.complete(name, action.of.value)
            case a.SwitchService():
                return fleet.switch(name, "new", digest)
            case a.SwitchBack():
                return fleet.switch(name, action.to.value, digest)
            case a.RetireOld():
                return self._delete(name, "old")
            case a.DeleteNew():
                return self._delete(name, "new")
            case a.DeleteRestored():
                return self._delete(name, "restored")
        return Answer.OK

    def _delete(self, name: str, role: str) -> Answer:
        answer = self.rows.fleet.delete(name, role)
        if answer is Answer.OK:
            self.rows.delete_begun.add((name, role))
        return answer

    def _record(self, action: a.Effect, answer: Answer, earlier: object) -> None:
        target = self.rows.targets[action.target]
        soon = self.rows.now + timedelta(seconds=5)
        fields: dict[str, Any] = {"in_flight_until": earlier}
        if answer is Answer.AWAY:
            fields |= {"problem": Problem(ProblemKind.TEMPORARY, "timeout"), "not_before": soon}
        elif answer is Answer.CONFLICT:
            fields["problem"] = Problem(ProblemKind.CONFLICT, "spec.replicas belongs to kubectl")
        elif answer is Answer.REFUSED:
            fields["problem"] = Problem(ProblemKind.REFUSED, f"{type(action).__name__} refused")
        else:
            fields |= self._success(action)
        self.rows.targets[target.id] = replace(target, **fields)

    def _success(self, action: a.Effect) -> dict[str, Any]:
        soon = self.rows.now + timedelta(seconds=5)
        match action:
            case a.Preflight():
                return {"checked": True, "problem": None}
            case a.Apply():
                return {"applied": True, "problem": None}
            case a.Smoke():
                new = action.of is Serving.NEW
                return {"verified" if new else "restore_verified": True, "problem": None}
            case a.SwitchService():
                return {"serving": Serving.NEW, "problem": None}
            case a.SwitchBack():
                return {"serving": action.to, "problem": None}
            case a.DrainOld():
                return {"phase": TargetPhase.DRAIN}
            case a.DeleteRestored():
                return {"not_before": soon}
        return {"not_before": soon, "problem": None}


def wishes(rows: Rows, what: str) -> None:
    """What a person asks of the rollout; the service refuses it on a rollout that has ended."""
    if rows.rollout.state in moves.ROLLOUT_TERMINAL:
        return
    if what == "resume":
        rows.rollout = replace(rows.rollout, pause=False, held="")
    elif what == "hold":
        rows.rollout = replace(rows.rollout, held="stop the line")
    elif what == "retry":
        _retry(rows)
    elif what == "edit the plan":
        rows.rollout = replace(rows.rollout, current_digest="beef")
    else:
        fields: dict[str, Any] = {what.replace(" ", "_"): True}
        rows.rollout = replace(rows.rollout, **fields)


def override_gates(rows: Rows) -> None:
    """A person lets measured gates through that hold or have failed."""
    for pk, gate in rows.gates.items():
        judged = gate.kind in (GateKind.ANALYSIS, GateKind.BENCHMARK)
        if judged and (gate.state, GateState.OVERRIDDEN) in moves.GATE_MOVES:
            rows.journal.append(("gate", pk, gate.state.value, GateState.OVERRIDDEN.value))
            rows.gates[pk] = replace(gate, state=GateState.OVERRIDDEN)


def _retry(rows: Rows) -> None:
    stopped = (TargetState.FAILED, TargetState.CONFLICT)
    for pk, target in rows.targets.items():
        if target.state in stopped:
            rows.targets[pk] = replace(target, retry=True)
    for pk, gate in rows.gates.items():
        if gate.state is GateState.FAILED:
            rows.gates[pk] = replace(gate, retry=True)


class Play:
    """A rollout that can be played by hand: `run` acts until only waiting is left."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.executor = Executor(rows)
        self.done: list[a.Action] = []

    def actions(self) -> list[a.Action]:
        self.rows.observe()
        return next_actions(self.rows.snapshot(), self.rows.now)

    def run(self, limit: int = 200) -> a.Wait:
        for _ in range(limit):
            actions = self.actions()
            if isinstance(actions[0], a.Wait):
                return actions[0]
            for action in actions:
                self.executor.perform(action, self.rows.rollout.fence)
            self.done += actions
        raise AssertionError(f"never came to rest: {actions}")

    def later(self, seconds: float, step: float = 5) -> a.Wait:
        """Let time pass in small steps, acting all the while."""
        wait = self.run()
        until = self.rows.now + timedelta(seconds=seconds)
        while self.rows.now < until:
            self.rows.fleet.advance(step)
            wait = self.run()
        return wait

    def waits(self) -> WaitingFor:
        return waiting_for(self.rows.snapshot(), self.rows.now)

    def vote(self, person: str, decision: Decision) -> str:
        """Cast a vote on the open approval as the service would; the answer is why not."""
        rows = self.rows
        approval = next(x for x in rows.approvals.values() if x.state is ApprovalState.WAITING)
        facts = PrincipalFacts(person, frozenset(rows.roles.get(person, set())))
        allowed, why_not = can_decide(facts, approval, rows.now, rows.rollout.digest)
        if allowed:
            vote = VoteView(person, decision, approval.digest, rows.now, True, True)
            rows.approvals[approval.id] = replace(approval, votes=(*approval.votes, vote))
        return why_not
