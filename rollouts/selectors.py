"""Reads of rollouts and approvals for pages, the API and the frame of every page."""

from __future__ import annotations

from django.utils import timezone

from fleetportal.accounts.principal import Principal
from rollouts.models import Approval


def approvals_to_decide(principal: Principal) -> int:
    """How many requests wait for a decision that this person may give."""
    teams = [pk for pk in principal.team_ids if principal.may("approval.vote", pk)]
    if not teams:
        return 0
    rows = Approval.objects.open().filter(team_id__in=teams, expires_at__gt=timezone.now())
    return rows.exclude(requester=principal.user).exclude(votes__voter=principal.user).count()
