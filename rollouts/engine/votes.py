"""Who may decide an approval, and what the votes add up to. Pure arithmetic on facts.

A vote counts once per person, only for the digest it names, never from the requester, only when
its voter had the role when voting and still has it when the votes are counted, and never after
expiry. A rejection needs the role only when it is given: losing it later must not revive a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rollouts.engine.types import ApprovalState, ApprovalView, Decision, VoteView


@dataclass(frozen=True, slots=True)
class PrincipalFacts:
    """One person as the vote sees them: `roles` in the team of the deployment."""

    id: str
    roles: frozenset[str]
    active: bool = True


@dataclass(frozen=True, slots=True)
class Tally:
    """`state` is what the approval amounts to now; `counted` and `needed` are people."""

    state: ApprovalState
    counted: int
    needed: int
    reason: str


def can_decide(
    person: PrincipalFacts, approval: ApprovalView, now: datetime, digest: str | None = None
) -> tuple[bool, str]:
    """Whether `person` may vote now, and the sentence why not. `digest`: the one they looked at."""
    why_not = ""
    if approval.state is not ApprovalState.WAITING:
        why_not = f"This approval is {approval.state.value}."
    elif now >= approval.expires_at:
        why_not = "This approval has expired. Ask for it again."
    elif digest is not None and digest != approval.digest:
        why_not = "The plan changed since you looked at it. Reload and look again."
    elif not person.active:
        why_not = "Your account is disabled."
    elif person.id == approval.requester:
        why_not = "You asked for this, so someone else decides."
    elif not person.roles & set(approval.roles):
        why_not = f"Deciding this needs the role {' or '.join(approval.roles)}."
    elif any(vote.voter == person.id for vote in approval.votes):
        why_not = "You have decided this already."
    return (not why_not, why_not)


def tally(approval: ApprovalView, digest: str, now: datetime) -> Tally:
    """Count the votes as they stand at `now`, for a rollout whose inputs have `digest`."""

    def result(state: ApprovalState, reason: str) -> Tally:
        return Tally(state, len(approvals), approval.quorum, reason)

    valid = [vote for vote in _first_per_person(approval.votes) if _given_rightly(vote, approval)]
    approvals = [v for v in valid if v.decision is Decision.APPROVE and v.has_role and v.active]
    rejections = [v for v in valid if v.decision is Decision.REJECT]
    if rejections:
        return result(ApprovalState.REJECTED, f"Rejected by {rejections[0].voter}.")
    if approval.digest != digest:
        return result(ApprovalState.VOID, "The plan changed after this was asked for.")
    if now >= approval.expires_at:
        return result(ApprovalState.EXPIRED, "Nobody decided in time, or it was not used in time.")
    if len(approvals) >= approval.quorum:
        names = ", ".join(vote.voter for vote in approvals)
        return result(ApprovalState.APPROVED, f"Approved by {names}.")
    return result(ApprovalState.WAITING, f"{len(approvals)} of {approval.quorum} have approved.")


def _first_per_person(votes: tuple[VoteView, ...]) -> list[VoteView]:
    first: dict[str, VoteView] = {}
    for vote in sorted(votes, key=lambda vote: vote.given_at):
        first.setdefault(vote.voter, vote)
    return list(first.values())


def _given_rightly(vote: VoteView, approval: ApprovalView) -> bool:
    return (
        vote.voter != approval.requester
        and vote.had_role
        and vote.digest == approval.digest
        and vote.given_at < approval.expires_at
    )
