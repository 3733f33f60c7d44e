"""The inbox and the decision page: who may decide, on what evidence, and what a decision does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.models import Check
from rollouts.models import Approval, Vote
from rollouts.selectors import approvals_to_decide
from tests.conftest import CountQueries
from tests.factories import make_served, make_waiting, put
from tests.rollouts.worker import preflights_find
from tests.support import People, make_user

pytestmark = pytest.mark.usefixtures("fleet")
HTMX = {"hx-request": "true"}
SOMEONE_ELSE = "You asked for this, so someone else decides."


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def at(approval: Approval, name: str = "approval") -> str:
    return reverse(name, args=[approval.pk])


@pytest.fixture
def approval(people: People) -> Approval:
    return make_waiting(people.engineer, people.assist)


def test_the_inbox_says_first_whether_one_can_decide(people: People, approval: Approval) -> None:
    mine = text(signed_in(people.approver), "/approvals/")
    assert mine.index("Yours to decide</span>") < mine.index("Production of phi")
    assert f"No. {SOMEONE_ELSE}" in text(signed_in(people.engineer), "/approvals/")
    role = "No. Deciding this needs the role approver."
    assert role in text(signed_in(people.viewer), "/approvals/")


def test_no_row_of_the_inbox_approves(people: People, approval: Approval) -> None:
    shown = text(signed_in(people.approver), "/approvals/")
    assert at(approval, "approval_approve") not in shown
    assert "Review and decide" in shown


def test_the_inbox_shows_the_preflight_as_a_chip(people: People, approval: Approval) -> None:
    client = signed_in(people.approver)
    assert "Not checked" in text(client, "/approvals/")
    with preflights_find("prod-weu is unreachable."):
        client.post(at(approval, "approval_check"))
    shown = text(client, "/approvals/")
    assert "0 of 1 can take it" in shown
    assert "prod-weu is unreachable." in shown


def test_the_inbox_has_a_tab_for_ones_own_and_for_what_was_decided(
    people: People, approval: Approval
) -> None:
    mine = "/approvals/?show=mine"
    assert "Production of phi" in text(signed_in(people.approver), mine)
    assert "Nothing waits for you." in text(signed_in(people.engineer), mine)
    decided = "/approvals/?show=decided"
    assert "Nothing has been decided yet." in text(signed_in(people.approver), decided)
    put([approval], state="rejected", decided_at=timezone.now())
    assert "Rejected" in text(signed_in(people.approver), decided)
    assert "No approval is waiting." in text(signed_in(people.approver), "/approvals/")


def test_the_inbox_asks_the_database_the_same_number_of_times_whatever_its_length(
    people: People, count_queries: CountQueries
) -> None:
    counts = []
    client = signed_in(people.approver)
    for name in ("one", "two"):
        make_waiting(people.engineer, people.assist, name=name)
        with count_queries() as queries:
            text(client, "/approvals/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_count_beside_approvals_is_of_those_one_may_decide(
    people: People, approval: Approval, principal: Any
) -> None:
    assert approvals_to_decide(principal(people.approver)) == 1
    for user in (people.engineer, people.viewer, people.operator):
        assert approvals_to_decide(principal(user)) == 0
    put([approval], expires_at=timezone.now() - timedelta(seconds=1))
    assert approvals_to_decide(principal(people.approver)) == 0


def test_the_decision_page_shows_cost_benchmarks_and_the_first_spec(
    people: People, approval: Approval
) -> None:
    shown = text(signed_in(people.approver), at(approval))
    for words in ("+$3.67/h", "test-use1", "stg-weu", "2,048 tokens", "the first revision"):
        assert words in shown
    assert "Approve production…" in shown


def test_a_new_revision_shows_what_changed_and_how_the_benchmark_moved(people: People) -> None:
    make_served(people.engineer, people.assist)
    second = make_waiting(people.engineer, people.assist, max_model_len=4096)
    target = second.rollout.targets.select_related("new").get(stage__name="test")
    put([target.new], benchmark={"peak_tokens_per_minute": 690.0})
    shown = text(signed_in(people.approver), at(second))
    assert "2,048 tokens" in shown
    assert "4,096 tokens" in shown
    assert "-31 %" in shown
    assert "no change in $/h" in shown  # the old ones go when the stage has passed


def test_who_cannot_decide_sees_a_blocked_button_with_the_reason(
    people: People, approval: Approval
) -> None:
    shown = text(signed_in(people.engineer), at(approval))
    assert 'aria-disabled="true"' in shown
    assert SOMEONE_ELSE in shown
    assert at(approval, "approval_approve") not in shown
    expired = "This approval has expired. Ask for it again."
    put([approval], expires_at=timezone.now() - timedelta(seconds=1))
    assert expired in text(signed_in(people.approver), at(approval))


def test_a_decided_request_has_no_decision_bar(people: People, approval: Approval) -> None:
    put([approval], state="withdrawn", decided_at=timezone.now())
    shown = text(signed_in(people.approver), at(approval))
    assert 'class="decision"' not in shown
    assert "Withdrawn" in shown


def test_a_preflight_is_pending_until_a_worker_has_answered(
    people: People, approval: Approval
) -> None:
    client = signed_in(people.approver)
    part = client.post(at(approval, "approval_check"), headers=HTMX)
    assert part.status_code == 200
    assert b"asking the clusters" in part.content
    assert b"data-live" in part.content
    result = {"targets": [{"cluster": "prod-weu", "why": ""}], "ready": 1, "of": 1}
    put(Check.objects.all(), state="done", result=result, finished_at=timezone.now())
    part = client.get(at(approval), headers=HTMX)
    assert part.status_code == 286
    assert b"1 of 1 target can take it now." in part.content


def test_a_plain_form_asks_for_a_preflight_too(people: People, approval: Approval) -> None:
    with preflights_find():
        answer = signed_in(people.engineer).post(at(approval, "approval_check"))
    assert answer.headers["Location"] == f"{at(approval)}#preflight"


def test_a_viewer_asks_no_cluster_anything(people: People, approval: Approval) -> None:
    answer = signed_in(people.viewer).post(at(approval, "approval_check"))
    assert answer.status_code == 403
    assert not Check.objects.exists()


def test_opening_the_page_to_decide_has_the_preflight_asked_again(
    people: People, approval: Approval
) -> None:
    asks = f'hx-post="{at(approval, "approval_check")}" hx-trigger="load"'
    assert asks in text(signed_in(people.approver), at(approval))
    assert asks not in text(signed_in(people.engineer), at(approval))
    with preflights_find():
        signed_in(people.approver).post(at(approval, "approval_check"))
    assert asks not in text(signed_in(people.approver), at(approval))


def test_an_approval_goes_back_to_the_rollout_and_says_by_whom(
    people: People, approval: Approval
) -> None:
    client = signed_in(people.approver)
    asked = text(client, at(approval, "approval_approve"))
    assert approval.digest[:12] in asked
    with preflights_find():
        body = {"digest": approval.digest, "comment": "Looks good."}
        answer = client.post(at(approval, "approval_approve"), body)
    url = reverse("rollout", args=[approval.rollout_id])
    assert (answer.status_code, answer.headers["Location"]) == (303, url)
    shown = text(client, url)
    assert shown.count("Approved by approver") == 2  # once as a notice, once at its gate
    assert f'data-forget="{at(approval, "approval_approve")}"' in shown


def test_a_red_preflight_keeps_the_comment_and_says_why(people: People, approval: Approval) -> None:
    body = {"digest": approval.digest, "comment": "Looks good."}
    with preflights_find("prod-weu is unreachable."):
        answer = signed_in(people.approver).post(at(approval, "approval_approve"), body)
    assert answer.status_code == 409
    words = answer.content.decode()
    assert "The pre-flight is red: prod-weu is unreachable." in words
    assert ">Looks good.</textarea>" in words
    assert not Vote.objects.exists()


def test_another_digest_keeps_the_comment_and_is_not_swapped_silently(
    people: People, approval: Approval
) -> None:
    body = {"digest": "what-I-saw", "comment": "Looks good."}
    answer = signed_in(people.approver).post(at(approval, "approval_approve"), body)
    assert answer.status_code == 409
    words = answer.content.decode()
    assert "The plan changed since you looked at it." in words
    assert ">Looks good.</textarea>" in words
    assert 'value="what-I-saw"' in words


def test_what_was_withdrawn_meanwhile_keeps_the_comment_and_offers_no_decision(
    people: People, approval: Approval
) -> None:
    put([approval], state="withdrawn")
    body = {"digest": approval.digest, "comment": "Looks good."}
    answer = signed_in(people.approver).post(at(approval, "approval_approve"), body)
    words = answer.content.decode()
    assert answer.status_code == 409
    assert "This approval is withdrawn." in words
    assert ">Looks good.</textarea>" in words
    assert ">Approve</button>" not in words
    assert "as soon as enough have approved" not in words


def test_a_rejection_needs_a_reason_and_ends_with_who_gave_it(
    people: People, approval: Approval
) -> None:
    client, url = signed_in(people.approver), at(approval, "approval_reject")
    assert "quarantined" in text(client, url)
    empty = client.post(url, {"digest": approval.digest})
    assert empty.status_code == 422
    assert "Say why you reject it." in empty.content.decode()
    assert client.post(url, {"digest": approval.digest, "comment": "Slow."}).status_code == 303
    assert "Slow." in text(client, at(approval))


def test_the_requester_is_refused_even_with_the_role(people: People) -> None:
    both = make_user("both", engineer=people.assist)
    both.memberships.create(team=people.assist, role="approver")
    approval = make_waiting(both, people.assist)
    body = {"digest": approval.digest, "comment": "Mine."}
    answer = signed_in(both).post(at(approval, "approval_approve"), body)
    assert answer.status_code == 403
    assert SOMEONE_ELSE in answer.content.decode()
    assert not Vote.objects.exists()


def test_other_teams_find_no_approval(people: People, approval: Approval) -> None:
    client = signed_in(people.outsider)
    for name in ("approval", "approval_approve"):
        assert client.get(at(approval, name)).status_code in (403, 404)
    assert "Production of phi" not in text(client, "/approvals/")


def test_a_session_that_ended_sends_to_the_login(approval: Approval) -> None:
    answer = Client().post(at(approval, "approval_approve"), {"comment": "kept by the browser"})
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/login/")
