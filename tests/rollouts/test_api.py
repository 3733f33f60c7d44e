"""The REST endpoints of rollouts: what a script or another system reads and does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from clusters.models import Check
from fleetportal.journal.models import Event
from rollouts.models import Approval, Rollout
from tests.conftest import ApiFor, CountQueries
from tests.factories import make_plan, make_rollout, make_served, make_waiting, put
from tests.rollouts.worker import preflights_find
from tests.support import People
from workspaces.models import Deployment

pytestmark = pytest.mark.usefixtures("fleet")

V1 = "/api/v1"


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"]


def test_the_shipped_strategies_are_read(people: People, api: ApiFor) -> None:
    make_plan(people.engineer, people.assist)
    rows = api(people.viewer).get(f"{V1}/strategies/").json()["results"]
    assert [row["id"] for row in rows] == ["all-at-once", "staged"]
    staged = api(people.viewer).get(f"{V1}/strategies/staged/").json()
    assert [stage["name"] for stage in staged["spec"]["stages"]] == [
        "test",
        "staging",
        "production",
    ]


def test_a_plan_becomes_a_deployment_and_its_rollout(people: People, api: ApiFor) -> None:
    plan = make_plan(people.engineer, people.assist)
    client = api(people.engineer)
    answer = client.post(
        f"{V1}/deployments/", {"plan": str(plan.pk), "digest": plan.digest}, "json"
    )
    assert answer.status_code == 201, answer.json()
    body = answer.json()
    assert answer.headers["Location"].endswith(f"/deployments/{body['id']}/")
    assert (body["name"], body["state"]) == ("phi", "active")
    rollout = client.get(f"{V1}/rollouts/{body['rollout']}/").json()
    assert rollout["deployment"] == body["id"]


def test_a_stale_digest_an_old_plan_and_a_foreign_one_are_told_apart(
    people: People, api: ApiFor
) -> None:
    plan = make_plan(people.engineer, people.assist)
    body = {"plan": str(plan.pk), "digest": "another"}
    client = api(people.engineer)
    assert problem(client.post(f"{V1}/deployments/", body, "json")) == (409, "stale-digest")
    foreign = api(people.outsider).post(f"{V1}/deployments/", body, "json")
    assert problem(foreign) == (422, "invalid")
    put([plan], expires_at=timezone.now() - timedelta(seconds=1))
    body["digest"] = plan.digest
    assert problem(client.post(f"{V1}/deployments/", body, "json")) == (409, "plan-expired")
    assert problem(client.post(f"{V1}/deployments/", body, "json")) == (409, "plan-not-ready")


def test_a_second_rollout_of_the_same_deployment_is_refused(people: People, api: ApiFor) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    put(rollout.targets.all(), mutated=True)
    plan = make_plan(people.engineer, people.assist)
    answer = api(people.engineer).post(
        f"{V1}/deployments/", {"plan": str(plan.pk), "digest": plan.digest}, "json"
    )
    assert problem(answer) == (409, "rollout-active")


def test_a_rollout_shows_stages_gates_and_targets_in_the_words_of_the_design(
    people: People, api: ApiFor
) -> None:
    approval = make_waiting(people.engineer, people.assist)
    body = api(people.viewer).get(f"{V1}/rollouts/{approval.rollout_id}/").json()
    assert body["state"] == "waiting"
    assert body["waiting_for"]["kind"] == "approval"
    assert body["digest"] == approval.digest
    stages = {stage["name"]: stage for stage in body["stages"]}
    assert list(stages) == ["test", "staging", "production"]
    assert stages["production"]["gates"][0] == {
        "id": str(approval.gate_id),
        "kind": "approval_before",
        "state": "holding",
        "message": "",
        "verdict": "",
        "verdict_at": None,
        "until": None,
        "approval": str(approval.pk),
    }
    assert [target["state"] for target in stages["test"]["targets"]] == ["succeeded"]
    assert {"cluster", "phase", "state", "message"} <= set(stages["test"]["targets"][0])


def test_a_rollout_that_waits_for_nothing_says_null(people: People, api: ApiFor) -> None:
    make_served(people.engineer, people.assist)
    row = api(people.engineer).get(f"{V1}/rollouts/?state=succeeded").json()["results"][0]
    assert row["waiting_for"] is None


def test_other_teams_see_no_rollout_no_approval_and_no_deployment(
    people: People, api: ApiFor
) -> None:
    approval = make_waiting(people.engineer, people.assist)
    outsider = api(people.outsider)
    for path in ("rollouts", "approvals", "deployments"):
        assert outsider.get(f"{V1}/{path}/").json()["count"] == 0
    for path in (f"rollouts/{approval.rollout_id}", f"approvals/{approval.pk}"):
        assert problem(outsider.get(f"{V1}/{path}/")) == (404, "not-found")
    assert problem(outsider.post(f"{V1}/rollouts/{approval.rollout_id}/abort/")) == (
        404,
        "not-found",
    )


@pytest.mark.parametrize(
    ("action", "field"),
    [
        ("pause", "pause"),
        ("abort", "abort"),
        ("rollback", "rollback"),
        ("retire-old", "retire_now"),
    ],
)
def test_an_action_writes_its_wish_with_the_reason(
    people: People, api: ApiFor, action: str, field: str
) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    answer = api(people.engineer).post(
        f"{V1}/rollouts/{rollout.pk}/{action}/", {"reason": "as asked"}, "json"
    )
    assert answer.status_code == 202
    assert getattr(Rollout.objects.get(pk=rollout.pk), field) is True
    newest = Event.objects.filter(object_type="rollout").first()
    assert newest is not None and newest.reason == "as asked"


def test_a_paused_rollout_is_resumed(people: People, api: ApiFor) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    client = api(people.operator)
    client.post(f"{V1}/rollouts/{rollout.pk}/pause/")
    assert client.post(f"{V1}/rollouts/{rollout.pk}/resume/").json()["pause"] is False


def test_a_retry_takes_only_what_failed(people: People, api: ApiFor) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    client, url = api(people.engineer), f"{V1}/rollouts/{rollout.pk}/retry/"
    assert problem(client.post(url)) == (409, "nothing-to-retry")
    target = rollout.targets.earliest("cluster__name")
    put([target], state="failed")
    assert client.post(url).status_code == 202
    assert list(rollout.targets.filter(retry=True)) == [target]


def test_an_action_on_another_version_is_refused_with_412(people: People, api: ApiFor) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    client, url = api(people.engineer), f"{V1}/rollouts/{rollout.pk}/pause/"
    assert problem(client.post(url, headers={"if-match": '"99"'})) == (412, "version-mismatch")
    assert client.post(url, headers={"if-match": f'"{rollout.version}"'}).status_code == 202


def test_the_same_action_with_the_same_key_happens_once(people: People, api: ApiFor) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    client, url = api(people.engineer), f"{V1}/rollouts/{rollout.pk}/pause/"
    first, again = (client.post(url, headers={"idempotency-key": "one"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert Event.objects.filter(action="rollout.paused").count() == 1


def test_an_ended_rollout_takes_no_action(people: People, api: ApiFor) -> None:
    rollout = make_served(people.engineer, people.assist).rollouts.get()
    answer = api(people.engineer).post(f"{V1}/rollouts/{rollout.pk}/abort/")
    assert problem(answer) == (409, "rollout-ended")


@pytest.mark.parametrize("who", ["viewer", "approver", "auditor"])
def test_those_without_the_role_control_nothing(people: People, api: ApiFor, who: str) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    client = api(getattr(people, who))
    assert problem(client.post(f"{V1}/rollouts/{rollout.pk}/pause/")) == (403, "forbidden")


def test_an_approval_says_who_may_decide_and_why_not(people: People, api: ApiFor) -> None:
    approval = make_waiting(people.engineer, people.assist)
    url = f"{V1}/approvals/{approval.pk}/"
    mine = api(people.approver).get(url).json()
    assert (mine["can_decide"], mine["why_not"]) == (True, "")
    asked = api(people.engineer).get(url).json()
    assert asked["can_decide"] is False
    assert asked["why_not"] == "You asked for this, so someone else decides."
    assert (mine["stage"], mine["state"], mine["quorum"]) == ("production", "waiting", 1)
    assert mine["preflight"]["state"] == "not_checked"


def test_the_evidence_has_the_change_the_cost_and_earlier_measurements(
    people: People, api: ApiFor
) -> None:
    approval = make_waiting(people.engineer, people.assist)
    found = api(people.approver).get(f"{V1}/approvals/{approval.pk}/").json()["evidence"]
    assert found["clusters"] == ["prod-weu"]
    assert found["cost_per_hour"] == pytest.approx(3.67, abs=0.01)
    assert {"field": "replicas", "before": "nothing", "after": "3"} in found["changes"]
    assert [row["peak_tokens_per_minute"] for row in found["benchmarks"]] == [1000.0, 1000.0]


def vote(client: APIClient, approval: Approval, **asked: str) -> Any:
    body = {"decision": "approve", "digest": approval.digest} | asked
    return client.post(f"{V1}/approvals/{approval.pk}/votes/", body, "json")


def test_an_approve_with_a_green_preflight_counts(people: People, api: ApiFor) -> None:
    approval = make_waiting(people.engineer, people.assist)
    with preflights_find():
        body = vote(api(people.approver), approval, comment="fine").json()
    assert [(row["voter"], row["decision"], row["comment"]) for row in body["votes"]] == [
        ("approver", "approve", "fine")
    ]
    assert body["why_not"] == "You have decided this already."


def test_a_red_preflight_stops_an_approve_but_not_a_rejection(people: People, api: ApiFor) -> None:
    approval = make_waiting(people.engineer, people.assist)
    client = api(people.approver)
    with preflights_find("prod-weu is unreachable."):
        assert problem(vote(client, approval)) == (409, "preflight-red")
    assert vote(client, approval, decision="reject", comment="not today").status_code == 201


def test_nobody_answering_the_preflight_is_not_a_yes(people: People, api: ApiFor) -> None:
    approval = make_waiting(people.engineer, people.assist)
    assert problem(vote(api(people.approver), approval)) == (409, "preflight-pending")
    assert not approval.votes.exists()


def test_a_stale_digest_an_expired_and_a_decided_request_have_their_own_types(
    people: People, api: ApiFor
) -> None:
    approval = make_waiting(people.engineer, people.assist)
    client = api(people.approver)
    reject = {"decision": "reject", "comment": "no"}
    assert problem(vote(client, approval, digest="other")) == (409, "stale-digest")
    assert vote(client, approval, **reject).status_code == 201
    assert problem(vote(client, approval, **reject)) == (409, "already-decided")
    put([approval], expires_at=timezone.now() - timedelta(seconds=1))
    assert problem(vote(client, approval, **reject)) == (409, "approval-expired")
    put([approval], state="rejected")
    assert problem(vote(client, approval, **reject)) == (409, "approval-closed")


def test_the_requester_and_people_without_the_role_do_not_vote(people: People, api: ApiFor) -> None:
    approval = make_waiting(people.engineer, people.assist)
    for who in (people.engineer, people.admin, people.viewer):
        assert problem(vote(api(who), approval, decision="reject", comment="no"))[0] == 403
    assert not approval.votes.exists()


def test_a_rejection_needs_a_reason(people: People, api: ApiFor) -> None:
    approval = make_waiting(people.engineer, people.assist)
    answer = vote(api(people.approver), approval, decision="reject")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "comment"


def test_a_preflight_is_asked_for_and_read_again(people: People, api: ApiFor) -> None:
    approval = make_waiting(people.engineer, people.assist)
    url = f"{V1}/approvals/{approval.pk}/"
    answer = api(people.engineer).post(f"{url}preflight/")
    assert (answer.status_code, answer.json()["state"]) == (202, "checking")
    result = {"targets": [{"cluster": "prod-weu", "why": ""}], "ready": 1, "of": 1}
    put(Check.objects.all(), state="done", result=result, finished_at=timezone.now())
    read = api(people.viewer).get(url).json()["preflight"]
    assert (read["state"], read["ready"], read["of"]) == ("green", 1, 1)
    assert problem(api(people.viewer).post(f"{url}preflight/")) == (403, "forbidden")


def test_a_deployment_is_deleted_by_its_name_once_nothing_rolls(
    people: People, api: ApiFor
) -> None:
    deployment = make_served(people.engineer, people.assist)
    client, url = api(people.engineer), f"{V1}/deployments/{deployment.pk}/"
    assert problem(client.delete(url)) == (422, "invalid")
    assert problem(api(people.approver).delete(f"{url}?confirm=phi")) == (403, "forbidden")
    answer = client.delete(f"{url}?confirm=phi")
    assert (answer.status_code, answer.json()["state"]) == (202, "retiring")
    assert Deployment.objects.get(pk=deployment.pk).state == "retiring"


def test_a_deployment_with_an_active_rollout_is_not_deleted(people: People, api: ApiFor) -> None:
    deployment = make_rollout(people.engineer, people.assist).deployment
    answer = api(people.engineer).delete(f"{V1}/deployments/{deployment.pk}/?confirm=phi")
    assert problem(answer) == (409, "rollout-active")


@pytest.mark.parametrize("path", ["rollouts", "approvals"])
def test_lists_ask_the_database_the_same_number_of_times_whatever_their_length(
    people: People, api: ApiFor, count_queries: CountQueries, path: str
) -> None:
    counts = []
    client = api(people.approver)
    for name in ("one", "two"):
        make_waiting(people.engineer, people.assist, name=name)
        with count_queries() as queries:
            body = client.get(f"{V1}/{path}/").json()
        counts.append((body["count"], len(queries)))
    assert [count for count, _ in counts] == [1, 2]
    assert counts[0][1] == counts[1][1]
