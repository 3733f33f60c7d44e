"""What a step has to find out before the engine can decide: loads of what drains, room for R2.

Clusters are asked here, so nothing of this may run inside a transaction.
"""

from __future__ import annotations

import time
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from rollouts.engine.look import AWAY_STATES
from rollouts.engine.types import Mode, Serving, TargetPhase, TargetState
from rollouts.models import Rollout, Target
from rollouts.selectors.facts import strategy_of
from rollouts.services.fence import fenced
from workspaces.models import Workspace
from workspaces.services import delivery, restore
from workspaces.services.claims import NoRoom

GONE = ("planned", "retiring", "retired")
BUDGET = 15.0  # seconds for all loads; the rest keeps its last observation until the next step
OLD_LEAVES = timedelta(seconds=5)


def loads_observe(rollout: Rollout) -> None:
    """Ask those that should run empty for their requests; one that does not answer is unknown."""
    deadline = time.monotonic() + BUDGET
    for workspace in _leaving(rollout):
        if time.monotonic() > deadline:
            return
        if workspace.cluster.state not in AWAY_STATES:
            delivery.load_observe(workspace)


def _leaving(rollout: Rollout) -> list[Workspace]:
    draining = Q(state=TargetState.SUCCEEDED.value, phase=TargetPhase.DRAIN.value)
    served = (Serving.OLD.value, Serving.RESTORED.value)
    undone = Q(state=TargetState.ROLLING_BACK.value, serving__in=served)
    rows = rollout.targets.filter(draining | undone).select_related("old__cluster", "new__cluster")
    found = [row.old if row.state == TargetState.SUCCEEDED else row.new for row in rows]
    return [one for one in found if one is not None and one.state not in GONE]


def room_seek(rollout: Rollout) -> None:
    """R2: whether the old revision, which is gone, has room on its cluster; claims it where so."""
    rows = rollout.targets.filter(
        state=TargetState.ROLLING_BACK.value, capacity=None, old__isnull=False
    ).exclude(serving=Serving.RESTORED.value)
    for target in rows.select_related("cluster", "new", "old__pool", "old__revision__model"):
        if _old_left(target) and target.cluster.state not in AWAY_STATES:
            _seek(rollout, target)


def _old_left(target: Target) -> bool:
    old = target.old
    return old is not None and (target.old_retired or old.state in ("retiring", "retired"))


def _seek(rollout: Rollout, target: Target) -> None:
    old = target.old
    if old is None:
        return
    if old.state != "retired":  # its nodes are still its own
        _write(rollout, target, not_before=timezone.now() + OLD_LEAVES)
        return
    if strategy_of(rollout).mode is Mode.RECREATE:
        _write(rollout, target, capacity=restore.slots_for(old, beside=target.new))
        return
    try:
        copy = restore.workspace_copy(old) if restore.room_for(old) else None
    except NoRoom:
        copy = None
    _write(rollout, target, capacity=copy is not None, restored=copy)


def _write(rollout: Rollout, target: Target, **fields: object) -> None:
    with fenced(rollout):
        Target.objects.filter(pk=target.pk, state=target.state).update(**fields)
