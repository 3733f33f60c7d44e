"""One look at everything a rollout's next step depends on: rows to the engine's values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from fleetportal.accounts.models import Membership
from rollouts.engine import types as t
from rollouts.engine.stages import AssignedStage, ChosenCluster, gates_for, rollout_digest
from rollouts.engine.waiting import WaitKind, waiting_for
from rollouts.models import Approval, Gate, Rollout, Stage, Target, Vote
from rollouts.selectors.facts import approval_view, strategy_of, target_view


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


def said(snapshot: t.Snapshot, now: datetime) -> dict[str, Any]:
    """What the rollout waits for, as its row keeps it; {}: nothing."""
    found = waiting_for(snapshot, now)
    return {} if found.kind is WaitKind.NOTHING else msgspec.to_builtins(found)


def vote_views(approval: Approval) -> tuple[t.VoteView, ...]:
    """The votes of one approval with the roles their voters hold now."""
    return tuple(_vote_views(approval.votes.select_related("voter", "approval"), approval.team_id))


def _votes(rollout: Rollout) -> Mapping[object, list[t.VoteView]]:
    cast = Vote.objects.filter(approval__rollout=rollout)
    rows = list(cast.select_related("voter", "approval"))
    found: dict[object, list[t.VoteView]] = defaultdict(list)
    for row, view in zip(rows, _vote_views(rows, rollout.team_id), strict=True):
        found[row.approval_id].append(view)
    return found


def _vote_views(rows: Iterable[Vote], team_id: int) -> Iterable[t.VoteView]:
    rows = list(rows)
    holders = _holders({row.voter_id for row in rows}, team_id)
    return [
        t.VoteView(
            voter=row.voter.username,
            decision=t.Decision(row.decision),
            digest=row.digest,
            given_at=row.at,
            had_role=row.had_role,
            has_role=bool(holders[row.voter_id] & set(row.approval.roles)),
            active=row.voter.is_active,
        )
        for row in rows
    ]


def _holders(voters: set[int], team_id: int) -> Mapping[int, set[str]]:
    """The roles that each of these people holds in the team now."""
    found: dict[int, set[str]] = defaultdict(set)
    if voters:
        rows = Membership.objects.filter(team_id=team_id, user_id__in=voters)
        for user_id, role in rows.values_list("user_id", "role"):
            found[user_id].add(role)
    return found


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
