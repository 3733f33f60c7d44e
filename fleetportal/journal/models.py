"""The audit journal: one append-only row for every change of state, in its transaction."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q

from fleetportal.accounts.models import Team

if TYPE_CHECKING:
    from fleetportal.accounts.principal import Principal


PERSONAL = ("token", "user")  # nobody else's business, but for the fleet's roles

# Apps above say which of their fleet's objects, and so which events, a principal may not see.
hidden: list[Callable[[Principal], Q]] = []


class EventQuerySet(models.QuerySet["Event"]):
    def visible_to(self, principal: Principal) -> EventQuerySet:
        """The fleet's events, those of the principal's teams, and of personal things one's own."""
        if principal.sees_all:
            return self
        fleet = Q(team__isnull=True) & ~Q(object_type__in=PERSONAL)
        own = Q(object_type__in=PERSONAL, actor=principal.user)
        rows = self.filter(fleet | own | Q(team_id__in=principal.team_ids))
        return rows.exclude(reduce(or_, (ask(principal) for ask in hidden), Q(pk__in=[])))


class Event(models.Model):
    """Who did what to what, why, and what changed. Never updated, never deleted."""

    at = models.DateTimeField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT
    )
    actor_name = models.CharField(max_length=150)  # "fleetportal" for the portal itself
    via = models.CharField(max_length=120, blank=True)  # session, token name, worker
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=64)
    object_name = models.CharField(max_length=200)
    scope = models.CharField(max_length=80, blank=True)  # "deployment:<id>": an object's History
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT)
    reason = models.TextField(blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["object_type", "object_id"], name="event_object"
            ),  # an object's tab
            models.Index(fields=["scope"], name="event_scope"),  # a deployment's History
            models.Index(fields=["team", "-id"], name="event_team"),  # Audit for one team
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.object_type} {self.object_name}"
