"""What must never happen in a rollout, checked from the fleet's own log and objects.

The engine is not asked: these checks count objects on the clusters, votes as they were cast, and
moves as they were journalled. Names I1 to I11 are those of the threat model's invariants.
"""

from __future__ import annotations

from datetime import datetime

from rollouts.engine import actions as a
from rollouts.engine.moves import ROLLOUT_TERMINAL
from rollouts.engine.types import (
    ApprovalMode,
    ApprovalView,
    Decision,
    GateState,
    Mode,
    RolloutState,
    Snapshot,
    StageState,
    TargetState,
    TargetView,
    WorkspaceView,
)
from tests.engine.rollout_world import DIGEST, REQUESTER, Rows

FRESH = 90.0
OPENING = (StageState.RUNNING,)
DESTROYS = (a.RetireOld, a.DeleteNew, a.DeleteRestored)
UNDOES = (a.DeleteNew, a.DeleteRestored, a.SwitchBack, a.Reprovision)


class Watch:
    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.seen = 0  # requests of the fleet's log already judged
        self.journalled = 0
        self.edited_at: int | None = None  # length of the log when the plan was edited
        self.start = {("rollout", "r"): "pending"}
        self.start |= {("stage", pk): "pending" for pk in rows.stages}
        self.start |= {("target", pk): "queued" for pk in rows.targets}
        self.start |= {("gate", pk): "not_reached" for pk in rows.gates}

    # What the engine decides, judged by the rows that it saw.

    def decision(self, snapshot: Snapshot, actions: list[a.Action]) -> None:
        rows = [x for x in map(_row_of, actions) if x]
        assert len(rows) == len(set(rows)), f"two actions on one row: {actions}"
        targets = {t.id: t for stage in snapshot.stages for t in stage.targets}
        for action in actions:
            if isinstance(action, a.Effect):
                self._effect(snapshot, targets[action.target], action)
            if isinstance(action, a.MoveTarget):
                self._target_move(snapshot, targets[action.target], action)
            if isinstance(action, a.MoveRollout):
                self._rollout_move(snapshot, action)

    def _effect(self, s: Snapshot, target: TargetView, action: a.Effect) -> None:
        assert action.expect is target.state
        if isinstance(action, a.RetireOld) and s.strategy.mode is not Mode.RECREATE:
            assert _seen_ready(target.new), "I9: the old one goes without a new one seen to serve"
            seen_idle = _is_fresh(target.old) and target.old and target.old.running_requests == 0
            asked = s.rollout.retire_now or target.old_retired
            assert seen_idle or asked, "I9: the old one goes without being seen idle"
        if isinstance(action, a.SwitchService):
            assert _seen_ready(target.new) and target.verified, "switched without a smoke test"
        if isinstance(action, UNDOES):
            self._undo(s, target)

    def _undo(self, s: Snapshot, target: TargetView) -> None:
        assert target.mutated, "I8: a request to a cluster that was never touched"
        now = self.rows.now
        late = [x for x in self.rows.late if x.target == target.id and x.until > now]
        assert not late, "I5: undone while a request of a lost holder may still arrive"
        if s.rollout.state is not RolloutState.ROLLING_BACK:
            return
        index = next(x.index for x in s.stages for t in x.targets if t.id == target.id)
        for stage in s.stages[index + 1 :]:
            for other in stage.targets:
                done = other.undo_blocked or other.state in (
                    TargetState.ROLLED_BACK,
                    TargetState.SKIPPED,
                )
                away = other.cluster.state != "ready"
                assert done or away or not other.mutated, "I8: not in reverse stage order"

    def _target_move(self, s: Snapshot, target: TargetView, action: a.MoveTarget) -> None:
        if action.to is TargetState.FAILED and not action.undo_blocked:
            evidence = target.problem or (_is_fresh(target.new) and not _seen_ready(target.new))
            assert evidence, "I9: failed on missing data"

    def _rollout_move(self, s: Snapshot, action: a.MoveRollout) -> None:
        if action.to is not RolloutState.ROLLING_BACK or s.rollout.rollback:
            return
        failed = [t for x in s.stages for t in x.targets if t.state is TargetState.FAILED]
        judged = [g for x in s.stages for g in x.gates if g.state is GateState.FAILED]
        assert failed or judged, "I9: an automatic roll back without a failure"

    # What has happened, judged by the fleet and the journal.

    def state_of_the_world(self) -> None:
        self._concurrency()
        self._requests()
        self._objects()
        self._availability()
        self._journal()

    def _concurrency(self) -> None:
        for pk, stage in self.rows.stages.items():
            unverified = [
                name
                for name, site in self.rows.fleet.sites.items()
                if site.stage == pk
                and self.rows.targets[name].cluster.state != "retired"  # no longer ours
                and any(not o.completed for role, o in site.objects.items() if role != "old")
            ]
            assert len(unverified) <= stage.spec.max_concurrency, f"I1: {unverified}"
            slots = [t.slot for t in self.rows.targets.values() if self.rows.stage_of[t.id] == pk]
            held = [slot for slot in slots if slot is not None]
            assert len(held) == len(set(held)) <= stage.spec.max_concurrency

    def _requests(self) -> None:
        rows = self.rows
        for request in rows.fleet.log[self.seen :]:
            stage = rows.stages[rows.fleet.sites[request.cluster].stage]
            assert stage.started_at is not None, "I2: a request before the gate of its stage"
            earlier = [x for x in rows.stages.values() if x.index < stage.index]
            assert all(x.passed_at or x.state is StageState.SKIPPED for x in earlier), "I2"
            assert rows.targets[request.cluster].mutated, "I8: an untouched cluster got a request"
            assert request.digest in ("", DIGEST), "I4: not what was approved"
        self.seen = len(rows.fleet.log)

    def _objects(self) -> None:
        """I6: every object of ours is in a row that says so, and none is left behind."""
        end = self.rows.rollout.state
        for name, site in self.rows.fleet.sites.items():
            target = self.rows.targets[name]
            views = {"new": target.new, "old": target.old, "restored": target.restored}
            for role in site.objects:
                view = views[role]
                assert view is not None and view.state != "retired", f"I6: {name}/{role} forgotten"
            left = target.cluster.state == "retired"  # accepted as an orphan
            kept = target.state is TargetState.SUCCEEDED or target.undo_blocked or left
            alive = [role for role, found in site.objects.items() if not found.deleting]
            if end in ROLLOUT_TERMINAL and not kept and end is not RolloutState.ABORTED_OUTSIDE:
                assert "new" not in alive, f"I6: {name} keeps an object nobody wants"

    def _availability(self) -> None:
        """What serves is never taken away (but in recreate mode, which says so)."""
        for name, site in self.rows.fleet.sites.items():
            if not site.service or self.rows.strategy.mode is Mode.RECREATE:
                continue
            found = site.objects.get(site.service)
            first = self.rows.targets[name].old is None
            assert first or (found and not found.deleting), f"{name} serves nothing"
            assert found is None or found.completed, f"{name} serves what never answered"

    def _journal(self) -> None:
        """I7 and I10: replaying the journal gives the rows, and nothing leaves an end state."""
        for kind, pk, source, to in self.rows.journal[self.journalled :]:
            before = self.start.get((kind, pk), "waiting")  # an approval begins as waiting
            assert before == source, f"I7: {kind} {pk} moved from {source}, was {before}"
            ended = kind == "rollout" and source in {s.value for s in ROLLOUT_TERMINAL}
            assert not ended, "I10: a final state was left"
            self.start[kind, pk] = to
        self.journalled = len(self.rows.journal)
        assert self.start["rollout", "r"] == self.rows.rollout.state.value
        for pk, target in self.rows.targets.items():
            assert self.start["target", pk] == target.state.value
        for pk, stage in self.rows.stages.items():
            assert self.start["stage", pk] == stage.state.value

    def stage_opens(self, pk: str) -> None:
        """I2, I3: counted by hand at the moment a stage with an approval before it opens."""
        if self.rows.stages[pk].spec.approval is not ApprovalMode.BEFORE:
            return
        gate = f"{pk}/approval_before"
        mine = [x for x in self.rows.approvals.values() if self.rows.approval_gate[x.id] == gate]
        assert any(self._sound(approval, self.rows.now) for approval in mine), "I3"

    def _sound(self, approval: ApprovalView, now: datetime) -> bool:
        people = {
            vote.voter
            for vote in approval.votes
            if vote.decision is Decision.APPROVE
            and vote.voter != REQUESTER
            and vote.had_role
            and self.rows.may(vote.voter, approval)
            and vote.given_at < approval.expires_at
            and vote.digest == approval.digest == self.rows.rollout.current_digest
        }
        return now < approval.expires_at and len(people) >= approval.quorum


def _row_of(action: a.Action) -> str:
    for field in ("target", "gate", "approval", "rollout"):
        if hasattr(action, field) and not isinstance(action, a.MoveStage):
            return f"{field}:{getattr(action, field)}"
    return f"stage:{action.stage}" if isinstance(action, a.MoveStage) else ""


def _is_fresh(view: WorkspaceView | None) -> bool:
    return (
        view is not None
        and view.observed_age_seconds is not None
        and view.observed_age_seconds <= FRESH
    )


def _seen_ready(view: WorkspaceView | None) -> bool:
    return view is not None and _is_fresh(view) and view.state == "ready" and not view.deleting
