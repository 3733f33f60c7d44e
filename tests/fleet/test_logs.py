"""Logs of pods, read from simulated clusters by a worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.engine.credential import parse_fields
from clusters.models import Check
from clusters.services.registration import cluster_credential_replace
from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.kit.errors import Forbidden, Invalid, Missing, Refused
from tests.conftest import ApiFor
from tests.fleet.harness import Portal, until
from tests.support import People
from workspaces.models import Workspace
from workspaces.selectors.logs import sources
from workspaces.services.logs import KEPT, logs_ask
from workspaces.services.secrets import secret_set

STARTED = "Application startup complete"


@pytest.fixture
def served(portal: Portal) -> Workspace:
    """A workspace that serves, its pods seen."""
    cluster = portal.add()
    deployment = portal.deployed([cluster])
    workspace = Workspace.objects.select_related("cluster", "deployment").get(deployment=deployment)
    until("its pods are seen", lambda: sources(workspace))
    return workspace


def read(workspace: Workspace, person: Principal, **asked: Any) -> Check:
    """As long as a busy machine takes."""
    return logs_ask(principal=person, workspace=workspace, seconds=20, **asked)


def test_the_log_of_a_pod_its_files_and_its_pages(
    portal: Portal, served: Workspace, everybody: People, api: ApiFor
) -> None:
    check = read(served, Principal(everybody.engineer))
    assert check.state == "done"
    assert STARTED in check.result["text"]
    assert check.team_id is None
    event = Event.objects.filter(action="workspace.logs_read").latest("pk")
    assert event.after["pod"] == check.request["pod"]

    client = Client()
    client.force_login(everybody.engineer)
    deployment = client.get(reverse("deployment", args=[served.deployment_id])).content.decode()
    url = reverse("workspace_logs", args=[served.pk])
    assert url in deployment
    assert STARTED in client.get(url).content.decode()
    file = client.get(reverse("workspace_logs_text", args=[served.pk]))
    assert STARTED in file.content.decode()
    assert file["Content-Disposition"].startswith("attachment")
    assert file["Content-Type"].startswith("text/plain")

    answer = api(everybody.engineer).post(f"/api/v1/workspaces/{served.pk}/logs/", format="json")
    assert answer.status_code in (201, 202)
    until(
        "the worker answers",
        lambda: (
            api(everybody.engineer).get(f"/api/v1/checks/{answer.json()['id']}/").json()["state"]
            == "done"
        ),
    )


def test_a_container_that_has_not_run_before_says_so_or_is_empty(
    served: Workspace, everybody: People
) -> None:
    check = read(served, Principal(everybody.engineer), previous=True)
    assert check.result.get("text") == "" or "has not run before" in check.result["error"]


def test_a_followed_log_is_one_row_and_ends_when_nobody_looks(
    served: Workspace, everybody: People
) -> None:
    person = Principal(everybody.engineer)
    checks = [read(served, person, follow=True) for _ in range(3)]
    assert len({check.pk for check in checks}) == 1
    assert checks[-1].state == "running"
    assert STARTED in checks[-1].result["text"]
    moments = [check.result["read_at"] for check in checks]
    assert moments == sorted(moments)
    past = (timezone.now() - timedelta(seconds=1)).isoformat()
    row = Check.objects.get(pk=checks[0].pk)
    Check.objects.filter(pk=row.pk).update(request=row.request | {"until": past}, not_before=None)
    until("it ends", lambda: Check.objects.get(pk=row.pk).state == "done")


def test_two_people_do_not_see_each_others_reading(
    served: Workspace, everybody: People, api: ApiFor
) -> None:
    check = read(served, Principal(everybody.engineer))
    path = f"/api/v1/checks/{check.pk}/"
    assert api(everybody.engineer).get(path).status_code == 200
    assert api(everybody.viewer).get(path).status_code == 404
    assert api(everybody.outsider).get(path).status_code == 404


def test_who_may_not_read_logs_reads_none(served: Workspace, everybody: People) -> None:
    with pytest.raises(Forbidden):
        read(served, Principal(everybody.viewer))
    with pytest.raises(Missing):
        read(served, Principal(everybody.outsider))
    assert read(served, Principal(everybody.operator)).state == "done"


def test_names_from_a_form_lead_to_no_other_pod(served: Workspace, everybody: People) -> None:
    person = Principal(everybody.engineer)
    for pod in ("kaito-controller", "../secrets/x", "x" * 300):
        with pytest.raises(Invalid):
            read(served, person, pod=pod)
    with pytest.raises(Invalid):
        read(served, person, container="../../x")


def test_a_pod_that_is_gone_is_named_where_another_ones_log_is_shown(
    served: Workspace, everybody: People
) -> None:
    client = Client()
    client.force_login(everybody.engineer)
    url = reverse("workspace_logs", args=[served.pk])
    for query in ("pod=chat-gone-0", "pod=chat-gone-0&follow=1"):
        html = client.get(f"{url}?{query}").content.decode()
        assert "The pod chat-gone-0 is gone" in html
        assert f"This is {sources(served)[0].pod}." in html
    assert "is gone" not in client.get(url).content.decode()
    assert client.get(f"{url[:-1]}.txt?pod=chat-gone-0").status_code == 404


def test_the_teams_token_is_hidden_wherever_the_pod_wrote_it(
    served: Workspace, everybody: People
) -> None:
    """The simulated engine writes its preset's name: here that is the team's secret."""
    name = served.revision.model_id.split("--")[1]
    plain = read(served, Principal(everybody.engineer)).result["text"]
    word = next(word for word in plain.split() if name[:5] in word.lower() and len(word) >= 8)
    secret_set(principal=Principal(everybody.engineer), team=everybody.assist, value=word)
    hidden = read(served, Principal(everybody.engineer)).result["text"]
    assert word not in hidden
    assert "[hidden]" in hidden


def test_a_credential_without_the_permission_is_named(
    portal: Portal, served: Workspace, everybody: People
) -> None:
    cluster = portal.clusters[served.cluster.name]
    rules = [{"verbs": ["get", "list", "watch", "create", "patch", "delete"], "resources": ["*"]}]
    rules[0]["resources"] = [
        *("pods", "nodes", "namespaces", "configmaps", "secrets", "services"),
        *("workspaces.kaito.sh", "inferencesets.kaito.sh"),
    ]
    token = cluster.new_token(user="narrow", rules=rules)
    row = portal.row(cluster)
    cluster_credential_replace(
        principal=Principal(everybody.operator),
        cluster=row,
        credential=parse_fields(server=cluster.server, ca_pem=cluster.ca_pem, token=token),
    )
    check = read(served, Principal(everybody.engineer))
    assert check.state == "failed"
    assert "“get” on “pods/log”" in check.result["error"]
    assert served.namespace in check.result["error"]


def test_a_workspace_without_pods_says_what_to_wait_for(
    portal: Portal, everybody: People, served: Workspace
) -> None:
    served.name = "another"
    with pytest.raises(Refused):
        read(served, Principal(everybody.engineer))


def test_what_was_read_goes_minutes_later(served: Workspace, everybody: People) -> None:
    person = Principal(everybody.engineer)
    old = read(served, person)
    Check.objects.filter(pk=old.pk).update(created_at=timezone.now() - KEPT - timedelta(seconds=1))
    read(served, person)
    assert not Check.objects.filter(pk=old.pk).exists()
