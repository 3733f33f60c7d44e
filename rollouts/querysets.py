"""Which rows a principal sees, and which are due."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from rollouts.states import ROLLOUT

if TYPE_CHECKING:
    from fleetportal.accounts.principal import Principal
    from rollouts.models import Approval, Rollout  # noqa: F401 - in base classes


class RolloutQuerySet(models.QuerySet["Rollout"]):
    def visible_to(self, principal: Principal) -> RolloutQuerySet:
        return self if principal.sees_all else self.filter(team_id__in=principal.team_ids)

    def active(self) -> RolloutQuerySet:
        return self.filter(state__in=sorted(ROLLOUT.active))

    def due(self, now: datetime) -> RolloutQuerySet:
        """Something is left to do, nobody works on it, and its time has come.

        An aborted rollout still has to give back slots and take away what does not serve.
        """
        free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=now)
        ready = Q(not_before__isnull=True) | Q(not_before__lte=now)
        return self.filter(free, ready, settled=False)


class ApprovalQuerySet(models.QuerySet["Approval"]):
    def visible_to(self, principal: Principal) -> ApprovalQuerySet:
        return self if principal.sees_all else self.filter(team_id__in=principal.team_ids)

    def open(self) -> ApprovalQuerySet:
        return self.filter(state="waiting")
