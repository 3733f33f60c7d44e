"""Rows of the story made by the real services: what pages and endpoints of several apps show.

Plain functions, in the order of the story: make_fleet (tests/workspaces/fleet_rows.py), make_plan,
make_rollout, then `advance` in place of a cluster's answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from fleetportal.accounts.models import Team, User
from fleetportal.accounts.principal import Principal
from rollouts.models import Approval, Gate, Rollout, Stage, Target
from rollouts.services.start import rollout_start
from rollouts.services.strategies import strategies_sync
from workspaces.models import Deployment, Plan, Workspace
from workspaces.services.plans import plan_create

MODEL = "microsoft/Phi-4-mini-instruct"
AS_APPLIED = {"uid_matches": True, "generation_matches": True, "fields_match": True}


def make_plan(user: User, team: Team, **asked: Any) -> Plan:
    """A computed plan of the story's first deployment. There must be a fleet."""
    strategies_sync()
    wishes: dict[str, Any] = {
        "name": "phi",
        "model": MODEL,
        "replicas": 3,
        "max_model_len": 2048,
        "policy": {"placement_type": "PickN", "number_of_clusters": 3, "spread": SPREAD},
    }
    plan = plan_create(principal=Principal(user), team=team, **(wishes | asked))
    plan.refresh_from_db()
    return plan


SPREAD = [{"topology_key": "environment", "max_skew": 1, "when_unsatisfiable": "ScheduleAnyway"}]


def make_rollout(user: User, team: Team, **asked: Any) -> Rollout:
    """A rollout just started: every stage pending, every target queued."""
    plan = make_plan(user, team, **asked)
    assert plan.state == "ready", plan.blocked_reason
    return rollout_start(principal=Principal(user), plan=plan, digest=plan.digest)


def put(rows: Iterable[Any], **fields: Any) -> None:
    """Bring rows into a state that a cluster would have brought them into."""
    for row in rows:
        type(row).objects.filter(pk=row.pk).update(**fields)


def make_waiting(user: User, team: Team, stage: str = "production", **asked: Any) -> Approval:
    """A rollout whose stages before `stage` have passed and which asks for approval of it."""
    rollout = make_rollout(user, team, **asked)
    gate = Gate.objects.get(stage__rollout=rollout, stage__name=stage, kind="approval_before")
    earlier = Stage.objects.filter(rollout=rollout, index__lt=gate.stage.index)
    put(earlier, state="passed")
    make_ready(Target.objects.filter(stage__in=earlier))
    put([gate.stage], state="waiting")
    put([gate], state="holding")
    expires = timezone.now() + timedelta(days=1)
    said = {
        "kind": "approval",
        "text": f"Waiting for approval before stage {stage} may start.",
        "who": "approver",
        "until": expires.isoformat(),
    }
    put([rollout], state="waiting", waiting_for=said)
    return Approval.objects.create(
        team=team,
        rollout=rollout,
        gate=gate,
        digest=rollout.digest,
        requester=user,
        roles=["approver"],
        expires_at=expires,
    )


def make_ready(targets: Iterable[Target], tokens: float = 1000.0) -> None:
    """Targets that have switched to a workspace which is ready and has been measured."""
    for target in targets:
        put([target], state="succeeded", phase="switch", serving="new", applied=True, mutated=True)
        assert target.new is not None
        put([target.old] if target.old else [], serving=False)
        put(
            [target.new],
            state="ready",
            serving=True,
            ready_replicas=target.new.replicas,
            benchmark={"peak_tokens_per_minute": tokens},
            observed={**AS_APPLIED, "replicas": target.new.replicas},
            observed_at=timezone.now(),
        )


def make_served(user: User, team: Team, **asked: Any) -> Deployment:
    """A deployment whose first rollout has succeeded."""
    rollout = make_rollout(user, team, **asked)
    make_ready(rollout.targets.select_related("new"))
    put(rollout.stages.all(), state="passed")
    put([rollout], state="succeeded", ended_at=timezone.now(), waiting_for={})
    Workspace.objects.filter(revision=rollout.revision).update(serving=True)
    return rollout.deployment
