"""Queries of every page and list: the same for 3 rows and for 30, and never more than fifteen.

`tests/query_counts.json` holds the counts, so that one more query is a decision and no accident.
FLEETPORTAL_QUERY_COUNTS=write refreshes it.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from bench.rows import catalog_keep, deployments_create
from clusters.models import Cluster
from fleetportal.accounts.models import User
from rollouts.models import Approval, Rollout
from rollouts.services.strategies import strategies_sync
from tests.conftest import ApiFor
from tests.engine.placement_world import story
from tests.factories import MODEL, make_plan
from tests.support import People
from tests.workspaces.fleet_rows import make_cluster, make_fleet
from workspaces.models import Deployment, Plan

BASELINE = Path(__file__).with_name("query_counts.json")
WRITE = os.environ.get("FLEETPORTAL_QUERY_COUNTS") == "write"
MOST = 15
FEW, MANY = 3, 30
STATEMENTS = ("SELECT", "INSERT", "UPDATE", "DELETE")  # not BEGIN and SAVEPOINT

LISTS = ("fleet", "catalog", "deployments", "rollouts", "approvals", "clusters", "audit")
REST_LISTS = ("model", "plan", "deployment", "rollout", "approval", "cluster", "event")
ONES = ("model", "plan", "deployment", "rollout", "approval", "cluster")


@pytest.fixture
def grown(people: People) -> Any:
    """`grown(n)`: n clusters, models, deployments, rollouts, approvals and journal rows."""
    strategies_sync()
    make_fleet([])

    def grow(count: int) -> None:
        facts = story()
        for number in range(Cluster.objects.count(), count):
            one = facts[number % len(facts)]
            name = one.name if number < len(facts) else f"{one.name}-{number}"
            make_cluster(_renamed(one, name))
        catalog_keep(count)
        deployments_create(
            count - Deployment.objects.count(),
            team=people.assist,
            asker=people.engineer,
            clusters=list(Cluster.objects.order_by("name")),
        )

    return grow


def _renamed(facts: Any, name: str) -> Any:
    return replace(facts, name=name, uid=f"uid-{name}")


def queries(client: Any, path: str) -> tuple[int, int]:
    """Statements of one GET, after one that fills the caches of the process; bytes answered."""
    client.get(path)
    with CaptureQueriesContext(connection) as found:
        answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return len(found), len(answer.content)


def same(client: Any, path: str, grown: Any) -> int:
    """The queries of a list, which shows more when there are more rows and asks no more."""
    grown(FEW)
    few, short = queries(client, path)
    grown(MANY)
    many, long = queries(client, path)
    assert long > short, "the rows are not shown"
    assert few == many <= MOST
    return many


def check(key: str, count: int) -> None:
    """Against the file; written there when asked."""
    known: dict[str, int] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if WRITE:
        BASELINE.write_text(json.dumps(known | {key: count}, indent=2, sort_keys=True) + "\n")
        return
    assert count <= known.get(key, 0), (
        f"{key} takes {count} queries, tests/query_counts.json says {known.get(key)}; "
        "FLEETPORTAL_QUERY_COUNTS=write refreshes it"
    )


@pytest.mark.parametrize("name", LISTS)
def test_a_list_page_takes_as_many_queries_for_30_rows_as_for_3(
    name: str, grown: Any, people: People, client_for: Any
) -> None:
    client: Client = client_for(people.approver)
    check(f"page {name}", same(client, reverse(name), grown))


@pytest.mark.parametrize("name", REST_LISTS)
def test_a_list_of_the_api_takes_as_many_queries_for_30_rows_as_for_3(
    name: str, grown: Any, people: People, api: ApiFor
) -> None:
    check(f"api {name}", same(api(people.approver), reverse(f"api-{name}-list"), grown))


@pytest.mark.parametrize("name", ONES)
def test_a_page_of_one_thing_takes_at_most_15_queries(
    name: str, grown: Any, people: People, client_for: Any
) -> None:
    grown(MANY)
    path = _path_of(name, people.engineer, people)
    count, _ = queries(client_for(people.approver), path)
    assert count <= MOST
    check(f"page {name}", count)


def test_a_plan_asked_for_without_a_broker_is_placed_in_at_most_12_statements(
    people: People, api: ApiFor
) -> None:
    strategies_sync()
    make_fleet([one for one in story() if one.teams is None])
    client = api(people.engineer)
    asked = {"name": "phi", "model": MODEL, "replicas": 3}
    with CaptureQueriesContext(connection) as found:
        answer = client.post(reverse("api-plan-list"), asked, format="json")
    assert answer.status_code == 201
    assert answer.json()["state"] == "ready"
    said = [one["sql"] for one in found if one["sql"].split()[0] in STATEMENTS]
    assert len(said) <= 12, "\n".join(said)


def _path_of(name: str, user: User, people: People) -> str:
    if name == "plan":
        return reverse("plan", args=[make_plan(user, people.assist, replicas=3).pk])
    if name == "model":
        return reverse("model", args=[Plan.objects.values_list("model_id", flat=True)[0]])
    if name == "cluster":
        return reverse("cluster", args=[Cluster.objects.order_by("name")[0].name])
    row = {"deployment": Deployment, "rollout": Rollout, "approval": Approval}[name]
    return reverse(name, args=[row._default_manager.values_list("pk", flat=True)[0]])
