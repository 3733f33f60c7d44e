"""Rows as the engine's values, so that pages ask the same questions as the next step does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from clusters.models import Cluster
from fleetportal.accounts.principal import Principal
from rollouts.engine import types as t
from rollouts.engine.votes import PrincipalFacts
from rollouts.models import Approval, Rollout, Target
from workspaces.models import Workspace
from workspaces.selectors.truth import true_at


def strategy_of(rollout: Rollout) -> t.StrategySpec:
    return msgspec.convert(rollout.strategy, t.StrategySpec)


def workspace_view(
    workspace: Workspace | None, cluster: Cluster, now: datetime
) -> t.WorkspaceView | None:
    """None where the row was never applied. `cluster`: the one it is on."""
    if workspace is None or workspace.state == "planned":
        return None
    seen = workspace.observed
    at = true_at(workspace, cluster)
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
        new=workspace_view(target.new, target.cluster, now),
        old=workspace_view(target.old, target.cluster, now),
        restored=workspace_view(target.restored, target.cluster, now),
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


def person_of(principal: Principal, approval: Approval) -> PrincipalFacts:
    """The one who asks, with the roles held in the approval's team."""
    roles = principal.team_roles.get(approval.team_id, frozenset())
    return PrincipalFacts(
        id=principal.user.username,
        roles=frozenset(role.value for role in roles),
        active=principal.user.is_active,
    )
