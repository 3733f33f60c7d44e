"""Deleting a deployment: everything of it is drained and taken off every cluster."""

from __future__ import annotations

from django.db import transaction

from fleetportal.accounts.principal import Principal, require
from fleetportal.kit.errors import FieldProblem, Invalid, Refused
from fleetportal.kit.states import move
from rollouts.models import Rollout
from workspaces.models import Deployment
from workspaces.services.removal import workspace_retire
from workspaces.states import DEPLOYMENT


def deployment_delete(*, principal: Principal, deployment: Deployment, confirm: str) -> None:
    """Begin the removal; it ends when nothing is left on any cluster.

    Raises Invalid when the typed name differs, Refused while a rollout is active.
    """
    require(principal, "deployment.delete", deployment)
    if confirm != deployment.name:
        raise Invalid(FieldProblem("confirm", "is not the name", f"Type {deployment.name}."))
    if deployment.state != "active":
        return
    rows = deployment.workspaces.exclude(state="retired")
    with transaction.atomic():
        move(deployment, "retiring", machine=DEPLOYMENT, actor=principal, reason="Deleted")
        # After the move: a start holds the same row until its rollout can be seen.
        if Rollout.objects.active().filter(deployment=deployment).exists():
            raise Refused(
                "A rollout of it is active.",
                remedy="Abort the rollout first.",
                type_="rollout-active",
            )
        for workspace in rows:
            workspace_retire(workspace, reason="The deployment was deleted", principal=principal)
        if not rows.exists():
            move(deployment, "retired", machine=DEPLOYMENT, reason="Nothing of it was anywhere")
