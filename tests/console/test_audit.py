from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest
from django.test import Client

from clusters.services.checks import check_request, check_run
from clusters.services.registration import cluster_cordon
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.journal.services import event_record
from fleetportal.kit.sheets import safe
from tests.clusters.rows import make_cluster
from tests.conftest import CountQueries
from tests.support import People

ClientFor = Callable[[User], Client]


def cordon(people: People, name: str = "prod-weu", reason: str = "upgrade") -> None:
    cluster = make_cluster(name)
    cluster_cordon(principal=Principal(people.operator), cluster=cluster, reason=reason)


def test_a_row_says_who_did_what_to_what_and_why(people: People, client_for: ClientFor) -> None:
    cordon(people)
    answer = client_for(people.auditor).get("/audit/")
    [line] = answer.context["lines"]
    assert (line.event.actor_name, line.words, line.url) == (
        *("operator", "cordoned", "/clusters/prod-weu/"),
    )
    assert line.changes == [("cordoned", "False", "True")]
    assert "upgrade" in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?actor=operator", 2),
        ("?actor=nobody", 0),
        ("?action=cluster.cordoned&object=north", 1),
        ("?object_type=cluster", 2),
        ("?since=2000-01-01&until=2999-12-31", 2),
        ("?until=2000-01-01", 0),
        ("?team=assist", 0),
    ],
)
def test_filters_stand_in_the_address_and_narrow_page_and_export(
    people: People, client_for: ClientFor, query: str, found: int
) -> None:
    cordon(people)
    cordon(people, "north")
    client = client_for(people.auditor)
    assert client.get(f"/audit/{query}").context["page"].paginator.count == found
    rows = b"".join(client.get(f"/audit/events.csv{query}")).decode()
    assert len(list(csv.reader(io.StringIO(rows)))) == found + 1


def test_today_counts_as_until_today(people: People, client_for: ClientFor) -> None:
    cordon(people)
    day = Event.objects.get().at.date().isoformat()
    answer = client_for(people.auditor).get(f"/audit/?since={day}&until={day}")
    assert answer.context["page"].paginator.count == 1


@pytest.mark.parametrize("date", ["yesterday", "2026-02-31", "0001-01-01T00:00:00+14:00"])
def test_a_wrong_date_is_said_and_shows_nothing_else(
    people: People, client_for: ClientFor, date: str
) -> None:
    cordon(people)
    answer = client_for(people.auditor).get("/audit/", {"since": date})
    assert answer.status_code == 422 and "is no date" in answer.content.decode()
    assert client_for(people.auditor).get("/audit/events.csv", {"since": date}).status_code == 422


def test_the_last_day_of_the_calendar_has_no_day_after_it(
    people: People, client_for: ClientFor
) -> None:
    answer = client_for(people.auditor).get("/audit/", {"until": "9999-12-31"})
    assert answer.status_code == 422 and "is no date" in answer.content.decode()


def test_events_of_other_teams_are_neither_shown_nor_exported(
    people: People, client_for: ClientFor
) -> None:
    event_record(action="team.renamed", obj=people.risk)
    Event.objects.update(team=people.risk)
    client = client_for(people.engineer)
    assert client.get("/audit/").context["page"].paginator.count == 0
    rows = b"".join(client.get("/audit/events.csv")).decode()
    assert "renamed" not in rows
    assert client_for(people.outsider).get("/audit/").context["page"].paginator.count == 1


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " ="])
def test_no_cell_of_the_export_is_a_formula(
    people: People, client_for: ClientFor, start: str
) -> None:
    assert safe(f"{start}1+1") == f"'{start}1+1" and safe("plain - text") == "plain - text"
    cordon(people, reason=f"{start}cmd")
    rows = b"".join(client_for(people.auditor).get("/audit/events.csv")).decode()
    cells = [cell for row in csv.reader(io.StringIO(rows)) for cell in row]
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@"))]


def test_the_portals_own_probes_leave_the_journal_alone(people: People) -> None:
    cluster = make_cluster()
    for principal in (None, Principal(people.operator)):
        check = check_request(kind="clusters.connection", cluster=cluster, principal=principal)
        check_run(str(check.pk), lambda check: {})
        check.refresh_from_db()
        assert check.state == "done"
    assert Event.objects.filter(object_type="check").count() == 2


def test_queries_do_not_grow_with_events(
    people: People, client_for: ClientFor, count_queries: CountQueries
) -> None:
    client, counts = client_for(people.auditor), []
    for index in range(2):
        for number in range(1 + 9 * index):
            cordon(people, f"c-{index}-{number}")
        with count_queries() as queries:
            client.get("/audit/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_journal_cannot_be_written_and_wants_a_login(
    people: People, client_for: ClientFor
) -> None:
    assert client_for(people.admin).post("/audit/").status_code == 405
    assert Client().get("/audit/").status_code == 302
    assert Client().get("/audit/events.csv").status_code == 302
