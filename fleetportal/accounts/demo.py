"""The accounts of the demo: shown as cards on the login page. Outside the demo there are none."""

from __future__ import annotations

from django.conf import settings

from fleetportal.accounts.models import User

CARDS = (
    ("engineer", "Engineer: deploys models"),
    ("approver", "Approver: decides on stages"),
    ("operator", "Operator: runs the clusters"),
    ("admin", "Admin: teams, roles, tokens"),
)


def demo_accounts() -> list[dict[str, str]]:
    """[{username, text}] of the demo accounts that exist; none outside the demo."""
    if not settings.DEMO:
        return []
    rows = User.objects.filter(is_demo=True, is_active=True)
    known = set(rows.values_list("username", flat=True))
    return [{"username": name, "text": text} for name, text in CARDS if name in known]
