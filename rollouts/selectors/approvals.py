"""Requests for a decision: who may decide which, and the lines of the inbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, IntegerField, Prefetch, Q, QuerySet, Value, When
from django.utils import timezone

from clusters.models import Check
from clusters.states import CHECK
from fleetportal.accounts.principal import Principal
from rollouts.engine import types as t
from rollouts.engine.votes import can_decide
from rollouts.models import Approval, Vote
from rollouts.selectors.facts import approval_view, person_of
from rollouts.states import APPROVAL

PREFLIGHT = "rollouts.preflight"
FRESH = 30.0  # seconds after which a pre-flight is asked again for whoever is about to decide


@dataclass(frozen=True, slots=True)
class Preflight:
    """The newest pre-flight. `tone` and `text` as a chip; `why`: what stands in the way."""

    tone: str
    text: str
    why: str = ""
    at: datetime | None = None
    pending: bool = False
    ready: int | None = None
    of: int | None = None
    rows: Sequence[Mapping[str, str]] = ()

    @property
    def words(self) -> str:
        return f"{self.ready} of {self.of} target{'' if self.of == 1 else 's'} can take it now."

    def stale(self, now: datetime) -> bool:
        """Whether somebody who is about to decide should have it asked again."""
        old = self.at is None or (now - self.at).total_seconds() > FRESH
        return old and not self.pending


@dataclass(frozen=True, slots=True)
class ApprovalLine:
    """One row of the inbox."""

    approval: Approval
    can: bool
    why_not: str
    state: str
    tone: str
    preflight: Preflight


LONG = ("facts", "search")  # of a catalog model; nothing here shows them
LISTED = (  # what lists show of a request and of what it belongs to; whole rows are long
    *("version", "state", "digest", "roles", "quorum", "created_at", "expires_at", "decided_at"),
    *("team__slug", "gate__kind", "gate__stage__name", "requester__username"),
    *("rollout__deployment__name", "rollout__revision__number", "rollout__revision__model__name"),
)
ASKED = ("rollout", "team", "state", "digest", "roles", "quorum", "expires_at")
VOTE = ("approval", "decision", "digest", "comment", "at", "had_role", "voter__username")


def approvals_for(principal: Principal) -> QuerySet[Approval]:
    """Every request the principal may see, with its votes."""
    rows = Approval.objects.visible_to(principal).select_related(
        "team",
        "gate__stage",
        "rollout__deployment",
        "rollout__team",
        "rollout__revision__deployment",
        "rollout__revision__model",
        "rollout__previous__deployment",
        "rollout__requested_by",
    )
    return with_votes(rows.defer(*(f"rollout__revision__model__{long}" for long in LONG)))


def approvals_listed(principal: Principal) -> QuerySet[Approval]:
    """The same requests as `approvals_for`, with LISTED alone."""
    rows = Approval.objects.visible_to(principal).select_related(
        "team", "gate__stage", "rollout__deployment", "rollout__revision__model"
    )
    return with_votes(rows).only(*LISTED)


def approval_for(principal: Principal, pk: UUID) -> Approval | None:
    return approvals_for(principal).filter(pk=pk).first()


def with_votes(rows: QuerySet[Approval]) -> QuerySet[Approval]:
    """With requester and `given`, the votes as a list (one more query for all rows)."""
    votes = Vote.objects.select_related("voter").only(*VOTE, "voter__is_active")
    given = Prefetch("votes", queryset=votes, to_attr="given")
    return rows.select_related("requester").prefetch_related(given)


def votes_of(approval: Approval) -> list[Vote]:
    """The votes on a request that came from `with_votes`."""
    given: list[Vote] = approval.given  # type: ignore[attr-defined]
    return given


def approvals_to_decide(principal: Principal) -> int:
    """How many requests wait for a decision that this person may give."""
    if not principal.may("approval.vote"):
        return 0
    return Approval.objects.filter(mine(principal)).count()


def mine(principal: Principal) -> Q:
    """Open, not expired, in a team where this person approves, not asked or decided by them."""
    teams = [pk for pk in principal.team_ids if principal.may("approval.vote", pk)]
    open_ = Q(state="waiting", team_id__in=teams, expires_at__gt=timezone.now())
    voted = Vote.objects.filter(voter=principal.user).values("approval")
    return open_ & ~Q(requester=principal.user) & ~Q(pk__in=voted)


def listed(principal: Principal, rows: QuerySet[Approval], show: str) -> QuerySet[Approval]:
    """`show`: mine, open (default) or decided. What one may decide first, then the oldest."""
    if show == "mine":
        rows = rows.filter(mine(principal))
    elif show == "decided":
        return rows.exclude(state="waiting").order_by("-created_at", "pk")
    else:
        rows = rows.filter(state="waiting")
    first = Case(
        When(mine(principal), then=Value(0)), default=Value(1), output_field=IntegerField()
    )
    return rows.annotate(_mine=first).order_by("_mine", "created_at", "pk")


def judged(principal: Principal, approval: Approval, now: datetime) -> tuple[bool, str]:
    """Whether this person may decide, and the sentence why not; from votes already read."""
    votes = [_vote_view(vote) for vote in votes_of(approval)]
    allowed, why_not = can_decide(
        person_of(principal, approval), approval_view(approval, votes), now
    )
    if allowed and not principal.may("approval.vote", approval.team_id):
        return False, "This token's scopes do not include approving."
    return allowed, why_not


def _vote_view(vote: Vote) -> t.VoteView:
    return t.VoteView(
        voter=vote.voter.username,
        decision=t.Decision(vote.decision),
        digest=vote.digest,
        given_at=vote.at,
        had_role=vote.had_role,
        has_role=vote.had_role,
        active=vote.voter.is_active,
    )


def lines_of(principal: Principal, rows: Iterable[Approval], now: datetime) -> list[ApprovalLine]:
    """One more query for all pre-flights."""
    rows = list(rows)
    found = preflights([row.pk for row in rows])
    return [_line(principal, row, found.get(str(row.pk)), now) for row in rows]


def _line(
    principal: Principal, approval: Approval, check: Check | None, now: datetime
) -> ApprovalLine:
    can, why_not = judged(principal, approval, now)
    return ApprovalLine(
        approval=approval,
        can=can,
        why_not=why_not,
        state=state_words(approval),
        tone=APPROVAL.states[approval.state].tone,
        preflight=preflight_of(check),
    )


def state_words(approval: Approval) -> str:
    """ "Waiting 0 of 1" while it is open, else the state's word."""
    label = APPROVAL.states[approval.state].label
    if approval.state != "waiting":
        return label
    given = sum(vote.decision == "approve" for vote in votes_of(approval))
    return f"{label} {given} of {approval.quorum}"


def preflights(approvals: Sequence[Any]) -> Mapping[str, Check]:
    """The newest pre-flight of each request, by its key as text."""
    rows = Check.objects.filter(kind=PREFLIGHT, subject_id__in=[str(pk) for pk in approvals])
    return {check.subject_id: check for check in rows.order_by("created_at", "pk")}


def preflight_of(check: Check | None) -> Preflight:
    if check is None:
        return Preflight("unknown", "Not checked")
    if check.state in CHECK.active:
        return Preflight("run", "Checking", pending=True)
    if check.state == "failed":
        why = str(check.result.get("error", "")) or "Nobody answered."
        return Preflight("unknown", "Check failed", why, check.finished_at)
    rows = check.result.get("targets", [])
    ready, of = int(check.result.get("ready", 0)), int(check.result.get("of", 0))
    why = " ".join(row["why"] for row in rows if row["why"])
    return Preflight(
        tone="ok" if ready == of else "bad",
        text=f"{ready} of {of} can take it",
        why=why,
        at=check.finished_at,
        ready=ready,
        of=of,
        rows=rows,
    )
