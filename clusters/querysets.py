"""Which rows a principal sees, and which are due."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.apps import apps
from django.db import models
from django.db.models import F, Q

from clusters.states import CHECK

if TYPE_CHECKING:
    from clusters.models import Check, Cluster  # noqa: F401 - named in the base classes
    from fleetportal.accounts.principal import Principal


class ClusterQuerySet(models.QuerySet["Cluster"]):
    def visible_to(self, principal: Principal) -> ClusterQuerySet:
        """Everybody signed in sees clusters open to all, and those granted to a team of theirs."""
        if principal.sees_all:
            return self
        grants = apps.get_model("clusters", "ClusterGrant")._default_manager
        granted = grants.filter(team_id__in=principal.team_ids).values("cluster_id")
        return self.filter(Q(open_to_all=True) | Q(pk__in=granted))

    def managed(self) -> ClusterQuerySet:
        """Those that the portal still talks to."""
        return self.exclude(state="retired")

    def unread(self, now: datetime) -> ClusterQuerySet:
        """Those that changed since the apps above last looked, and that nobody reads now."""
        free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=now)
        return self.filter(free, changes_read__lt=F("changes"))


class CheckQuerySet(models.QuerySet["Check"]):
    def visible_to(self, principal: Principal) -> CheckQuerySet:
        if principal.sees_all:
            return self
        own = Q(team_id__in=principal.team_ids) | Q(requested_by=principal.user, team=None)
        return self.filter(own)

    def due(self, now: datetime) -> CheckQuerySet:
        """Unanswered checks that nobody works on."""
        free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=now)
        ready = Q(not_before__isnull=True) | Q(not_before__lte=now)
        return self.filter(free, ready, state__in=sorted(CHECK.active))
