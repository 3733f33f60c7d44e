"""The list of deployments and the page of one: health with its cause, chain, addresses, history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from clusters.models import Check, Cluster, ObservedObject
from fleetportal.accounts.models import User
from fleetportal.journal.services import event_record
from tests.conftest import CountQueries
from tests.support import People
from tests.workspaces.conftest import MakeDeployment, MakePlan
from workspaces.models import Deployment, Revision, Workspace
from workspaces.states import WORKSPACE

ClientFor = Callable[[User], Client]


def text(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return response.content.decode()


def at(deployment: Deployment, tab: str = "") -> str:
    return f"/deployments/{deployment.pk}/" + (f"?tab={tab}" if tab else "")


def test_what_needs_a_person_stands_first_with_its_cause(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    make_deployment("aaa", {"prod-weu": "ready"})
    make_deployment("zzz", {"stg-eus": "stuck"}, message="no capacity in eastus")
    html = text(client_for(people.engineer), "/deployments/")
    assert html.index(">zzz<") < html.index(">aaa<")
    assert "Needs attention" in html
    assert "stg-eus: no capacity in eastus." in html
    assert "Ready on prod-weu." in html
    assert "Deploy a model" in html


def test_a_deployment_with_a_silent_cluster_is_not_called_healthy(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    make_deployment("kyc", {"prod-euc1": "ready", "prod-weu": "ready"})
    html = text(client_for(people.engineer), "/deployments/")
    assert "Healthy" not in html
    assert "prod-euc1 is unreachable, so nobody knows how it is there." in html
    assert "1 of 2" in html


@pytest.mark.parametrize(
    ("states", "more", "calm"),
    [
        ({"prod-weu": "ready"}, {}, 1),
        ({"prod-weu": "getting_nodes"}, {}, 1),
        ({"prod-weu": "stuck"}, {}, 0),
        ({"prod-weu": "not_ready"}, {}, 0),
        ({"prod-weu": "unknown"}, {}, 0),
        ({"prod-euc1": "ready"}, {}, 0),
        ({"prod-euc1": "planned"}, {}, 1),
        ({"prod-weu": "retiring"}, {}, 1),
        ({"prod-weu": "ready"}, {"changed_outside": ["spec.replicas"]}, 0),
    ],
)
def test_the_order_in_sql_is_the_rule_of_the_engine(
    people: People,
    make_deployment: MakeDeployment,
    states: dict[str, str],
    more: dict[str, object],
    calm: int,
) -> None:
    from fleetportal.accounts.principal import Principal
    from workspaces.selectors import deployments

    make_deployment("one", states, **more)
    rows = deployments.deployments_for(Principal(people.engineer))
    (row,) = deployments.rows_of(list(rows))
    assert row.deployment.calm == calm  # type: ignore[attr-defined]
    assert row.fare.attention is (calm == 0)


def test_an_empty_list_says_what_to_do(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    client = client_for(people.engineer)
    assert "Nothing is deployed yet." in text(client, "/deployments/")
    assert "No deployment matches." in text(client, "/deployments/?q=nothing")


def test_the_list_is_filtered_sorted_and_paged_on_the_server(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    for number in range(55):
        make_deployment(f"d{number:02}", {"prod-weu": "ready"})
    make_deployment("bad", {"prod-weu": "stuck"})
    client = client_for(people.engineer)
    assert text(client, "/deployments/").count('<tr id="deployment-') == 50
    assert text(client, "/deployments/?page=2").count('<tr id="deployment-') == 6
    html = text(client, "/deployments/?sort=-name")
    assert html.index(">bad<") < html.index(">d54<") < html.index(">d53<")
    assert text(client, "/deployments/?state=attention").count('<tr id="deployment-') == 1
    assert text(client, "/deployments/?q=d1").count('<tr id="deployment-') == 10


def test_the_lists_queries_do_not_grow_with_rows(
    people: People,
    make_deployment: MakeDeployment,
    client_for: ClientFor,
    count_queries: CountQueries,
) -> None:
    client, counts = client_for(people.engineer), []
    for size in (3, 30):
        for number in range(size):
            make_deployment(f"d{size}-{number}", {"prod-weu": "ready", "stg-weu": "ready"})
        with count_queries() as queries:
            text(client, "/deployments/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_foreign_deployments_are_neither_listed_nor_found(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    theirs = make_deployment("kyc", {"prod-weu": "ready"}, team=people.risk, user=people.outsider)
    client = client_for(people.engineer)
    assert "kyc" not in text(client, "/deployments/")
    text(client, at(theirs), 404)
    assert client.post(f"{at(theirs)}prompt/", {"prompt": "hi"}).status_code == 404
    assert "kyc" in text(client_for(people.auditor), "/deployments/")


def test_the_first_steps_are_shown_in_the_demo_only(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor, settings: Any
) -> None:
    client = client_for(people.engineer)
    assert "First five minutes" not in text(client, "/deployments/")
    settings.DEMO = True
    assert "First five minutes" in text(client, "/deployments/")
    assert "First five minutes" not in text(client_for(people.viewer), "/deployments/")


def test_the_live_list_is_its_own_part(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    make_deployment("one", {"prod-weu": "ready"})
    response = client_for(people.engineer).get("/deployments/", headers={"HX-Request": "true"})
    assert response.content.decode().lstrip().startswith("<section")
    assert "data-live" in response.content.decode()


def test_the_page_shows_the_health_the_address_and_the_command(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    html = text(client_for(people.engineer), at(deployment))
    assert "Ready on prod-weu." in html
    assert "http://chat.fp-assist.svc.cluster.local" in html
    assert "kubectl --kubeconfig your-kubeconfig --context prod-weu -n fp-assist get" in html
    assert "-o yaml --show-managed-fields" in html
    assert "Send a test prompt" in html


def test_a_stuck_workspace_shows_its_phase_its_reason_and_its_conditions(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    condition = {
        "type": "InferenceReady",
        "status": "False",
        "reason": "ContainerOOMKilled",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "object": "chat",
    }
    deployment = make_deployment(
        "chat",
        {"stg-eus": "stuck"},
        reason="ContainerOOMKilled",
        conditions=[condition],
        phases={"getting_nodes": "2026-01-01T00:00:00+00:00"},
    )
    html = text(client_for(people.engineer), at(deployment))
    assert "Container OOM Killed" in html
    assert "Inference server" in html
    assert '<li class="bad">node' in html
    assert "Nothing serves yet" in html


@pytest.mark.parametrize("state", WORKSPACE.states)
def test_every_state_of_a_workspace_has_a_page(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor, state: str
) -> None:
    deployment = make_deployment("chat", {"prod-weu": state}, ready_replicas=None)
    for tab in ("", "objects", "revisions", "history", "nonsense"):
        text(client_for(people.viewer), at(deployment, tab))


def test_unknown_replicas_read_unknown_and_never_zero(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "unknown"}, ready_replicas=None)
    html = text(client_for(people.engineer), at(deployment))
    assert '<span class="unknown-text">unknown</span> of 1' in html


def test_changed_outside_is_flagged_with_the_path(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "ready"}, changed_outside=["spec.replicas"])
    html = text(client_for(people.engineer), at(deployment))
    assert "Changed outside" in html
    assert "spec.replicas" in html


def test_the_objects_are_shown_as_the_cluster_returns_them(
    people: People,
    fleet: dict[str, Cluster],
    make_deployment: MakeDeployment,
    client_for: ClientFor,
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    workspace = Workspace.objects.get()
    for name in (workspace.name, "someone-elses"):
        ObservedObject.objects.create(
            cluster=fleet["prod-weu"],
            kind="InferenceSet",
            namespace=workspace.namespace,
            name=name,
            uid=name,
            resource_version="7",
            body={"kind": "InferenceSet", "metadata": {"name": name, "note": "<b>raw</b>"}},
            seen_at=timezone.now(),
        )
    html = text(client_for(people.engineer), at(deployment, "objects"))
    assert "Resource version 7" in html
    assert "&lt;b&gt;raw&lt;/b&gt;" in html
    assert "someone-elses" not in html


def test_history_tells_who_did_what(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    event_record(action="deployment.created", obj=deployment, after={"state": "active"})
    html = text(client_for(people.engineer), at(deployment, "history"))
    assert "deployment chat: created" in html
    assert "active" in html


def test_a_planned_revision_does_not_hide_how_the_serving_one_is(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    conditions = [{"type": "ResourceReady", "status": "True"}]
    states = {"prod-weu": "ready", "stg-weu": "planned"}
    deployment = make_deployment("chat", states, conditions=conditions)
    deployment.workspaces.filter(state="planned").update(conditions=[])
    html = text(client_for(people.engineer), at(deployment))
    assert "all true" in html
    assert "KAITO has reported none yet" not in html


def test_history_names_the_state_that_was_observed(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    workspace = deployment.workspaces.get()
    event_record(action="workspace.observed", obj=workspace, after={"state": "loading_weights"})
    html = text(client_for(people.engineer), at(deployment, "history"))
    assert f"workspace {workspace}: loading weights" in html


def test_the_revision_that_serves_is_named_and_not_one_that_never_did(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    client = client_for(people.engineer)
    deployment = make_deployment("chat", {"prod-weu": "ready", "stg-weu": "ready"})
    first = deployment.revisions.get()
    second = Revision.objects.get(pk=first.pk)
    second.pk, second.number = None, 2
    second.save()
    for path in ("/deployments/", at(deployment)):
        html = text(client, path)
        assert "r1" in html and "r2" not in html
    answer = client.get(f"/api/v1/deployments/{deployment.pk}/").json()
    assert (answer["revision"], answer["serving_revisions"]) == (2, [1])
    deployment.workspaces.filter(cluster__name="stg-weu").update(revision=second)
    assert "r2 and r1" in text(client, "/deployments/")


def test_a_test_prompt_is_asked_of_a_worker_and_its_answer_is_only_text(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    client = client_for(people.engineer)
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    response = client.post(f"{at(deployment)}prompt/", {"cluster": "prod-weu", "prompt": "Hi"})
    assert (response.status_code, response.headers["Location"]) == (303, f"{at(deployment)}#prompt")
    assert "Asking prod-weu" in text(client, at(deployment))
    check = Check.objects.get(kind="workspaces.prompt")
    assert check.request == {"prompt": "Hi"}
    answer = {"answer": "<script>alert(1)</script>"}
    Check.objects.filter(pk=check.pk).update(
        state="done", result=answer, finished_at=timezone.now()
    )
    html = text(client, at(deployment))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    headers = {"HX-Request": "true", "HX-Target": "prompt"}
    assert client.get(at(deployment), headers=headers).status_code == 286


def test_a_failed_prompt_says_why(
    people: People,
    fleet: dict[str, Cluster],
    make_deployment: MakeDeployment,
    client_for: ClientFor,
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    Check.objects.create(
        kind="workspaces.prompt",
        subject_id=str(deployment.pk),
        cluster=fleet["prod-weu"],
        team=people.assist,
        requested_by=people.engineer,
        state="failed",
        result={"error": "timeout.", "remedy": ""},
        finished_at=timezone.now(),
    )
    assert "prod-weu did not answer: timeout." in text(client_for(people.engineer), at(deployment))


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"prompt": " "}, "must have 1 to 4,000 characters"),
        ({"prompt": "x" * 4001}, "must have 1 to 4,000 characters"),
        ({"prompt": "hi", "cluster": "stg-weu"}, "cluster"),
    ],
)
def test_a_prompt_that_cannot_be_sent_leads_back_with_the_reason(
    people: People,
    make_deployment: MakeDeployment,
    client_for: ClientFor,
    sent: dict[str, str],
    why: str,
) -> None:
    client = client_for(people.engineer)
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    response = client.post(f"{at(deployment)}prompt/", sent)
    assert (response.status_code, response.headers["Location"]) == (303, at(deployment))
    flash = text(client, at(deployment)).partition('class="flash')[2]
    assert why in flash[:400]
    assert not Check.objects.exists()


def test_nothing_is_asked_where_nothing_serves_or_the_role_is_missing(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "getting_nodes"})
    path = f"{at(deployment)}prompt/"
    client = client_for(people.engineer)
    assert client.post(path, {"prompt": "hi"}).status_code == 303
    assert (
        "Nothing of this deployment serves yet."
        in text(client, at(deployment)).partition('class="flash')[2][:400]
    )
    assert not Check.objects.exists()
    assert client_for(people.viewer).post(path, {"prompt": "hi"}).status_code == 403
    assert client_for(people.engineer).get(path).status_code == 405


def test_a_retired_deployment_stops_polling(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "retired"})
    Deployment.objects.filter(pk=deployment.pk).update(state="retired")
    headers = {"HX-Request": "true", "HX-Target": "deployment"}
    response = client_for(people.engineer).get(at(deployment), headers=headers)
    assert response.status_code == 286
    assert "Nothing of it is left on any cluster." in response.content.decode()


def test_a_new_revision_is_planned_with_the_specs_of_the_last(
    people: People, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    client = client_for(people.engineer)
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    html = text(client, at(deployment))
    assert "name=chat&amp;replicas=1&amp;max_model_len=2048" in html
    rail = text(client, "/catalog/microsoft--phi-4-mini-instruct/?team=assist&name=chat")
    assert "this plans its next revision" in rail


def test_the_chain_leads_back_to_the_plan(
    people: People, make_plan: MakePlan, make_deployment: MakeDeployment, client_for: ClientFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    plan = make_plan()
    type(plan).objects.filter(pk=plan.pk).update(state="used", deployment=deployment)
    assert f"/plans/{plan.pk}/" in text(client_for(people.engineer), at(deployment))
