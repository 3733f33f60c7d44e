"""Counts of rollouts, approvals, prices: the same on every page and endpoint, for each reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from fleetportal.accounts.models import User
from tests.conftest import ApiFor
from tests.factories import make_rollout, make_served, make_waiting, put
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import Deployment

ClientFor = Callable[[User], Client]
READERS = ("viewer", "engineer", "approver", "outsider", "operator")
BADGE = "approvals"


@pytest.fixture
def work(people: People) -> None:
    """Rollouts of two teams: two wait for a decision, one runs, one has succeeded."""
    make_fleet()
    make_served(people.engineer, people.assist, name="done", replicas=1, policy={})
    make_rollout(people.engineer, people.assist, name="runs", replicas=1, policy={})
    make_waiting(people.engineer, people.assist, name="waits")
    approval = make_waiting(people.outsider, people.risk, name="theirs")
    put([approval.rollout], requested_by=people.approver)
    put([approval], requester=people.approver)  # who asked may not decide


def listed(client: Client, path: str) -> Any:
    return client.get(path).context["page"].paginator.count


def reader(people: People, name: str) -> User:
    found: User = getattr(people, name)
    return found


@pytest.mark.parametrize("name", READERS)
def test_approvals_beside_the_menu_on_their_page_and_in_the_api(
    name: str, work: None, people: People, client_for: ClientFor, api: ApiFor
) -> None:
    client, rest = client_for(reader(people, name)), api(reader(people, name))
    page = client.get("/approvals/?show=open").context
    [badge] = [entry["count"] for entry in page["nav"] if entry["label"].lower() == BADGE]
    mine = listed(client, "/approvals/?show=mine")
    waiting = listed(client, "/approvals/?show=open")
    assert badge == mine == sum(line.can for line in page["lines"])
    assert mine == (1 if name == "approver" else 0)
    assert waiting == rest.get("/api/v1/approvals/?state=waiting").json()["count"]
    assert waiting == listed(client, "/rollouts/?state=waiting")
    attention = client.get("/fleet/?attention=all").context["items"]
    assert mine == sum(item.label == "Yours to decide" for item in attention)


@pytest.mark.parametrize("name", READERS)
def test_rollouts_by_state_on_their_page_and_in_the_api(
    name: str, work: None, people: People, client_for: ClientFor, api: ApiFor
) -> None:
    client, rest = client_for(reader(people, name)), api(reader(people, name))
    everything = rest.get("/api/v1/rollouts/").json()
    assert listed(client, "/rollouts/") == everything["count"] == len(everything["results"])
    for state, count in Counter(row["state"] for row in everything["results"]).items():
        assert listed(client, f"/rollouts/?state={state}") == count
        assert rest.get(f"/api/v1/rollouts/?state={state}").json()["count"] == count


@pytest.mark.parametrize("name", READERS)
def test_rollouts_of_a_deployment(
    name: str, work: None, people: People, client_for: ClientFor, api: ApiFor
) -> None:
    client, rest = client_for(reader(people, name)), api(reader(people, name))
    total = 0
    for row in rest.get("/api/v1/deployments/").json()["results"]:
        count = rest.get(f"/api/v1/rollouts/?deployment={row['id']}").json()["count"]
        assert count == Deployment.objects.get(pk=row["id"]).rollouts.count()
        total += count
    assert total == listed(client, "/rollouts/")


@pytest.mark.parametrize("name", READERS)
def test_prices_and_models(
    name: str, work: None, people: People, client_for: ClientFor, api: ApiFor
) -> None:
    client, rest = client_for(reader(people, name)), api(reader(people, name))
    prices, said = client.get("/prices/").context, rest.get("/api/v1/prices/").json()
    assert prices["count"] == len(prices["lines"]) == said["count"] == len(said["results"])
    shown = [(one.instance_type, one.nodes) for one in prices["unpriced"]]
    assert shown == [(one["instance_type"], one["nodes"]) for one in said["unpriced"]]
    assert listed(client, "/catalog/") == rest.get("/api/v1/models/").json()["count"]
