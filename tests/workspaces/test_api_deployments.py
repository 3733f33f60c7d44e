"""`deployments/` as far as it reads, and the test prompt; rollouts adds making and deleting."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import include, path
from rest_framework.test import APIClient

from clusters.models import Check
from fleetportal.journal.services import event_record
from fleetportal.rest.endpoints import Router
from tests.conftest import ApiFor, CountQueries
from tests.support import People
from tests.workspaces.conftest import PHI, MakeDeployment
from workspaces.api.deployments import DeploymentViewSet

router = Router()
router.register("deployments", DeploymentViewSet, basename="test-deployment")
urlpatterns = [path("", include("fleetportal.urls")), path("test/", include(router.urls))]

pytestmark = pytest.mark.urls("tests.workspaces.test_api_deployments")
ROOT = "/test/deployments/"


def rows(client: APIClient, query: str = "") -> list[dict[str, Any]]:
    response = client.get(f"{ROOT}{query}")
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = response.json()["results"]
    return found


def test_a_row_says_how_it_fares_and_why(
    people: People, make_deployment: MakeDeployment, api: ApiFor
) -> None:
    make_deployment("chat", {"prod-weu": "ready", "prod-euc1": "ready"})
    (row,) = rows(api(people.engineer))
    assert (row["name"], row["team"], row["model"], row["revision"]) == ("chat", "assist", PHI, 1)
    assert (row["state"], row["health"], row["needs_attention"]) == ("active", "unknown", True)
    assert row["cause"].startswith("prod-euc1 is unreachable")
    assert (row["clusters_ready"], row["clusters"]) == (1, 2)
    assert row["price_per_hour"] == pytest.approx(7.34)


def test_unknown_is_null(people: People, make_deployment: MakeDeployment, api: ApiFor) -> None:
    make_deployment("chat", {"prod-weu": "unknown"}, ready_replicas=None, price_per_hour=None)
    (row,) = rows(api(people.engineer))
    assert row["ready_replicas"] is None
    assert row["price_per_hour"] is None


def test_filters_and_ordering(people: People, make_deployment: MakeDeployment, api: ApiFor) -> None:
    make_deployment("one", {"prod-weu": "ready"})
    make_deployment("two", {"prod-weu": "stuck"})
    client = api(people.engineer)
    assert [row["name"] for row in rows(client)] == ["two", "one"]
    assert [row["name"] for row in rows(client, "?ordering=name")] == ["one", "two"]
    assert [row["name"] for row in rows(client, "?name=one")] == ["one"]
    assert rows(client, "?state=retired") == []


def test_workspaces_and_history_are_paged_parts(
    people: People, make_deployment: MakeDeployment, api: ApiFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    event_record(action="deployment.created", obj=deployment)
    client = api(people.viewer)
    (workspace,) = rows(client, f"{deployment.pk}/workspaces/")
    assert workspace["address"] == "http://chat.fp-assist.svc.cluster.local"
    assert (workspace["cluster"], workspace["state"]) == ("prod-weu", "ready")
    (event,) = rows(client, f"{deployment.pk}/history/")
    assert event["action"] == "deployment.created"
    assert client.get(f"{ROOT}{deployment.pk}/").json()["id"] == str(deployment.pk)


def test_a_prompt_becomes_a_check(
    people: People, make_deployment: MakeDeployment, api: ApiFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    client = api(people.engineer)
    sent = {"prompt": "Hello?", "cluster": "prod-weu"}
    response = client.post(f"{ROOT}{deployment.pk}/prompt/", sent, format="json")
    assert response.status_code == 202
    assert (response.json()["cluster"], response.json()["answer"]) == ("prod-weu", None)
    Check.objects.update(state="done", result={"answer": "Hi."})
    found = client.get(f"/api/v1/checks/{response.json()['id']}/").json()
    assert (found["state"], found["result"]) == ("done", {"answer": "Hi."})


def test_a_prompt_needs_a_role_a_text_and_somebody_who_serves(
    people: People, make_deployment: MakeDeployment, api: ApiFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "getting_nodes"})
    url = f"{ROOT}{deployment.pk}/prompt/"
    assert api(people.viewer).post(url, {"prompt": "x"}, format="json").status_code == 403
    assert api(people.engineer).post(url, {"prompt": ""}, format="json").status_code == 422
    assert api(people.engineer).post(url, {"prompt": "x"}, format="json").status_code == 409
    assert api(people.outsider).post(url, {"prompt": "x"}, format="json").status_code == 404


def test_foreign_deployments_look_missing(
    people: People, make_deployment: MakeDeployment, api: ApiFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    client = api(people.outsider)
    assert rows(client) == []
    for part in ("", "workspaces/", "history/"):
        assert client.get(f"{ROOT}{deployment.pk}/{part}").status_code == 404


def test_the_lists_queries_do_not_grow_with_rows(
    people: People, make_deployment: MakeDeployment, api: ApiFor, count_queries: CountQueries
) -> None:
    client, counts = api(people.engineer), []
    for size in (3, 30):
        for number in range(size):
            make_deployment(f"d{size}-{number}", {"prod-weu": "ready", "stg-weu": "ready"})
        with count_queries() as queries:
            rows(client)
        counts.append(len(queries))
    assert counts[0] == counts[1]
