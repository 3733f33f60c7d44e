"""One look at everything a rollout's next step depends on: rows to the engine's values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from clusters.models import Cluster
from fleetportal.accounts.models import Membership
from rollouts.engine import types as t
from rollouts.engine.stages import AssignedStage, ChosenCluster, gates_for, rollout_digest
from rollouts.models import Approval, Gate, Rollout, Stage, Target, Vote
from workspaces.models import Workspace


@dataclass(frozen=True)
class Loaded:
    """The engine's snapshot and the rows it was made of, by primary key as text."""

    snapshot: t.Snapshot
    rollout: Rollout
    stages: Mapping[str, Stage]
    gates: Mapping[str, Gate]
    targets: Mapping[str, Target]
    approvals: Mapping[str, Approval]


def load(rollout: Rollout, now: datetime) -> Loaded:
    """Read the rollout's parts (six queries whatever its size)."""
    stages = list(rollout.stages.all())
    gates = list(Gate.objects.filter(stage__rollout=rollout).select_related("stage__rollout"))
    targets = list(
        rollout.targets.select_related(
            "cluster", "stage", "rollout__revision__deployment", "new", "old", "restored"
        )
    )
    approvals = list(rollout.approvals.select_related("requester").order_by("created_at"))
    votes = _votes(rollout)
    newest = {approval.gate_id: approval for approval in approvals}
    gate_views: dict[object, list[t.GateView]] = defaultdict(list)
    for gate in gates:
        gate_views[gate.stage_id].append(_gate(gate, newest.get(gate.pk), votes, now))
    target_views: dict[object, list[t.TargetView]] = defaultdict(list)
    for target in targets:
        target_views[target.stage_id].append(target_view(target, now))
    strategy = strategy_of(rollout)
    specs = {spec.name: spec for spec in strategy.stages}
    return Loaded(
        snapshot=t.Snapshot(
            rollout=_rollout(rollout, strategy, targets),
            strategy=strategy,
            stages=tuple(
                _stage(stage, specs[stage.name], gate_views[stage.pk], target_views[stage.pk])
                for stage in stages
            ),
        ),
        rollout=rollout,
        stages={str(stage.pk): stage for stage in stages},
        gates={str(gate.pk): gate for gate in gates},
        targets={str(target.pk): target for target in targets},
        approvals={str(approval.pk): approval for approval in approvals},
    )


def strategy_of(rollout: Rollout) -> t.StrategySpec:
    return msgspec.convert(rollout.strategy, t.StrategySpec)


def workspace_view(workspace: Workspace | None, now: datetime) -> t.WorkspaceView | None:
    """None where the row was never applied."""
    if workspace is None or workspace.state == "planned":
        return None
    seen = workspace.observed
    at = workspace.observed_at
    return t.WorkspaceView(
        id=str(workspace.pk),
        state=workspace.state,
        observed_age_seconds=None if at is None else max(0.0, (now - at).total_seconds()),
        ready_replicas=workspace.ready_replicas,
        replicas=seen.get("replicas"),
        uid_matches=seen.get("uid_matches"),
        generation_matches=seen.get("generation_matches"),
        fields_match=seen.get("fields_match"),
        deleting=bool(seen.get("deleting")),
        since=workspace.state_since,
        running_requests=workspace.running_requests,
        waiting_requests=workspace.waiting_requests,
        message=workspace.message,
    )


def target_view(target: Target, now: datetime) -> t.TargetView:
    kind = target.problem_kind
    return t.TargetView(
        id=str(target.pk),
        cluster=cluster_view(target.cluster),
        state=t.TargetState(target.state),
        phase=t.TargetPhase(target.phase),
        slot=target.slot,
        attempt=target.attempt,
        not_before=target.not_before,
        deadline=target.deadline,
        in_flight_until=target.in_flight_until,
        checked=target.checked,
        mutated=target.mutated,
        applied=target.applied,
        verified=target.verified,
        serving=t.Serving(target.serving),
        old_retired=target.old_retired,
        retry=target.retry,
        undo_blocked=target.undo_blocked,
        restore_verified=target.restore_verified,
        capacity=target.capacity,
        problem=t.Problem(t.ProblemKind(kind), target.message) if kind else None,
        new=workspace_view(target.new, now),
        old=workspace_view(target.old, now),
        restored=workspace_view(target.restored, now),
    )


