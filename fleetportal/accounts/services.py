"""Making people, teams and roles. No page yet: the management commands call these."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import IntegrityError, transaction

from fleetportal.accounts.models import Membership, Team, User
from fleetportal.kit.errors import FieldProblem, Invalid, Missing
from fleetportal.kit.roles import FleetRole, TeamRole

TEAM_SLUG = r"^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$"


def user_create(*, username: str, password: str, fleet_role: str = "") -> User:
    """A person with a password that the validators accept. Raises Invalid."""
    _one_of("fleet_role", fleet_role, [role.value for role in FleetRole])
    user = User(username=username, fleet_role=fleet_role)
    try:
        user.clean_fields(exclude=["password"])
        validate_password(password, user)
    except ValidationError as error:
        remedy = "Choose another name or password."
        raise Invalid(FieldProblem("user", " ".join(error.messages), remedy)) from error
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise Invalid(
            FieldProblem("username", f"{username!r} is taken", "Choose another name.")
        ) from error
    return user


def team_create(*, slug: str, name: str) -> Team:
    """A team; `slug` is a DNS label of at most 30 characters. Raises Invalid."""
    remedy = "Use lower-case letters, digits and hyphens; at most 30."
    try:
        RegexValidator(TEAM_SLUG)(slug)
        with transaction.atomic():
            return Team.objects.create(slug=slug, name=name)
    except ValidationError as error:
        raise Invalid(FieldProblem("slug", f"{slug!r} is no DNS label", remedy)) from error
    except IntegrityError as error:
        raise Invalid(
            FieldProblem("slug", f"there is a team {slug!r} already", "Choose another slug.")
        ) from error


def role_grant(*, username: str, role: str, team: str = "") -> User:
    """Give a team role (`team`: its slug) or, without, a fleet role. Raises Invalid, Missing."""
    user = User.objects.filter(username=username).first()
    if user is None:
        raise Missing(f"There is no user {username!r}.")
    if not team:
        _one_of("role", role, [one.value for one in FleetRole])
        user.fleet_role = role
        user.save(update_fields=["fleet_role"])
        return user
    _one_of("role", role, [one.value for one in TeamRole])
    found = Team.objects.filter(slug=team).first()
    if found is None:
        raise Missing(f"There is no team {team!r}.")
    Membership.objects.get_or_create(user=user, team=found, role=role)
    return user


def role_revoke(*, username: str, role: str, team: str) -> None:
    """Take a team role away; nothing happens where it is not held."""
    Membership.objects.filter(user__username=username, team__slug=team, role=role).delete()


def _one_of(field: str, value: str, allowed: list[str]) -> None:
    if value not in allowed:
        raise Invalid(
            FieldProblem(field, f"{value!r} is unknown", f"Use {', '.join(filter(None, allowed))}.")
        )
