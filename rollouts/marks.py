"""When stages of a deployment's rollouts started and passed: handed down to workspaces at start-up,
since that app may not look up here."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Q

from rollouts.models import Rollout, Stage
from rollouts.states import ROLLOUT
from workspaces.selectors.marks import Mark

MOST = 60  # of the newest


def stage_marks(deployment: UUID, since: datetime) -> list[Mark]:
    """In order of time; two queries."""
    stages = Stage.objects.filter(
        Q(started_at__gte=since) | Q(passed_at__gte=since), rollout__deployment=deployment
    ).select_related("rollout__revision")
    found = [mark for stage in stages for mark in _of_stage(stage, since)]
    undone = Rollout.objects.filter(
        deployment=deployment, ended_at__gte=since, state__startswith="rolled_back"
    ).select_related("revision")
    for rollout in undone:
        label = ROLLOUT.states[rollout.state].label
        found += _marks(rollout, since, (rollout.ended_at, label.lower(), label.lower()))
    return sorted(found, key=lambda mark: mark.at)[-MOST:]


def _of_stage(stage: Stage, since: datetime) -> list[Mark]:
    started = (stage.started_at, f"{stage.name} started", stage.name)
    passed = (stage.passed_at, f"{stage.name} passed", "")
    return _marks(stage.rollout, since, started, passed)


def _marks(
    rollout: Rollout, since: datetime, *told: tuple[datetime | None, str, str]
) -> list[Mark]:
    number = rollout.revision.number
    return [
        Mark(at, f"r{number} {text}", f"r{number} {short}" if short else "")
        for at, text, short in told
        if at and at >= since
    ]
