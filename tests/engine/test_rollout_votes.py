"""Who may decide, and what votes add up to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rollouts.engine.types import ApprovalState, ApprovalView, Decision, VoteView
from rollouts.engine.votes import PrincipalFacts, can_decide, tally
from tests.engine.rollout_world import DIGEST, START

APPROVAL = ApprovalView(
    "a1", ApprovalState.WAITING, DIGEST, "engineer", 2, ("approver",), START + timedelta(hours=1)
)
VOTE = VoteView("approver", Decision.APPROVE, DIGEST, START, had_role=True, has_role=True)
SECOND = replace(VOTE, voter="second", given_at=START + timedelta(seconds=1))
APPROVER = PrincipalFacts("approver", frozenset({"approver"}))


def counted(*votes: VoteView, digest: str = DIGEST, hours: float = 0) -> ApprovalState:
    approval = replace(APPROVAL, votes=votes)
    return tally(approval, digest, START + timedelta(hours=hours)).state


def test_a_quorum_of_different_people_approves() -> None:
    assert counted(VOTE) is ApprovalState.WAITING
    assert counted(VOTE, SECOND) is ApprovalState.APPROVED


@pytest.mark.parametrize(
    "change",
    [
        {"voter": "engineer"},
        {"voter": "approver"},
        {"had_role": False},
        {"has_role": False},
        {"active": False},
        {"digest": "beef"},
        {"given_at": START + timedelta(hours=2)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_vote_does_not_count(change: dict[str, object]) -> None:
    unsound = replace(SECOND, **change)  # type: ignore[arg-type]
    assert counted(VOTE, unsound) is ApprovalState.WAITING


def test_votes_expire_with_the_approval_and_void_with_the_plan() -> None:
    assert counted(VOTE, SECOND, hours=1) is ApprovalState.EXPIRED
    assert counted(VOTE, SECOND, digest="beef") is ApprovalState.VOID


def test_one_rejection_outweighs_approvals_even_if_its_voter_left_since() -> None:
    no = replace(VOTE, voter="third", decision=Decision.REJECT, has_role=False)
    assert counted(VOTE, SECOND, no) is ApprovalState.REJECTED
    assert counted(VOTE, SECOND, replace(no, voter="engineer")) is ApprovalState.APPROVED


@pytest.mark.parametrize(
    ("person", "approval", "digest", "why"),
    [
        (APPROVER, APPROVAL, DIGEST, ""),
        (replace(APPROVER, id="engineer"), APPROVAL, DIGEST, "someone else decides"),
        (replace(APPROVER, roles=frozenset({"viewer"})), APPROVAL, DIGEST, "role approver"),
        (replace(APPROVER, active=False), APPROVAL, DIGEST, "disabled"),
        (APPROVER, replace(APPROVAL, votes=(VOTE,)), DIGEST, "already"),
        (APPROVER, APPROVAL, "beef", "plan changed"),
        (APPROVER, replace(APPROVAL, expires_at=START), DIGEST, "expired"),
        (APPROVER, replace(APPROVAL, state=ApprovalState.VOID), DIGEST, "is void"),
    ],
)
def test_a_person_may_decide_or_is_told_why_not(
    person: PrincipalFacts, approval: ApprovalView, digest: str, why: str
) -> None:
    allowed, why_not = can_decide(person, approval, START, digest)
    assert allowed is (why == "")
    assert why in why_not