def cluster_view(cluster: Cluster) -> t.ClusterView:
    frozen = f"{cluster.name} is cordoned: {cluster.cordon_reason}" if cluster.cordoned else ""
    return t.ClusterView(uid=cluster.uid, name=cluster.name, state=cluster.state, frozen=frozen)


def approval_view(approval: Approval, votes: Iterable[t.VoteView]) -> t.ApprovalView:
    return t.ApprovalView(
        id=str(approval.pk),
        state=t.ApprovalState(approval.state),
        digest=approval.digest,
        requester=approval.requester.username,
        quorum=approval.quorum,
        roles=tuple(approval.roles),
        expires_at=approval.expires_at,
        votes=tuple(votes),
    )


def vote_views(approval: Approval) -> tuple[t.VoteView, ...]:
    """The votes of one approval with the roles their voters hold now."""
    return tuple(_vote_views(approval.votes.select_related("voter"), approval.team_id))


def _votes(rollout: Rollout) -> Mapping[object, list[t.VoteView]]:
    rows = list(Vote.objects.filter(approval__rollout=rollout).select_related("voter"))
    found: dict[object, list[t.VoteView]] = defaultdict(list)
    for row, view in zip(rows, _vote_views(rows, rollout.team_id), strict=True):
        found[row.approval_id].append(view)
    return found


def _vote_views(rows: Iterable[Vote], team_id: int) -> Iterable[t.VoteView]:
    rows = list(rows)
    holders = (
        set(
            Membership.objects.filter(
                team_id=team_id, role="approver", user_id__in={row.voter_id for row in rows}
            ).values_list("user_id", flat=True)
        )
        if rows
        else set()
    )
    return [
        t.VoteView(
            voter=row.voter.username,
            decision=t.Decision(row.decision),
            digest=row.digest,
            given_at=row.at,
            had_role=row.had_role,
            has_role=row.voter_id in holders,
            active=row.voter.is_active,
        )
        for row in rows
    ]


def _gate(
    gate: Gate,
    approval: Approval | None,
    votes: Mapping[object, list[t.VoteView]],
    now: datetime,
) -> t.GateView:
    age = None if gate.verdict_at is None else (now - gate.verdict_at).total_seconds()
    return t.GateView(
        id=str(gate.pk),
        kind=t.GateKind(gate.kind),
        state=t.GateState(gate.state),
        verdict=t.Verdict(gate.verdict) if gate.verdict else None,
        verdict_age_seconds=age,
        message=gate.message,
        until=gate.until,
        retry=gate.retry,
        approval=None if approval is None else approval_view(approval, votes[approval.pk]),
    )


def _stage(
    stage: Stage, spec: t.StageSpec, gates: list[t.GateView], targets: list[t.TargetView]
) -> t.StageView:
    return t.StageView(
        id=str(stage.pk),
        index=stage.index,
        spec=spec,
        state=t.StageState(stage.state),
        gates=tuple(gates),
        targets=tuple(targets),
        started_at=stage.started_at,
        soak_started_at=stage.soak_started_at,
        passed_at=stage.passed_at,
    )


def _rollout(rollout: Rollout, strategy: t.StrategySpec, targets: list[Target]) -> t.RolloutView:
    return t.RolloutView(
        id=str(rollout.pk),
        state=t.RolloutState(rollout.state),
        digest=rollout.digest,
        current_digest=digest_now(rollout, strategy, targets),
        plan_digest=rollout.plan_digest,
        fence=rollout.lease_token,
        requester=rollout.requested_by.username,
        pause=rollout.pause,
        abort=rollout.abort,
        rollback=rollout.rollback,
        retire_now=rollout.retire_now,
        held=rollout.deployment.held_reason if rollout.deployment.held else "",
        ended_outside=rollout.ended_outside,
        ended_at=rollout.ended_at,
    )


def digest_now(rollout: Rollout, strategy: t.StrategySpec, targets: Iterable[Target]) -> str:
    """The digest over the inputs as they are; differs from the stored one after any change."""
    placed: dict[str, list[ChosenCluster]] = defaultdict(list)
    for target in sorted(targets, key=lambda row: row.cluster.name):
        cluster = target.cluster
        placed[target.stage.name].append(ChosenCluster(cluster.uid, cluster.name, {}))
    stages = [
        AssignedStage(index, spec, tuple(placed[spec.name]), gates_for(spec), "")
        for index, spec in enumerate(strategy.stages)
    ]
    return rollout_digest(rollout.plan.digest, strategy, stages)
