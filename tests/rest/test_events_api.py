from __future__ import annotations

from typing import Any

import pytest

from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.journal.services import event_record
from tests.conftest import ApiFor
from tests.support import People

URL = "/api/v1/events/"


@pytest.fixture
def events(people: People) -> list[Event]:
    return [
        event_record(action="team.create", obj=people.assist, principal=Principal(people.admin)),
        event_record(action="team.rename", obj=people.risk, reason="merger", after={"name": "R"}),
    ]


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_the_journal_is_listed_newest_first_with_all_it_knows(
    people: People, api: ApiFor, events: list[Event]
) -> None:
    row = api(people.auditor).get(URL).json()["results"][0]
    assert row["id"] == str(events[1].pk)
    assert (row["actor"], row["action"], row["reason"]) == ("fleetportal", "team.rename", "merger")
    assert (row["object_type"], row["object"], row["after"]) == ("team", "Risk", {"name": "R"})
    assert row["team"] is None


def test_filters_reach_every_column_of_the_page(
    people: People, api: ApiFor, events: list[Event]
) -> None:
    client, first = api(people.auditor), events[0]
    assert ids(client.get(URL, {"actor": "admin"})) == [str(first.pk)]
    assert ids(client.get(URL, {"action": "team.create"})) == [str(first.pk)]
    assert ids(client.get(URL, {"object_type": "team", "object_id": str(people.assist.pk)})) == [
        str(first.pk)
    ]
    assert ids(client.get(URL, {"until": first.at.isoformat()})) == []
    assert len(ids(client.get(URL, {"since": first.at.isoformat()}))) == 2
    assert ids(client.get(URL, {"ordering": "at"})) == [str(event.pk) for event in events]


def test_an_event_of_a_foreign_team_is_not_there(people: People, api: ApiFor) -> None:
    event = Event.objects.create(
        at=people.admin.date_joined,
        actor_name="x",
        action="x",
        object_type="deployment",
        object_id="1",
        object_name="secret-name",
        team=people.risk,
    )
    foreign = api(people.engineer)
    assert ids(foreign.get(URL)) == []
    absent = foreign.get(f"{URL}{event.pk + 1}/")
    hidden = foreign.get(f"{URL}{event.pk}/")
    assert (hidden.status_code, hidden.content) == (absent.status_code, absent.content)
    assert hidden.status_code == 404
    assert api(people.outsider).get(f"{URL}{event.pk}/").status_code == 200


def test_the_journal_cannot_be_written(people: People, api: ApiFor, events: list[Event]) -> None:
    client = api(people.admin)
    for method in (client.post, client.put, client.patch, client.delete):
        assert method(f"{URL}{events[0].pk}/", {}, format="json").status_code == 405
    assert client.post(URL, {}, format="json").status_code == 405
