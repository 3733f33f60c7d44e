"""The pages of rollouts: starting one, watching it, and acting on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from rollouts.models import Approval, Rollout, Target
from rollouts.services.step import rollout_advance
from tests.conftest import CountQueries
from tests.engine.placement_world import story
from tests.factories import make_plan, make_ready, make_rollout, make_served, make_waiting, put
from tests.support import People
from tests.workspaces.fleet_rows import make_cluster

pytestmark = pytest.mark.usefixtures("fleet")
HTMX = {"hx-request": "true"}


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(client: Client, url: str, **headers: str) -> str:
    answer = client.get(url, headers=headers or None)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def page_of(rollout: Rollout) -> str:
    return reverse("rollout", args=[rollout.pk])


def act(rollout: Rollout, key: str) -> str:
    return reverse("rollout_act", args=[rollout.pk, key])


def test_a_plan_is_started_and_its_rollout_shown(people: People) -> None:
    plan = make_plan(people.engineer, people.assist)
    client = signed_in(people.engineer)
    body = {"plan": str(plan.pk), "digest": plan.digest}
    answer = client.post(reverse("rollout_start"), body)
    assert answer.headers["Location"] == page_of(Rollout.objects.get())


def test_a_plan_that_broke_is_shown_again_with_the_reason(people: People) -> None:
    plan = make_plan(people.engineer, people.assist)
    put([plan], expires_at=timezone.now() - timedelta(seconds=1))
    client = signed_in(people.engineer)
    body = {"plan": str(plan.pk), "digest": plan.digest}
    answer = client.post(reverse("rollout_start"), body)
    assert answer.headers["Location"] == reverse("plan", args=[plan.pk])
    words = text(client, answer.headers["Location"])
    assert "Fifteen minutes are over. Plan again to see what changed." in words
    assert ">Plan again<" in words


@pytest.mark.parametrize("sent", ["", "x", "00000000-0000-0000-0000-000000000000"])
def test_a_plan_that_does_not_exist_is_not_found(people: People, sent: str) -> None:
    answer = signed_in(people.engineer).post(reverse("rollout_start"), {"plan": sent})
    assert answer.status_code == 404


def test_a_fresh_rollout_says_which_stage_comes_after_which(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    shown = text(signed_in(people.engineer), page_of(rollout))
    for words in ("After test", "After staging", "phi r1", "Pause…", "Abort…"):
        assert words in shown
    assert "Roll back…" not in shown


def test_the_requester_reads_that_someone_else_decides(people: People) -> None:
    rollout = make_waiting(people.engineer, people.assist).rollout
    shown = text(signed_in(people.engineer), page_of(rollout))
    assert "Waiting for approval. You asked for this, so someone else decides." in shown
    assert "An approver ends this. The request expires" in shown
    assert "Review and decide" not in shown


def test_the_approver_gets_the_one_link_to_decide_and_no_controls(people: People) -> None:
    approval = make_waiting(people.engineer, people.assist)
    shown = text(signed_in(people.approver), page_of(approval.rollout))
    assert reverse("approval", args=[approval.pk]) in shown
    assert "Review and decide" in shown
    assert "Abort…" not in shown


def test_a_starting_cluster_marks_the_running_phase(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    target = rollout.targets.select_related("new").get(stage__name="test")
    put([target], state="starting", applied=True, mutated=True)
    phases = {"getting_nodes": "2026-01-01T00:00:00Z", "pulling_image": "2026-01-01T00:00:01Z"}
    put([target.new], state="pulling_image", phases=phases)
    shown = text(signed_in(people.engineer), page_of(rollout))
    assert '<li class="now" aria-current="step">image</li>' in shown
    assert "Roll back: takes it away, nothing ran here before" in shown


def test_a_soak_counts_down_and_the_demo_says_that_it_is_one(people: People, settings: Any) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    stage = rollout.stages.get(name="test")
    put([stage], state="soaking", soak_started_at=timezone.now())
    until = (timezone.now() + timedelta(seconds=40)).isoformat()
    said = {"kind": "soak", "text": "test soaks.", "who": "time", "until": until}
    put([rollout], state="waiting", waiting_for=said)
    client = signed_in(people.engineer)
    assert "Soak of 5 min ends" in text(client, page_of(rollout))
    settings.DEMO = True
    shown = text(client, page_of(rollout))
    assert "Demo soak of 5 min ends" in shown
    assert shown.count("data-deadline") == 2  # in the stage and in the sentence


def test_a_failed_cluster_says_why_and_offers_a_retry(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    target = rollout.targets.get(stage__name="test")
    put([target], state="failed", problem_kind="refused", message="No room.", attempt=2)
    put([rollout], state="failed")
    shown = text(signed_in(people.engineer), page_of(rollout))
    for words in ("No room.", "Attempt 2", "Retry…"):
        assert words in shown
    assert "Pause…" not in shown


def test_beyond_twelve_clusters_only_counts_and_exceptions_are_shown(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    stage = rollout.stages.get(name="test")
    for number in range(20):
        facts = replace(story()[0], name=f"more-{number}", uid=f"uid-{number}")
        state = "failed" if number == 7 else "succeeded"
        Target.objects.create(
            rollout=rollout, stage=stage, cluster=make_cluster(facts), slots=1, state=state
        )
    shown = text(signed_in(people.engineer), page_of(rollout))
    assert "1 queued, 19 succeeded, 1 failed" in shown
    assert "more-7<" in shown
    assert "more-8<" not in shown


def test_a_success_opens_the_deployment_and_stops_the_polling(people: People) -> None:
    deployment = make_served(people.engineer, people.assist)
    rollout = deployment.rollouts.get()
    client = signed_in(people.engineer)
    shown = text(client, page_of(rollout))
    assert "Succeeded: running on 3 clusters" in shown
    assert "Open deployment" in shown
    assert "data-live" not in shown
    part = client.get(page_of(rollout), headers=HTMX)
    assert part.status_code == 286
    assert b"<html" not in part.content


def test_a_live_rollout_answers_htmx_with_the_part_that_changes(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    part = signed_in(people.engineer).get(page_of(rollout), headers=HTMX)
    assert part.status_code == 200
    assert part.content.strip().startswith(b'<div id="rollout"')


def test_history_tells_who_did_what(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    client = signed_in(people.engineer)
    client.post(act(rollout, "pause"), {"comment": "Coffee first."})
    shown = text(client, f"{page_of(rollout)}?tab=history")
    assert "rollout of phi r1: paused" in shown
    assert "Coffee first." in shown


@pytest.mark.parametrize("key", ["pause", "abort", "rollback", "retire"])
def test_what_stops_or_undoes_needs_a_reason(people: People, key: str) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    client = signed_in(people.engineer)
    asked = client.post(act(rollout, key), {"comment": "  "})
    assert asked.status_code == 422
    assert "Say why, for those who read the history." in asked.content.decode()
    before = Rollout.objects.get(pk=rollout.pk)
    assert not any((before.pause, before.abort, before.rollback, before.retire_now))
    done = client.post(act(rollout, key), {"comment": "as agreed"})
    assert (done.status_code, done.headers["Location"]) == (303, page_of(rollout))


def test_a_roll_back_names_what_happens_to_each_cluster(people: People) -> None:
    make_served(people.engineer, people.assist)
    rollout = make_rollout(people.engineer, people.assist)
    first = rollout.targets.select_related("new", "old").get(stage__name="test")
    make_ready([first])
    shown = text(signed_in(people.operator), act(rollout, "rollback"))
    assert "goes back to the old revision" in shown
    assert "is left as it is" in shown
    assert "Promotion is held afterwards" in shown


def test_an_abort_names_what_stays_and_what_goes(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    make_ready(rollout.targets.select_related("new").filter(stage__name="test"))
    put(rollout.targets.filter(stage__name="staging"), state="starting", mutated=True)
    shown = text(signed_in(people.engineer), act(rollout, "abort"))
    assert "goes on serving the new revision" in shown
    assert "keeps what served before; the new one is taken away" in shown
    assert "is left as it is" in shown


def test_a_retry_with_nothing_failed_says_so_on_the_same_page(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    answer = signed_in(people.engineer).post(act(rollout, "retry"), {"comment": "again"})
    assert answer.status_code == 409
    words = answer.content.decode()
    assert "Nothing of this rollout has failed." in words
    assert ">again</textarea>" in words


def test_an_expired_request_is_asked_for_again(people: People) -> None:
    approval = make_waiting(people.engineer, people.assist)
    put([approval], expires_at=timezone.now() - timedelta(seconds=1))
    rollout_advance(str(approval.rollout_id))
    client, url = signed_in(people.engineer), page_of(approval.rollout)
    shown = text(client, url)
    assert "The approval of stage production is expired. Ask for it again." in shown
    assert "Ask again…" in shown
    assert client.post(act(approval.rollout, "ask"), {}).status_code == 303
    newest = Approval.objects.exclude(pk=approval.pk).get()
    assert (newest.state, newest.requester, newest.digest) == (
        "waiting",
        people.engineer,
        approval.digest,
    )
    again = client.post(act(approval.rollout, "ask"), {})
    assert again.status_code == 409


def test_a_rejected_rollout_says_by_whom_and_in_which_words(people: People) -> None:
    approval = make_waiting(people.engineer, people.assist)
    body = {"digest": approval.digest, "comment": "Too slow."}
    signed_in(people.approver).post(reverse("approval_reject", args=[approval.pk]), body)
    put([approval], state="rejected")
    put([approval.rollout], state="rejected", ended_at=timezone.now())
    shown = text(signed_in(people.engineer), page_of(approval.rollout))
    assert "\u201cToo slow.\u201d" in shown
    assert "Rejected by approver" in shown


def test_a_rollback_that_ended_says_who_asked_for_it_and_that_promotion_is_held(
    people: People,
) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    client = signed_in(people.operator)
    client.post(act(rollout, "rollback"), {"comment": "Out of memory."})
    put([rollout], state="rolled_back", ended_at=timezone.now())
    put([rollout.deployment], held=True, held_reason="Rolled back.")
    shown = text(client, page_of(rollout))
    assert "Asked for by operator: Out of memory." in shown
    assert "Promotion is held until somebody starts another rollout." in shown


def test_unknown_actions_and_foreign_rollouts_are_not_found(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    assert signed_in(people.engineer).get(act(rollout, "explode")).status_code == 404
    for url in (page_of(rollout), act(rollout, "abort")):
        assert signed_in(people.outsider).get(url).status_code == 404


def test_people_without_the_role_cannot_control(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    answer = signed_in(people.viewer).post(act(rollout, "abort"), {"comment": "no"})
    assert answer.status_code == 403
    assert not Rollout.objects.get(pk=rollout.pk).abort


def test_the_list_says_what_each_waits_for_and_puts_those_for_a_person_first(
    people: People,
) -> None:
    make_waiting(people.engineer, people.assist, name="asks")
    make_rollout(people.engineer, people.assist, name="newer")
    shown = text(signed_in(people.approver), "/rollouts/")
    assert "Waiting for approval before stage production may start." in shown
    assert "Waiting: approval" in shown
    assert shown.index(">asks<") < shown.index(">newer<")
    assert "Review and decide" in shown
    assert "Review and decide" not in text(signed_in(people.engineer), "/rollouts/")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"asks", "runs", "done"}),
        ("state=active", {"asks", "runs"}),
        ("state=person", {"asks"}),
        ("state=ended", {"done"}),
        ("state=succeeded", {"done"}),
        ("team=risk", set()),
        ("q=UN", {"runs"}),
    ],
)
def test_the_list_is_filtered_on_the_server(people: People, query: str, found: set[str]) -> None:
    make_served(people.engineer, people.assist, name="done", **TWO)
    make_waiting(people.engineer, people.assist, name="asks", **TWO)
    make_rollout(people.engineer, people.assist, name="runs", **TWO)
    shown = text(signed_in(people.auditor), f"/rollouts/?{query}")
    assert {name for name in ("asks", "runs", "done") if f">{name}<" in shown} == found


TWO: dict[str, Any] = {
    "policy": {"placement_type": "PickN", "number_of_clusters": 2},
    "replicas": 2,
}


def test_the_list_asks_the_database_the_same_number_of_times_whatever_its_length(
    people: People, count_queries: CountQueries
) -> None:
    counts = []
    client = signed_in(people.approver)
    for name in ("one", "two"):
        make_waiting(people.engineer, people.assist, name=name)
        with count_queries() as queries:
            text(client, "/rollouts/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_deployment_is_deleted_by_typing_its_name(people: People) -> None:
    deployment = make_served(people.engineer, people.assist)
    client, url = signed_in(people.engineer), reverse("deployment_delete", args=[deployment.pk])
    shown = text(client, url)
    assert "Type phi to go on" in shown
    assert "serves now, then goes" in shown
    wrong = client.post(url, {"confirm": "fi"})
    assert wrong.status_code == 422
    assert "Type phi." in wrong.content.decode()
    assert client.post(url, {"confirm": "phi"}).status_code == 303
    deployment.refresh_from_db()
    assert deployment.state == "retiring"


def test_a_deployment_that_rolls_is_not_deleted_and_the_page_says_why(people: People) -> None:
    deployment = make_rollout(people.engineer, people.assist).deployment
    url = reverse("deployment_delete", args=[deployment.pk])
    answer = signed_in(people.engineer).post(url, {"confirm": "phi"})
    assert answer.status_code == 409
    assert "A rollout of it is active. Abort the rollout first." in answer.content.decode()
    assert signed_in(people.viewer).get(url).status_code == 403
    assert signed_in(people.outsider).get(url).status_code == 404
