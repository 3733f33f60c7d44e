"""Which rows a principal sees, and which are due."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from fleetportal.accounts.principal import Principal
    from workspaces.models import Deployment, Plan, TeamSecret, Workspace  # noqa: F401 - in base classes


def _free(now: datetime) -> Q:
    """Nobody works on it and its time has come."""
    unleased = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=now)
    return unleased & (Q(not_before__isnull=True) | Q(not_before__lte=now))


class SecretQuerySet(models.QuerySet["TeamSecret"]):
    def visible_to(self, principal: Principal) -> SecretQuerySet:
        return self if principal.sees_all else self.filter(team_id__in=principal.team_ids)


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    def visible_to(self, principal: Principal) -> DeploymentQuerySet:
        return self if principal.sees_all else self.filter(team_id__in=principal.team_ids)

    def live(self) -> DeploymentQuerySet:
        return self.exclude(state="retired")


class PlanQuerySet(models.QuerySet["Plan"]):
    def visible_to(self, principal: Principal) -> PlanQuerySet:
        return self if principal.sees_all else self.filter(team_id__in=principal.team_ids)

    def due(self, now: datetime) -> PlanQuerySet:
        """Plans to compute, and open ones whose time is over."""
        computing = Q(state="computing") & _free(now)
        return self.filter(computing | Q(state__in=["ready", "blocked"], expires_at__lte=now))


class WorkspaceQuerySet(models.QuerySet["Workspace"]):
    def visible_to(self, principal: Principal) -> WorkspaceQuerySet:
        if principal.sees_all:
            return self
        return self.filter(deployment__team_id__in=principal.team_ids)

    def live(self) -> WorkspaceQuerySet:
        """Those that are or may be on a cluster."""
        return self.exclude(state__in=["planned", "retired"])

    def loading(self, now: datetime) -> WorkspaceQuerySet:
        """Those whose pods may say more about their start than KAITO does."""
        return self.filter(_free(now), state="loading_weights")

    def retiring(self, now: datetime) -> WorkspaceQuerySet:
        """Those whose removal has a next step to take."""
        return self.filter(_free(now), state="retiring")
