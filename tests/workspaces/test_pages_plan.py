"""The plan page: the sentence, every verdict, what changed, what would be applied."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from clusters.models import Check, Cluster
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from tests.support import People
from tests.workspaces.conftest import MakeDeployment, MakePlan
from workspaces.models import CatalogModel, Plan
from workspaces.selectors import plans as selectors
from workspaces.services import plans
from workspaces.services.questions import dry_run_send
from workspaces.states import PLAN

ClientFor = Callable[[User], Client]


def page(client: Client, plan: Plan, status: int = 200) -> str:
    response = client.get(f"/plans/{plan.pk}/")
    assert response.status_code == status
    return response.content.decode()


def test_the_sentence_the_price_and_the_reasons_are_in_the_rows(
    people: People, make_plan: MakePlan, client_for: ClientFor
) -> None:
    html = page(client_for(people.engineer), make_plan())
    assert "3 replicas: test-use1, stg-weu, prod-weu. 3 spare, 3 rejected. $8.15/h." in html
    assert "19 GPUs free, 0 whole nodes free (needs 1). KAITO takes all 8 GPUs of a node." in html
    assert "Fits, $3.20/h against $0.80/h." in html
    assert html.count('<details class="verdict ') == 9
    assert "data-deadline" in html


def test_clusters_that_share_a_rank_are_not_all_called_the_first(make_plan: MakePlan) -> None:
    found = {v.cluster: v.reason for v in selectors.verdicts_of(make_plan(replicas=6))}
    assert "All 2 that fit in test are taken." in found["test-use1"]
    assert "All 2 that fit in test are taken." in found["test-weu"]
    one = {v.cluster: v.reason for v in selectors.verdicts_of(make_plan("other"))}
    assert "First of 2 that fit in test." in one["test-use1"]


def test_when_it_will_be_ready_says_which_starts_it_goes_by(
    people: People, make_plan: MakePlan, make_deployment: MakeDeployment
) -> None:
    plan = make_plan()
    found = selectors.verdicts_of(plan)
    assert selectors.ready_words(plan, found) == ""
    now = timezone.now()
    begun = (now - timedelta(seconds=40)).isoformat()
    phases = {"getting_nodes": begun, "ready": now.isoformat()}
    deployment = make_deployment("chat", {"prod-weu": "ready"}, phases=phases)
    words = "Ready in about 2 min plus soaks and approval"
    assert selectors.ready_words(plan, found) == f"{words}."
    other = CatalogModel.objects.exclude(pk=plan.model_id).first()
    deployment.revisions.update(model=other)
    assert selectors.ready_words(plan, found) == f"{words}, going by starts of other models."


def test_the_selected_come_first_in_the_order_of_stages(make_plan: MakePlan) -> None:
    verdicts = selectors.verdicts_of(make_plan())
    assert [v.cluster for v in verdicts[:3]] == ["test-use1", "stg-weu", "prod-weu"]
    assert [v.verdict for v in verdicts] == ["selected"] * 3 + ["spare"] * 3 + ["rejected"] * 3


def test_the_bars_of_a_plan_end_at_the_printed_totals(make_plan: MakePlan) -> None:
    for verdict in selectors.verdicts_of(make_plan()):
        if verdict.total is not None:
            assert sum(term.points for term in verdict.scores) == pytest.approx(verdict.total)


def test_the_manifests_of_each_chosen_cluster_are_there_as_yaml(make_plan: MakePlan) -> None:
    found = dict(selectors.manifests_of(make_plan()))
    assert sorted(found) == ["prod-weu", "stg-weu", "test-use1"]
    assert "kind: InferenceSet" in found["prod-weu"]
    assert "instanceType: Standard_NC24ads_A100_v4" in found["prod-weu"]
    assert "instanceType" not in found["test-use1"]


def test_the_verdict_table_stands_in_no_live_part(
    people: People, make_plan: MakePlan, client_for: ClientFor
) -> None:
    client, plan = client_for(people.engineer), make_plan()
    answer = client.get(
        f"/plans/{plan.pk}/", headers={"HX-Request": "true", "HX-Target": "plan-bar"}
    )
    assert answer.status_code == 200
    assert 'class="verdicts"' not in answer.content.decode()


def test_a_computing_plan_polls_and_then_opens_as_a_whole(
    people: People, make_plan: MakePlan, client_for: ClientFor
) -> None:
    client, plan = client_for(people.engineer), make_plan()
    Plan.objects.filter(pk=plan.pk).update(state="computing", verdicts_packed=b"", manifests={})
    html = page(client, plan)
    assert "was=computing" in html
    assert "skeleton" in html
    headers = {"HX-Request": "true", "HX-Target": "plan-bar"}
    assert client.get(f"/plans/{plan.pk}/?was=computing", headers=headers).status_code == 200
    Plan.objects.filter(pk=plan.pk).update(state="ready")
    done = client.get(f"/plans/{plan.pk}/?was=computing", headers=headers)
    assert (done.status_code, done.headers["HX-Redirect"]) == (204, f"/plans/{plan.pk}/")


def test_an_expired_plan_stops_polling_and_cannot_be_started(
    people: People, make_plan: MakePlan, client_for: ClientFor
) -> None:
    client, plan = client_for(people.engineer), make_plan()
    plans.plan_expire(plan, "Fifteen minutes are over.")
    html = page(client, plan)
    assert "Fifteen minutes are over." in html
    assert "Start rollout" not in html
    headers = {"HX-Request": "true", "HX-Target": "plan-bar"}
    assert client.get(f"/plans/{plan.pk}/", headers=headers).status_code == 286


def test_plan_again_shows_what_changed(
    people: People, fleet: dict[str, Cluster], make_plan: MakePlan, client_for: ClientFor
) -> None:
    client, plan = client_for(people.engineer), make_plan()
    Cluster.objects.filter(name="prod-weu").update(cordoned=True, cordon_reason="upgrade")
    response = client.post(f"/plans/{plan.pk}/again/")
    newer = Plan.objects.exclude(pk=plan.pk).get()
    assert (response.status_code, response.headers["Location"]) == (303, f"/plans/{newer.pk}/")
    html = page(client, newer)
    assert "What changed" in html
    assert ("prod-weu", "selected, 1 replica", "rejected: Cordoned: upgrade.") in (
        selectors.changes(Plan.objects.get(pk=newer.pk))
    )


def test_a_plan_of_the_same_says_that_nothing_changed(
    people: People, make_plan: MakePlan, client_for: ClientFor
) -> None:
    again = plans.plan_again(principal=Principal(people.engineer), plan=make_plan())
    assert "Nothing: the same clusters" in page(client_for(people.engineer), again)


def test_a_blocked_plan_says_why_and_offers_to_change_it(
    people: People, make_plan: MakePlan, client_for: ClientFor
) -> None:
    plan = make_plan(replicas=900)
    assert plan.state == "blocked"
    html = page(client_for(people.engineer), plan)
    assert "Cannot be placed" in html
    assert "Start rollout" not in html
    assert f"replicas={900}" in html


def test_a_dry_run_is_asked_once_and_its_lines_are_shown(
    people: People, make_plan: MakePlan, client_for: ClientFor
) -> None:
    client, plan = client_for(people.engineer), make_plan()
    first = client.post(f"/plans/{plan.pk}/dry-run/")
    assert (first.status_code, first.headers["Location"]) == (303, f"/plans/{plan.pk}/#dry-run")
    assert "Asking the clusters" in page(client, plan)
    dry_run_send(principal=Principal(people.engineer), plan=plan, seconds=0)
    check = Check.objects.get(kind="workspaces.dry_run", subject_id=str(plan.pk))
    line = {"kind": "Secret", "name": "hf", "verdict": "partly verified", "why": "No value yet."}
    Check.objects.filter(pk=check.pk).update(
        state="done", finished_at=timezone.now(), result={"clusters": {"prod-weu": [line]}}
    )
    html = page(client, plan)
    assert "partly verified" in html
    assert "No value yet." in html


def test_a_viewer_reads_a_plan_but_cannot_repeat_try_or_start_it(
    people: People, make_plan: MakePlan, client_for: ClientFor
) -> None:
    client, plan = client_for(people.viewer), make_plan()
    assert "Starting needs the role engineer" in page(client, plan)
    assert client.post(f"/plans/{plan.pk}/again/").status_code == 403
    assert client.post(f"/plans/{plan.pk}/dry-run/").status_code == 403


def test_a_foreign_plan_looks_missing(
    people: People, make_plan: MakePlan, client_for: ClientFor
) -> None:
    client, plan = client_for(people.outsider), make_plan()
    page(client, plan, 404)
    assert client.post(f"/plans/{plan.pk}/again/").status_code == 404
    assert client.get("/plans/00000000-0000-0000-0000-000000000000/").status_code == 404


def test_other_methods_are_refused(
    people: People, make_plan: MakePlan, client_for: ClientFor
) -> None:
    client, plan = client_for(people.engineer), make_plan()
    assert client.post(f"/plans/{plan.pk}/").status_code == 405
    assert client.get(f"/plans/{plan.pk}/again/").status_code == 405


def test_every_state_of_a_plan_has_a_page(
    people: People, make_plan: MakePlan, client_for: ClientFor
) -> None:
    client, plan = client_for(people.auditor), make_plan()
    for state in PLAN.states:
        Plan.objects.filter(pk=plan.pk).update(state=state)
        assert PLAN.states[state].label in page(client, plan)
