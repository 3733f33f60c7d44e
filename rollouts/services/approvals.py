"""Votes on approvals. The rules are the engine's, the last word has the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from clusters.models import Check
from clusters.services.checks import check_request, check_run, check_wait
from fleetportal.accounts.principal import Principal, require
from fleetportal.journal.services import event_record
from fleetportal.kit.doorbell import ring
from fleetportal.kit.errors import FieldProblem, Forbidden, Invalid, PortalError, Refused
from rollouts.engine.types import Decision
from rollouts.engine.votes import can_decide
from rollouts.models import Approval, Gate, Rollout, Target, Vote
from rollouts.selectors.approvals import PREFLIGHT as PREFLIGHT
from rollouts.selectors.facts import approval_view, person_of, strategy_of
from rollouts.services.snapshot import vote_views
from rollouts.services.start import TASK
from workspaces.services.delivery import preflight

LONGEST_COMMENT = 2000
UNDECIDED = ("expired", "void", "withdrawn")


def vote_cast(
    *, principal: Principal, approval: Approval, decision: str, digest: str, comment: str = ""
) -> Vote:
    """Give one person's answer. An approve needs a pre-flight that says the stage can go on now.

    Raises Invalid, Forbidden, and Refused for a stale digest, an expired or decided approval, a
    second vote, and a red pre-flight.
    """
    require(principal, "view", approval)
    choice = _decision(decision, comment)
    _judge(principal, approval, digest)
    require(principal, "approval.vote", approval)
    if choice is Decision.APPROVE:
        _preflight_now(principal, approval)
    try:
        with transaction.atomic():
            vote = _store(principal, approval, choice, digest, comment)
    except IntegrityError as error:
        raise Refused("You have decided this already.", type_="already-decided") from error
    return vote


def approval_open(
    gate: Gate, *, digest: str, roles: Sequence[str], quorum: int, expires_at: datetime
) -> Approval:
    """Ask for a decision, and have the pre-flight looked at before anybody opens the page."""
    rollout = gate.stage.rollout
    approval = Approval.objects.create(
        team_id=rollout.team_id,
        rollout=rollout,
        gate=gate,
        digest=digest,
        requester=rollout.requested_by,
        roles=list(roles),
        quorum=quorum,
        expires_at=expires_at,
    )
    event_record(action="approval.requested", obj=approval, after={"digest": digest})
    preflight_request(principal=None, approval=approval)
    return approval


def approvals_ask_again(rollout: Rollout) -> int:
    """A new request for every gate whose last one ended undecided. How many."""
    specs = {spec.name: spec for spec in strategy_of(rollout).stages}
    undecided = Approval.objects.filter(gate=OuterRef("pk"), state__in=UNDECIDED)
    others = Approval.objects.filter(gate=OuterRef("pk")).exclude(state__in=UNDECIDED)
    gates = Gate.objects.filter(
        Exists(undecided), ~Exists(others), stage__rollout=rollout, stage__state="waiting"
    )
    found = list(gates.select_related("stage__rollout__requested_by"))
    for gate in found:
        spec = specs[gate.stage.name]
        approval_open(
            gate,
            digest=rollout.digest,
            roles=spec.approver_roles,
            quorum=spec.quorum,
            expires_at=timezone.now() + timedelta(seconds=spec.approval_ttl_seconds),
        )
    return len(found)


def may_preflight(principal: Principal, approval: Approval) -> bool:
    """Those who decide, and those who would mend what stands in the way."""
    return any(
        principal.may(verb, approval.team_id) for verb in ("approval.vote", "rollout.control")
    )


def preflight_request(*, principal: Principal | None, approval: Approval) -> Check:
    """Ask whether every target of the stage could take its workspace now. `principal` None: the
    portal asks. Raises Forbidden.
    """
    if principal is not None:
        require(principal, "view", approval)
        if not may_preflight(principal, approval):
            raise Forbidden("Checking needs the role approver, engineer or operator.")
    return check_request(
        kind=PREFLIGHT, principal=principal, team=approval.team, subject_id=approval.pk
    )


def preflight_latest(approval: Approval) -> Check | None:
    return Check.objects.filter(kind=PREFLIGHT, subject_id=str(approval.pk)).first()


def preflight_answer(pk: str) -> None:
    """The worker's part of a pre-flight."""
    check_run(pk, _preflight)


