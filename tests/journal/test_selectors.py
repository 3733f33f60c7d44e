from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from fleetportal.accounts.models import Team, User
from fleetportal.accounts.principal import Principal
from fleetportal.accounts.tokens import token_create
from fleetportal.journal.models import Event
from fleetportal.journal.selectors import LOOKUPS, events_for, filter_choices, history
from fleetportal.journal.services import event_record
from tests.support import People


def note(action: str, team: Team | None = None, actor: User | None = None, **fields: str) -> Event:
    return Event.objects.create(
        at=timezone.now(),
        actor=actor,
        actor_name=actor.username if actor else "fleetportal",
        action=action,
        object_type=fields.get("object_type", "deployment"),
        object_id=fields.get("object_id", "1"),
        object_name=fields.get("object_name", "assist-chat"),
        scope=fields.get("scope", ""),
        team=team,
    )


def actions(user: User, **filters: object) -> list[str]:
    asked = {LOOKUPS[name]: value for name, value in filters.items()}
    return [event.action for event in events_for(Principal(user)).filter(**asked)]


def test_people_see_the_fleets_events_and_their_teams(people: People) -> None:
    note("fleet.thing")
    note("assist.thing", people.assist)
    note("risk.thing", people.risk)
    assert actions(people.engineer) == ["assist.thing", "fleet.thing"]
    assert actions(people.outsider) == ["risk.thing", "fleet.thing"]
    assert actions(people.auditor) == ["risk.thing", "assist.thing", "fleet.thing"]


def test_events_about_a_persons_tokens_are_theirs_and_the_fleet_roles(people: People) -> None:
    token, _ = token_create(user=people.engineer, name="laptop")
    event_record(action="token.create", obj=token, principal=Principal(people.engineer))
    assert actions(people.engineer) == actions(people.auditor) == ["token.create"]
    assert actions(people.viewer) == []


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"actor": "engineer"}, ["one"]),
        ({"action": "two"}, ["two"]),
        ({"object_type": "cluster"}, ["two"]),
        ({"object_id": "c1"}, ["two"]),
        ({"object": "PROD"}, ["two"]),
        ({"team": "assist"}, ["one"]),
        ({}, ["two", "one"]),
        ({"actor": "engineer", "action": "two"}, []),
    ],
)
def test_filters_narrow_what_is_seen(
    people: People, filters: dict[str, object], expected: list[str]
) -> None:
    note("one", people.assist, people.engineer)
    note("two", object_type="cluster", object_id="c1", object_name="prod-weu")
    assert actions(people.auditor, **filters) == expected


def test_a_time_span_includes_its_start_and_not_its_end(people: People) -> None:
    event = note("one")
    after = event.at + timedelta(microseconds=1)
    assert actions(people.auditor, since=event.at, until=after) == ["one"]
    assert actions(people.auditor, until=event.at) == []


def test_history_is_one_scope_and_only_what_is_visible(people: People) -> None:
    note("one", people.assist, scope="deployment:1")
    note("two", people.assist, scope="deployment:2")
    scope = "deployment:1"
    seen = history(principal=Principal(people.engineer), scope=scope)
    assert [event.action for event in seen] == ["one"]
    assert history(principal=Principal(people.outsider), scope=scope) == []


def test_choices_hold_only_words_of_visible_events(people: People) -> None:
    note("one", people.assist, people.engineer)
    note("two", people.risk, people.outsider)
    choices = filter_choices(events_for(Principal(people.engineer)))
    assert (choices.actors, choices.actions) == (["engineer"], ["one"])


def test_events_come_with_their_teams_in_one_query(
    people: People, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        note(f"a{number}", people.assist)
    with django_assert_num_queries(1):
        events = events_for(Principal(people.auditor))
        assert [event.team.slug for event in events if event.team] == ["assist"] * 30
