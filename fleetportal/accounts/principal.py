"""Who is asking, and the one function that says whether they may.

A principal is a user cut down to the scopes of the token they came with. Services call `require`;
views and API endpoints only declare a verb (`declares`), which a start-up check insists on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from fleetportal.accounts.models import Membership, Team, User
from fleetportal.kit.errors import Forbidden, Missing
from fleetportal.kit.roles import SCOPES, SEES_ALL, VERBS, FleetRole, TeamRole

V = TypeVar("V", bound=Callable[..., Any])


@dataclass(frozen=True)
class Principal:
    """A user ∩ token scopes. `scopes` None: a session, everything that the user may do."""

    user: User
    scopes: frozenset[str] | None = None
    via: str = "session"  # session | token | command

    @classmethod
    def of_many(cls, users: Iterable[User]) -> list[Principal]:
        """Sessions' principals of many users, with their memberships read in one query."""
        made = [cls(user) for user in users]
        held: dict[int, list[Membership]] = {one.user.pk: [] for one in made}
        for row in Membership.objects.filter(user_id__in=held).select_related("team"):
            held[row.user_id].append(row)
        for one in made:
            one.__dict__["_memberships"] = held[one.user.pk]  # as the cached property keeps it
        return made

    @cached_property
    def _memberships(self) -> list[Membership]:
        return list(Membership.objects.filter(user_id=self.user.pk).select_related("team"))

    @cached_property
    def team_roles(self) -> dict[int, frozenset[TeamRole]]:
        """Team id -> roles held there."""
        found: dict[int, set[TeamRole]] = {}
        for held in self._memberships:
            found.setdefault(held.team_id, set()).add(TeamRole(held.role))
        return {team_id: frozenset(roles) for team_id, roles in found.items()}

    @property
    def fleet_role(self) -> FleetRole:
        return FleetRole(self.user.fleet_role)

    @property
    def sees_all(self) -> bool:
        return self.fleet_role in SEES_ALL

    @property
    def team_ids(self) -> frozenset[int]:
        return frozenset(self.team_roles)

    @property
    def permission_class(self) -> str:
        """A word, equal for two principals who see the same and are offered the same actions."""
        teams = sorted((team, sorted(roles)) for team, roles in self.team_roles.items())
        scopes = None if self.scopes is None else sorted(self.scopes)
        held = (self.user.is_active, self.user.fleet_role, teams, scopes)
        return hashlib.sha256(repr(held).encode()).hexdigest()[:24]

    def teams(self) -> list[Team]:
        """The teams whose objects this principal may see."""
        if self.sees_all:
            return list(Team.objects.order_by("slug"))
        own = {held.team_id: held.team for held in self._memberships}
        return sorted(own.values(), key=lambda team: team.slug)

    def in_scope(self, verb: str) -> bool:
        if self.scopes is None:
            return True
        return any(verb in SCOPES.get(scope, frozenset()) for scope in self.scopes)

    def may(self, verb: str, team_id: int | None = None) -> bool:
        """Whether `verb` is granted: on objects of `team_id`, or anywhere at all when None."""
        if not self.user.is_active or not self.in_scope(verb):
            return False
        team_roles, fleet_roles = VERBS[verb]
        if self.fleet_role in fleet_roles:
            return True
        if team_id is None:
            return any(roles & team_roles for roles in self.team_roles.values())
        return bool(self.team_roles.get(team_id, frozenset()) & team_roles)

    def sees_team(self, team_id: int) -> bool:
        return self.sees_all or team_id in self.team_roles


def require(principal: Principal, verb: str, obj: Any = None) -> None:
    """Pass or raise. `obj` belongs to a team when it has `team_id`; others are the fleet's.

    Raises Missing where the object's team is foreign (it looks as if it were not there) and
    Forbidden where it is visible but the verb is not granted.
    """
    team_id: int | None = obj.pk if isinstance(obj, Team) else getattr(obj, "team_id", None)
    if team_id is not None and not principal.sees_team(team_id):
        raise Missing("There is nothing here, or you may not see it.")
    if not principal.may(verb, team_id):
        raise Forbidden(_why(principal, verb))


def _why(principal: Principal, verb: str) -> str:
    team_roles, fleet_roles = VERBS[verb]
    if not principal.in_scope(verb):
        return f"This token's scopes do not include {verb!r}."
    needed = sorted({*(role.value for role in team_roles), *(role.value for role in fleet_roles)})
    return f"This needs the role {' or '.join(needed)}."


def declares(verb: str) -> Callable[[V], V]:
    """Declare the verb of a view; `verb` is one of kit.roles.VERBS, or "public"."""
    if verb != "public" and verb not in VERBS:
        raise ValueError(f"{verb!r} is not in kit.roles.VERBS")

    def mark(view: V) -> V:
        view.fleet_verb = verb  # type: ignore[attr-defined]
        return view

    return mark
