"""Counts of rollouts, approvals, prices: the same on every page and endpoint, for each reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from django.test import Client
from rest_framework.test import APIClient

from fleetportal.accounts.models import User
from tests.conftest import ApiFor
from tests.factories import make_rollout, make_served, make_waiting, put
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import Deployment

ClientFor = Callable[[User], Client]
READERS = ("viewer", "engineer", "approver", "outsider", "operator")
BADGE = "Approvals"


class Reader(NamedTuple):
    name: str
    client: Client
    rest: APIClient


@pytest.fixture
def readers(people: People, client_for: ClientFor, api: ApiFor) -> list[Reader]:
    """Rollouts of two teams (two wait for a decision, one runs, one is done), and who looks."""
    make_fleet()
    make_served(people.engineer, people.assist, name="done", replicas=1, policy={})
    make_rollout(people.engineer, people.assist, name="runs", replicas=1, policy={})
    make_waiting(people.engineer, people.assist, name="waits")
    approval = make_waiting(people.outsider, people.risk, name="theirs")
    put([approval.rollout], requested_by=people.approver)
    put([approval], requester=people.approver)  # who asked may not decide
    users = {name: getattr(people, name) for name in READERS}
    return [Reader(name, client_for(user), api(user)) for name, user in users.items()]


def listed(client: Client, path: str) -> Any:
    return client.get(path).context["page"].paginator.count


def test_approvals_beside_the_menu_on_their_page_and_in_the_api(readers: list[Reader]) -> None:
    for name, client, rest in readers:
        page = client.get("/approvals/?show=open").context
        [badge] = [entry["count"] for entry in page["nav"] if entry["label"] == BADGE]
        mine = listed(client, "/approvals/?show=mine")
        waiting = listed(client, "/approvals/?show=open")
        assert badge == mine == sum(line.can for line in page["lines"]), name
        assert mine == (1 if name == "approver" else 0)
        assert waiting == rest.get("/api/v1/approvals/?state=waiting").json()["count"], name
        assert waiting == listed(client, "/rollouts/?state=waiting"), name
        attention = client.get("/fleet/?attention=all").context["items"]
        assert mine == sum(item.label == "Yours to decide" for item in attention), name


def test_rollouts_by_state_on_their_page_and_in_the_api(readers: list[Reader]) -> None:
    for name, client, rest in readers:
        everything = rest.get("/api/v1/rollouts/").json()
        found = everything["results"]
        assert listed(client, "/rollouts/") == everything["count"] == len(found), name
        for state, count in Counter(row["state"] for row in found).items():
            assert listed(client, f"/rollouts/?state={state}") == count, (name, state)
            assert rest.get(f"/api/v1/rollouts/?state={state}").json()["count"] == count


def test_rollouts_of_each_deployment_add_up(readers: list[Reader]) -> None:
    for name, client, rest in readers:
        total = 0
        for row in rest.get("/api/v1/deployments/").json()["results"]:
            count = rest.get(f"/api/v1/rollouts/?deployment={row['id']}").json()["count"]
            assert count == Deployment.objects.get(pk=row["id"]).rollouts.count(), name
            total += count
        assert total == listed(client, "/rollouts/"), name


def test_prices_and_models(readers: list[Reader]) -> None:
    for name, client, rest in readers:
        prices, said = client.get("/prices/").context, rest.get("/api/v1/prices/").json()
        lines = len(prices["lines"])
        assert prices["count"] == lines == said["count"] == len(said["results"]), name
        shown = [(one.instance_type, one.nodes) for one in prices["unpriced"]]
        assert shown == [(one["instance_type"], one["nodes"]) for one in said["unpriced"]]
        models = rest.get("/api/v1/models/").json()["count"]
        assert listed(client, "/catalog/") == models, name
