from __future__ import annotations

from typing import cast

import pytest

from fleetportal.accounts.models import Membership, User
from fleetportal.accounts.principal import Principal, require
from fleetportal.kit.errors import Forbidden, Missing
from fleetportal.kit.roles import SCOPES, VERBS, FleetRole, TeamRole
from tests.support import People

WHO = ("viewer", "engineer", "approver", "outsider", "operator", "admin", "auditor")
ENGINEERING = {"plan.create", "deployment.create", "deployment.delete", "secret.write"}
READING = {"view", "audit.view", "token.own"}
CLUSTERS = {"cluster.register", "cluster.check", "cluster.cordon", "cluster.remove"}

# What each may do to an object of team assist. Written out, so that a change of the table shows.
MATRIX = {
    "viewer": READING,
    "engineer": READING | ENGINEERING | {"deployment.prompt", "logs.view", "rollout.control"},
    "approver": READING | {"deployment.prompt", "logs.view", "approval.vote"},
    "outsider": set(),
    "operator": READING | CLUSTERS | {"logs.view", "price.edit", "rollout.control"},
    "admin": READING
    | ENGINEERING
    | CLUSTERS
    | {"deployment.prompt", "logs.view", "price.edit", "rollout.control", "team.manage"},
    "auditor": READING,
}


def person(people: People, name: str) -> User:
    return cast(User, getattr(people, name))


@pytest.mark.parametrize("name", WHO)
def test_each_role_has_exactly_its_verbs_on_a_teams_objects(people: People, name: str) -> None:
    principal = Principal(person(people, name))
    granted = {verb for verb in VERBS if principal.may(verb, people.assist.pk)}
    assert granted == MATRIX[name]


@pytest.mark.parametrize("name", WHO)
def test_a_person_who_is_disabled_may_nothing(people: People, name: str) -> None:
    user = person(people, name)
    user.is_active = False
    assert not any(Principal(user).may(verb) for verb in VERBS)


@pytest.mark.parametrize("scope", sorted(SCOPES))
@pytest.mark.parametrize("name", WHO)
def test_a_scope_narrows_and_never_widens(people: People, name: str, scope: str) -> None:
    user = person(people, name)
    for verb in VERBS:
        with_token = Principal(user, frozenset({scope})).may(verb, people.assist.pk)
        expected = Principal(user).may(verb, people.assist.pk) and verb in SCOPES[scope]
        assert with_token == expected


def test_an_object_of_a_foreign_team_looks_missing(people: People) -> None:
    with pytest.raises(Missing):
        require(Principal(people.outsider), "view", people.assist)


def test_a_visible_object_without_the_role_is_forbidden_and_says_which_role(people: People) -> None:
    with pytest.raises(Forbidden, match="admin or engineer"):
        require(Principal(people.viewer), "plan.create", people.assist)


def test_a_scope_that_lacks_the_verb_is_named(people: People) -> None:
    reading = Principal(people.engineer, frozenset({"read"}))
    with pytest.raises(Forbidden, match="scopes"):
        require(reading, "plan.create", people.assist)


def test_a_person_in_two_teams_has_each_role_only_where_it_was_given(people: People) -> None:
    Membership.objects.create(user=people.engineer, team=people.risk, role="viewer")
    principal = Principal(people.engineer)
    assert principal.may("plan.create", people.assist.pk)
    assert not principal.may("plan.create", people.risk.pk)
    assert principal.may("view", people.risk.pk)


def test_teams_are_those_of_the_person_or_all_for_fleet_roles(people: People) -> None:
    assert Principal(people.engineer).teams() == [people.assist]
    assert Principal(people.auditor).teams() == [people.assist, people.risk]


def test_every_verb_names_known_roles_and_every_scope_known_verbs() -> None:
    for team_roles, fleet_roles in VERBS.values():
        assert team_roles <= set(TeamRole)
        assert fleet_roles <= set(FleetRole) - {FleetRole.NONE}
    assert all(verbs <= set(VERBS) for verbs in SCOPES.values())
