"""People, the teams they are in, and the tokens that act for them."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models

from fleetportal.kit.roles import FleetRole, TeamRole


def _in(field: str, values: list[str], name: str) -> models.CheckConstraint:
    return models.CheckConstraint(condition=models.Q(**{f"{field}__in": values}), name=name)


class User(AbstractUser):
    """A person. `fleet_role` holds over the whole fleet; team roles are Memberships."""

    fleet_role = models.CharField(
        max_length=10,
        blank=True,
        default="",
        choices=[(role.value, role.value or "none") for role in FleetRole],
    )
    is_demo = models.BooleanField(default=False)

    class Meta(AbstractUser.Meta):
        swappable = "AUTH_USER_MODEL"
        constraints = [_in("fleet_role", [role.value for role in FleetRole], "user_fleet_role")]


class Team(models.Model):
    """Owns deployments. `slug` is a DNS label: it becomes part of namespace names."""

    slug = models.SlugField(max_length=30, unique=True)
    name = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One role of one person in one team."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=[(role.value, role.value) for role in TeamRole])

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "team", "role"], name="membership_once"),
            _in("role", [role.value for role in TeamRole], "membership_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} of {self.team_id}"


class Token(models.Model):
    """An API token. Only an HMAC of it is kept; `prefix` finds the row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12, unique=True)
    digest = models.CharField(max_length=64)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class LoginFailure(models.Model):
    """One refused login; the limiter counts these, so a restart does not reset it."""

    account = models.CharField(max_length=150)
    network = models.CharField(max_length=45)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["account", "at"], name="login_account_at"),  # limits.blocked
            models.Index(fields=["network", "at"], name="login_network_at"),  # limits.blocked
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.at:%Y-%m-%d %H:%M}"