def _preflight(check: Check) -> dict[str, Any]:
    targets = Target.objects.filter(stage__gates__approvals=UUID(check.subject_id)).select_related(
        "cluster", "new__cluster", "new__deployment"
    )
    rows = [{"cluster": target.cluster.name, "why": _why_not(target)} for target in targets]
    return {"targets": rows, "ready": sum(not row["why"] for row in rows), "of": len(rows)}


def _why_not(target: Target) -> str:
    """Why this target could not take its workspace now; empty when it could."""
    if target.cluster.state not in ("ready", "degraded"):
        return f"{target.cluster.name} is {target.cluster.get_state_display().lower()}."
    if target.new is None:
        return "It has no workspace."
    try:
        preflight(target.new)
    except PortalError as error:
        return str(error)
    return ""


def _preflight_now(principal: Principal, approval: Approval) -> None:
    check = check_wait(preflight_request(principal=principal, approval=approval), seconds=5)
    if check.state in ("pending", "running"):
        raise Refused(
            "The pre-flight is still running.", remedy="Try again.", type_="preflight-pending"
        )
    if check.state == "failed" or check.result["ready"] < check.result["of"]:
        rows = check.result.get("targets", [])
        why = next((row["why"] for row in rows if row["why"]), check.result.get("error", ""))
        raise Refused(f"The pre-flight is red: {why}", type_="preflight-red")


def _judge(principal: Principal, approval: Approval, digest: str) -> None:
    now = timezone.now()
    view = approval_view(approval, vote_views(approval))
    allowed, why_not = can_decide(person_of(principal, approval), view, now, digest)
    if allowed:
        return
    if approval.state != "waiting":
        raise Refused(why_not, type_="approval-closed")
    if now >= approval.expires_at:
        raise Refused(why_not, type_="approval-expired")
    if digest != approval.digest:
        raise Refused(why_not, type_="stale-digest")
    if any(vote.voter == principal.user.username for vote in view.votes):
        raise Refused(why_not, type_="already-decided")
    raise Forbidden(why_not)


def _store(
    principal: Principal, approval: Approval, choice: Decision, digest: str, comment: str
) -> Vote:
    rows = Approval.objects.filter(pk=approval.pk, state="waiting", digest=digest)
    if not rows.update(version=F("version") + 1):
        raise Refused("This was decided meanwhile.", remedy="Reload.", type_="approval-closed")
    vote = Vote.objects.create(
        approval=approval,
        voter=principal.user,
        requester_id_copy=approval.requester_id,
        approval_digest=approval.digest,
        digest=digest,
        decision=choice.value,
        comment=comment,
        at=timezone.now(),
    )
    event_record(
        action=f"approval.vote_{choice.value}",
        obj=approval,
        principal=principal,
        reason=comment,
        after={"digest": digest, "decision": choice.value},
    )
    Rollout.objects.filter(pk=approval.rollout_id).update(not_before=None)
    ring(TASK, approval.rollout_id)
    return vote


def _decision(decision: str, comment: str) -> Decision:
    if decision not in set(Decision):
        raise Invalid(FieldProblem("decision", "is not possible", "Use approve or reject."))
    if len(comment) > LONGEST_COMMENT:
        raise Invalid(
            FieldProblem("comment", "is too long", f"At most {LONGEST_COMMENT} characters.")
        )
    if decision == Decision.REJECT and not comment.strip():
        raise Invalid(FieldProblem("comment", "is empty", "Say why you reject it."))
    return Decision(decision)
