"""The engine's moves as guarded updates: state, fence and journal row in one transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import singledispatch
from typing import Any

from django.utils import timezone

from fleetportal.journal.services import event_record
from fleetportal.kit.errors import Stale
from fleetportal.kit.states import move
from rollouts.engine import actions as a
from rollouts.engine import types as t
from rollouts.engine.votes import tally
from rollouts.models import Approval, Rollout, Stage, Target
from rollouts.selectors.facts import approval_view
from rollouts.services.approvals import approval_open
from rollouts.services.fence import fenced
from rollouts.services.snapshot import Loaded, load, said, vote_views
from rollouts.states import APPROVAL, GATE, ROLLOUT, STAGE, TARGET
from workspaces.services.removal import leftovers_retire, unstarted_retire, workspace_retire

ENDS = frozenset({t.TargetState.SKIPPED, t.TargetState.ROLLED_BACK})


@singledispatch
def perform(action: object, loaded: Loaded) -> None:
    """Write one move. Raises Stale when the row is no longer as the engine saw it."""
    raise TypeError(f"no way to perform {type(action).__name__}")


@perform.register
def _(action: a.MoveRollout, loaded: Loaded) -> None:
    rollout, now = loaded.rollout, timezone.now()
    ended = action.to.value in ROLLOUT.terminal
    with fenced(rollout, as_seen=True):
        move(
            rollout,
            action.to.value,
            machine=ROLLOUT,
            reason=action.reason,
            ended_at=now if ended else None,
            also={"waiting_for": _said_then(rollout, action.to, now)},
        )
        if action.hold:
            _hold(loaded, action.reason)
        if action.quarantine:
            _quarantine(loaded, action.reason)
        if action.to is t.RolloutState.SUCCEEDED:
            leftovers_retire(revision=rollout.revision)
        elif ended:
            unstarted_retire(revision=rollout.revision)


def _said_then(rollout: Rollout, to: t.RolloutState, now: datetime) -> dict[str, Any]:
    """What is waited for in the new state: nobody may read it with the words of the old one.

    Read afresh: moves of the same step came after the snapshot.
    """
    seen = load(rollout, now).snapshot
    return said(replace(seen, rollout=replace(seen.rollout, state=to)), now)


@perform.register
def _(action: a.MoveStage, loaded: Loaded) -> None:
    stage = loaded.stages[action.stage]
    now = timezone.now()
    with fenced(loaded.rollout, as_seen=True):
        if action.approval is not None:
            _still_approved(loaded, action.approval, now)
        move(
            stage,
            action.to.value,
            machine=STAGE,
            reason=action.reason,
            **_times(stage, action, now),
        )


def _times(stage: Stage, action: a.MoveStage, now: datetime) -> dict[str, Any]:
    if action.to is t.StageState.RUNNING and stage.started_at is None:
        return {"started_at": now}
    if action.to is t.StageState.SOAKING:
        return {"soak_started_at": now}
    if action.to is t.StageState.PASSED:
        return {"passed_at": now}
    return {}


@perform.register
def _(action: a.MoveTarget, loaded: Loaded) -> None:
    target = loaded.targets[action.target]
    fields: dict[str, Any] = {"message": action.reason, "undo_blocked": action.undo_blocked}
    also: dict[str, Any] = {"not_before": None, "retry": False}
    if action.to is t.TargetState.ROLLING_BACK:
        also["capacity"] = None  # what an earlier attempt found may have changed
    if action.to not in (t.TargetState.FAILED, t.TargetState.CONFLICT):
        fields["problem_kind"] = ""
    if action.phase is not None:
        fields["phase"] = action.phase.value
    if action.deadline is not None:
        fields["deadline"] = action.deadline
    if action.reset:
        fields |= {
            "attempt": action.attempt + 1,
            "checked": False,
            "applied": False,
            "verified": False,
            "deadline": None,
        }
    with fenced(loaded.rollout, as_seen=True):
        move(
            target,
            action.to.value,
            machine=TARGET,
            reason=action.reason,
            expect={"attempt": action.attempt},
            also=also,
            **fields,
        )
        if action.to in ENDS or action.undo_blocked:
            _drop_planned(target)


def _drop_planned(target: Target) -> None:
    """What was never applied gives back the nodes that were promised to it."""
    for workspace in (target.new, target.restored):
        if workspace is not None and workspace.state == "planned":
            workspace_retire(workspace, reason="It was never applied")


@perform.register
def _(action: a.MoveGate, loaded: Loaded) -> None:
    gate = loaded.gates[action.gate]
    with fenced(loaded.rollout, as_seen=True):
        move(gate, action.to.value, machine=GATE, reason=action.reason, retry=False)


@perform.register
def _(action: a.OpenApproval, loaded: Loaded) -> None:
    gate, rollout = loaded.gates[action.gate], loaded.rollout
    with fenced(rollout, as_seen=True):
        if Approval.objects.filter(gate=gate, state__in=["waiting", "approved"]).exists():
            raise Stale("This gate has an open request already.")
        approval_open(
            gate,
            digest=action.digest,
            roles=action.roles,
            quorum=action.quorum,
            expires_at=action.expires_at,
        )


@perform.register
def _(action: a.CloseApproval, loaded: Loaded) -> None:
    approval = loaded.approvals[action.approval]
    ended = action.to is not t.ApprovalState.WAITING
    with fenced(loaded.rollout, as_seen=True):
        move(
            approval,
            action.to.value,
            machine=APPROVAL,
            reason=action.reason,
            decided_at=timezone.now() if ended else None,
        )


@perform.register
def _(action: a.ClaimSlot, loaded: Loaded) -> None:
    _slot(loaded, loaded.targets[action.target], action.expect, None, action.index)


@perform.register
def _(action: a.ReleaseSlot, loaded: Loaded) -> None:
    _slot(loaded, loaded.targets[action.target], action.expect, action.index, None)


def _slot(
    loaded: Loaded, target: Target, expect: t.TargetState, held: int | None, wanted: int | None
) -> None:
    """A slot is a unique column, so a doubled claim fails in the database."""
    with fenced(loaded.rollout, as_seen=True):
        rows = Target.objects.filter(pk=target.pk, state=expect.value, slot=held)
        if rows.update(slot=wanted) != 1:
            raise Stale("The slot has moved on.")


def _still_approved(loaded: Loaded, pk: str, now: datetime) -> None:
    """Votes count when they are used, too: a voter may have lost the role since."""
    approval = (
        Approval.objects.select_for_update(of=("self",)).select_related("requester").get(pk=pk)
    )
    view = approval_view(approval, vote_views(approval))
    counted = tally(view, loaded.snapshot.rollout.current_digest, now)
    if counted.state is not t.ApprovalState.APPROVED:
        raise Stale(counted.reason)


def _hold(loaded: Loaded, reason: str) -> None:
    deployment = loaded.rollout.deployment
    type(deployment).objects.filter(pk=deployment.pk).update(held=True, held_reason=reason[:300])
    event_record(action="deployment.held", obj=deployment, reason=reason, after={"held": True})


def _quarantine(loaded: Loaded, reason: str) -> None:
    revision = loaded.rollout.revision
    type(revision).objects.filter(pk=revision.pk).update(quarantined_reason=reason[:300])
    event_record(action="revision.quarantined", obj=revision, reason=reason)
