"""Questions about one target or workspace that every other module of the engine asks.

Each answers from what was observed, never from hope: stale or missing data is neither ready, nor
idle, nor broken.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rollouts.engine.types import (
    STALE_AFTER_SECONDS,
    RollbackReadiness,
    Serving,
    StageView,
    TargetPhase,
    TargetState,
    TargetView,
    WorkspaceView,
)

AWAY_STATES = frozenset({"unreachable", "credentials_refused", "different_cluster", "joining"})
AT_WORK = frozenset(
    {TargetState.CHECKING, TargetState.APPLYING, TargetState.STARTING, TargetState.SWITCHING}
)
STOPPED = frozenset({TargetState.FAILED, TargetState.CONFLICT})
ENDED = frozenset({TargetState.ROLLED_BACK, TargetState.SKIPPED})


def away(target: TargetView) -> bool:
    return target.cluster.state in AWAY_STATES


def removed(target: TargetView) -> bool:
    """The cluster was taken out of the portal; what is on it was accepted as an orphan."""
    return target.cluster.state == "retired"


def later(target: TargetView, now: datetime) -> bool:
    return target.not_before is not None and now < target.not_before


def fresh(workspace: WorkspaceView | None) -> bool:
    if workspace is None or workspace.observed_age_seconds is None:
        return False
    return workspace.observed_age_seconds <= STALE_AFTER_SECONDS and workspace.state != "unknown"


def ready(workspace: WorkspaceView | None) -> bool:
    """Ready for our generation: the object we applied, unchanged, all replicas up, seen lately."""
    if workspace is None or not fresh(workspace) or workspace.deleting:
        return False
    ours = workspace.uid_matches and workspace.generation_matches and workspace.fields_match
    if not ours or workspace.ready_replicas is None or not workspace.replicas:
        return False
    return workspace.state == "ready" and workspace.ready_replicas >= workspace.replicas


def not_ready(workspace: WorkspaceView | None) -> bool:
    """Positive evidence: it was seen lately, and it is not ready."""
    return fresh(workspace) and not ready(workspace)


def idle(workspace: WorkspaceView | None) -> bool:
    if workspace is None or not fresh(workspace):
        return False
    return workspace.running_requests == 0 and workspace.waiting_requests == 0


def busy(workspace: WorkspaceView | None) -> bool:
    if workspace is None or not fresh(workspace):
        return False
    return (workspace.running_requests or 0) + (workspace.waiting_requests or 0) > 0


def gone(workspace: WorkspaceView | None) -> bool:
    """Verified gone: no child, no pod, no node claim. A tombstone does not age."""
    return workspace is not None and workspace.state == "retired"


def going(workspace: WorkspaceView) -> bool:
    return workspace.deleting or workspace.state in ("retiring", "retired")


def seen_since(workspace: WorkspaceView, moment: datetime | None, now: datetime) -> bool:
    if moment is None:
        return True
    age = workspace.observed_age_seconds
    return age is not None and now - timedelta(seconds=age) >= moment


def touched(target: TargetView) -> bool:
    return target.mutated


def switch_begun(target: TargetView) -> bool:
    return target.phase is not TargetPhase.INTRODUCE


def retired(target: TargetView) -> bool:
    """Nothing of the old one is left to take away, or nothing that the portal can reach."""
    return target.old is None or gone(target.old) or removed(target)


def free_slots(stage: StageView) -> list[int]:
    taken = {target.slot for target in stage.targets}
    return [index for index in range(stage.spec.max_concurrency) if index not in taken]


def old_stays(target: TargetView) -> bool:
    """The old one is there and nobody has begun to delete it."""
    return target.old is not None and not target.old_retired and not going(target.old)


def readiness(target: TargetView) -> RollbackReadiness:
    """How fast this target could go back: for the page, always visible."""
    if old_stays(target) and (ready(target.old) or target.serving is Serving.OLD):
        return RollbackReadiness.WARM
    if not target.mutated or (target.old is None and target.phase is TargetPhase.INTRODUCE):
        return RollbackReadiness.WARM
    if target.capacity:
        return RollbackReadiness.CAPACITY_CLAIMED
    return RollbackReadiness.NONE
