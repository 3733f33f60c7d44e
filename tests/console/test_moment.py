"""The time machine's page and endpoint: the fleet as it was, and only what one may read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.models import Cluster
from clusters.services.moments import moment_store
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from fleetportal.console.selectors.moment import parse_at, slider
from fleetportal.journal.models import Event
from fleetportal.kit.errors import Invalid
from tests.clusters.rows import make_cluster, node
from tests.conftest import ApiFor, CountQueries
from tests.factories import make_served
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import Workspace
from workspaces.selectors.moments import standing_at
from workspaces.states import WORKSPACE

ClientFor = Callable[[User], Client]
NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
AT = "/api/v1/fleet/at/"


def text(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined, no-any-return]


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def served(people: People) -> Workspace:
    """The only workspace of a small fleet; each cluster stands as it is from the start."""
    make_fleet()
    deployment = make_served(people.engineer, people.assist)
    workspace = deployment.workspaces.order_by("name").first()
    assert workspace is not None
    deployment.workspaces.exclude(pk=workspace.pk).update(state="retired")
    Event.objects.filter(object_type="workspace").delete()
    return workspace


def lived(workspace: Workspace, *moves: tuple[datetime, str]) -> None:
    """Let a workspace have made these moves, the last of which it still stands by."""
    before = "planned"
    for at, state in moves:
        Event.objects.create(
            at=at,
            actor_name="fleetportal",
            action=f"workspace.{state}",
            object_type="workspace",
            object_id=str(workspace.pk),
            object_name="w",
            before={"state": before},
            after={"state": state},
        )
        before = state
    Workspace.objects.filter(pk=workspace.pk).update(
        created_at=moves[0][0] - timedelta(minutes=1), state=before, state_since=moves[-1][0]
    )


def test_the_page_shows_states_placements_and_allocation_of_then(
    people: People, client_for: ClientFor, api: ApiFor
) -> None:
    workspace = served(people)
    cluster = workspace.cluster
    then, now = timezone.now() - timedelta(days=3), timezone.now()
    lived(workspace, (then, "applying"), (now, "ready"))
    moment_store(cluster=cluster, at=then)
    Cluster.objects.filter(pk=cluster.pk).update(state="unreachable", nodes_packed=b"")
    moment_store(cluster=cluster, at=now)
    asked = then + timedelta(minutes=5)
    page = client_for(people.operator).get("/fleet/", {"at": stamp(asked)})
    assert "You are looking at" in text(page)
    assert "Back to now" in text(page)
    assert "data-live " not in text(page)  # nothing of the past moves
    (line,) = (one for one in page.context["then"].lines if one.cluster.pk == cluster.pk)
    assert line.state.label == "Ready"
    assert [(one.name, one.label) for one in line.workloads] == [
        (workspace.deployment.name, "Applying")
    ]
    said = api(people.operator).get(AT, {"at": stamp(asked)}).json()
    assert said["clusters"][0]["workloads"][0]["state"] == "applying"
    figures = {figure.key: figure.value for figure in page.context["figures"]}
    assert {key: said["gpus"][key] for key in figures} == figures
    assert said["gpus"] == said["clusters"][0]["gpus"]


def test_the_fleet_page_has_the_slider_and_works_as_a_form(
    people: People, client_for: ClientFor
) -> None:
    make_cluster("a", [node()])
    page = text(client_for(people.viewer).get("/fleet/"))
    assert 'name="at"' in page
    assert 'type="range"' in page


def test_clusters_of_which_nothing_is_recorded_are_unknown(
    people: People, client_for: ClientFor, api: ApiFor
) -> None:
    make_cluster("a", [node()])
    asked = {"at": stamp(timezone.now() - timedelta(days=2))}
    assert "Unknown then" in text(client_for(people.viewer).get("/fleet/", asked))
    said = api(people.viewer).get(AT, asked).json()
    assert (said["unknown"], said["gpus"]["total"]) == (["a"], 0)


def test_other_teams_workloads_are_counted_and_never_named(
    people: People, client_for: ClientFor, api: ApiFor
) -> None:
    workspace = served(people)
    then = timezone.now() - timedelta(days=1)
    lived(workspace, (then, "ready"))
    moment_store(cluster=workspace.cluster, at=then)
    asked = {"at": stamp(then + timedelta(hours=1))}
    said = api(people.outsider).get(AT, asked).json()
    assert said["clusters"][0]["workloads"] == []
    assert said["clusters"][0]["other_teams"] == 1
    page = text(client_for(people.outsider).get("/fleet/", asked))
    assert workspace.deployment.name not in page


@pytest.mark.parametrize("at", ["", "yesterday", "2026-13-45T00:00Z", "2020-01-01T00:00Z"])
def test_a_time_that_nothing_is_known_of_is_refused(
    at: str, people: People, client_for: ClientFor, api: ApiFor
) -> None:
    page = client_for(people.viewer).get("/fleet/", {"at": at})
    assert page.status_code == 422
    assert "This moment is no" in text(page) and 'name="at"' in text(page), "ask again from here"
    problem = api(people.viewer).get(AT, {"at": at})
    assert problem.status_code in (400, 422)
    assert "at" in problem.content.decode()


def test_before_anything_was_recorded_gpus_are_unknown_and_not_0(
    people: People, client_for: ClientFor
) -> None:
    make_cluster(nodes=[node()])
    page = text(client_for(people.viewer).get("/fleet/", {"at": stamp(NOW - timedelta(days=9))}))
    assert "How many GPUs there were is unknown." in page
    assert "0 GPUs" not in page and "<dt>Allocated</dt>" not in page


def test_queries_do_not_grow_with_the_fleet(
    people: People, client_for: ClientFor, count_queries: CountQueries
) -> None:
    client, then = client_for(people.viewer), timezone.now() - timedelta(hours=3)
    counts = []
    for number in range(12):
        moment_store(cluster=make_cluster(f"c-{number}", [node()]), at=then)
        if number in (1, 11):
            with count_queries() as counted:
                client.get("/fleet/", {"at": stamp(timezone.now())})
            counts.append(len(counted))
    assert counts[0] == counts[1] <= 15


STATES = st.sampled_from(sorted(WORKSPACE.active))


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.integers(1, 500), STATES), min_size=1, max_size=8))
def test_states_come_back_from_the_journal_as_they_were(
    people: People, steps: list[tuple[int, str]]
) -> None:
    workspace = Workspace.objects.first() or served(people)
    Event.objects.filter(object_type="workspace").delete()
    at, moves = NOW, []
    for minutes, state in steps:
        at += timedelta(minutes=minutes)
        moves.append((at, state))
    lived(workspace, *moves)
    principal = Principal(people.operator)
    for number, (time, state) in enumerate(moves):
        last = moves[number + 1][0] if number + 1 < len(moves) else time + timedelta(days=1)
        for asked in (time + timedelta(seconds=1), last):
            found = standing_at(principal, [workspace.cluster_id], asked)
            assert [one.state for one in found] == ([] if state == "planned" else [state])
    assert standing_at(principal, [workspace.cluster_id], NOW - timedelta(days=1)) == []


@given(st.integers(0, 89 * 1440))
def test_the_slider_stands_where_the_moment_is(minutes: int) -> None:
    at = NOW - timedelta(minutes=minutes)
    found = slider(at, NOW)
    assert found.first + timedelta(hours=found.hour, minutes=found.minute) == at
    assert 0 <= found.hour <= found.hours


def test_a_time_without_a_zone_is_utc() -> None:
    assert parse_at("2026-11-12T14:05", NOW) == datetime(2026, 11, 12, 14, 5, tzinfo=UTC)
    assert parse_at("2026-11-12T14:05+02:00", NOW).hour == 12
    with pytest.raises(Invalid):
        parse_at("2026-11-24T00:00Z", NOW)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_moment_that_its_zone_moves_out_of_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is no time"):
        parse_at(text, NOW)
