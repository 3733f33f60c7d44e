"""The inbox of approvals, and the one page on which they are decided."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clusters.services.checks import check_wait
from fleetportal.accounts.principal import Principal, declares, require
from fleetportal.kit.errors import Forbidden, Invalid, Missing, Refused
from fleetportal.kit.format import money, short_digest
from fleetportal.kit.fragments import fragment
from fleetportal.kit.htmx import is_htmx, page, redirect_to
from fleetportal.rest.auth import principal_of
from rollouts.engine.types import Decision
from rollouts.models import Approval
from rollouts.selectors import approvals, evidence
from rollouts.services.approvals import (
    may_preflight,
    preflight_latest,
    preflight_request,
    vote_cast,
)
from rollouts.states import APPROVAL

PAGE_SIZE = 50
STOP_POLLING = 286
SHOWS = (("mine", "Yours to decide"), ("open", "Waiting"), ("decided", "Decided"))
TEMPLATE = "rollouts/approval.html"
WAIT_SECONDS = 2.0  # for a worker's answer before the page shows it as pending


@require_GET
@declares("view")
def approval_list(request: HttpRequest) -> HttpResponse:
    """`?show=` mine, open or decided; open ones with those first that one may decide."""
    topics = ("approvals", "rollouts")
    return fragment(request, "approvals", topics, lambda: _list(request), personal=True)


def _list(request: HttpRequest) -> HttpResponse:
    principal = principal_of(request)
    show = request.GET.get("show", "open")
    show = show if show in dict(SHOWS) else "open"
    rows = approvals.listed(principal, approvals.approvals_listed(principal), show)
    found = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page", 1))
    context = {
        "page": found,
        "lines": approvals.lines_of(principal, found, timezone.now()),
        "show": show,
        "shows": SHOWS,
    }
    return page(request, "rollouts/approvals.html", context, part="list")


@require_GET
@declares("view")
def approval_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Everything a decision rests on. To htmx: the pre-flight alone, until it has its answer."""
    principal = principal_of(request)
    approval = _find(principal, pk)
    preflight = approvals.preflight_of(preflight_latest(approval))
    context = _context(principal, approval) | {"preflight": preflight}
    context["check_on_load"] = context["can"] and preflight.stale(timezone.now())
    status = STOP_POLLING if is_htmx(request) and not preflight.pending else 200
    return page(request, TEMPLATE, context, part="preflight", status=status)


@require_POST
@declares("view")
def approval_check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Button "Check again": a worker asks the clusters; most answers come at once."""
    principal = principal_of(request)
    approval = _find(principal, pk)
    check = check_wait(
        preflight_request(principal=principal, approval=approval), seconds=WAIT_SECONDS
    )
    if not is_htmx(request):
        return redirect_to(request, f"{_url(approval)}#preflight")
    context = _context(principal, approval) | {"preflight": approvals.preflight_of(check)}
    return page(request, TEMPLATE, context, part="preflight")


@require_http_methods(["GET", "POST"])
@declares("approval.vote")
def approval_approve(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The question behind "Approve production…", and the vote."""
    return _decide(request, pk, Decision.APPROVE)


@require_http_methods(["GET", "POST"])
@declares("approval.vote")
def approval_reject(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _decide(request, pk, Decision.REJECT)


def _decide(request: HttpRequest, pk: UUID, decision: Decision) -> HttpResponse:
    principal = principal_of(request)
    approval = _find(principal, pk)
    if request.method == "GET":
        require(principal, "approval.vote", approval)
        return _ask(request, approval, decision)
    try:
        vote_cast(
            principal=principal,
            approval=approval,
            decision=decision.value,
            digest=request.POST.get("digest", ""),
            comment=request.POST.get("comment", ""),
        )
    except Invalid as error:
        return _ask(request, approval, decision, error.problems[0].remedy, error.status)
    except (Refused, Forbidden) as error:
        return _ask(request, approval, decision, str(error), error.status)
    if decision is Decision.APPROVE:
        messages.success(request, f"Approved by {principal.user.username}")
    else:
        messages.info(request, f"Rejected by {principal.user.username}")
    return redirect_to(request, reverse("rollout", args=[approval.rollout_id]))


def _ask(
    request: HttpRequest,
    approval: Approval,
    decision: Decision,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """Also after a refusal: what was typed stays."""
    name, rollout = approval.gate.stage.name, approval.rollout
    approve = decision is Decision.APPROVE
    submit = "Approve" if approve else "Reject"
    over = bool(error) and not Approval.objects.filter(pk=approval.pk, state="waiting").exists()
    context: dict[str, Any] = {
        "title": f"{'Approve' if approve else 'Reject'} {name}?",
        "text": "" if over else _text(approval, approve),
        "facts": _facts(approval) if approve else [("Rollout", str(rollout.revision))],
        "action": reverse(f"approval_{decision.value}", args=[approval.pk]),
        "submit": "" if over else submit,  # nobody can decide it any more
        "danger": not approve,
        "cancel_url": _url(approval),
        "version": None,
        # After a refusal still the digest that was looked at: only a reload brings another.
        "hidden": [("digest", request.POST.get("digest", approval.digest))],
        "comment": "optional" if approve else "required",
        "comment_value": request.POST.get("comment", ""),
        "errors": {"comment": error} if error else {},
    }
    return render(request, "components/confirm_page.html", context, status=status)


def _text(approval: Approval, approve: bool) -> str:
    name = approval.gate.stage.name
    if not approve:
        return (
            "The rollout ends. What it began and does not serve is taken away, and "
            f"{approval.rollout.revision} is marked as quarantined, with your reason."
        )
    after = approval.gate.kind == "approval_after"
    return f"{name.capitalize()} {'passes' if after else 'starts'} as soon as enough have approved."


def _facts(approval: Approval) -> list[tuple[str, str]]:
    found = evidence.evidence_of(approval)
    return [
        ("Rollout", str(approval.rollout.revision)),
        ("Clusters", ", ".join(found.clusters[:6]) or "none"),
        ("Cost", signed(found.cost)),
        ("Digest", short_digest(approval.digest)),
    ]


def signed(cost: float | None) -> str:
    """ "+$3.67/h"."""
    if cost is not None and round(cost, 2) == 0:
        return "no change in $/h"
    return f"+{money(cost)}" if cost is not None and cost >= 0 else money(cost)


def _find(principal: Principal, pk: UUID) -> Approval:
    approval = approvals.approval_for(principal, pk)
    if approval is None:
        raise Missing("There is no such approval, or you may not see it.")
    return approval


def _url(approval: Approval) -> str:
    return reverse("approval", args=[approval.pk])


def _context(principal: Principal, approval: Approval) -> dict[str, Any]:
    can, why_not = approvals.judged(principal, approval, timezone.now())
    found = evidence.evidence_of(approval)
    return {
        "approval": approval,
        "rollout": approval.rollout,
        "stage": approval.gate.stage,
        "state": approvals.state_words(approval),
        "APPROVAL": APPROVAL,
        "can": can,
        "why_not": why_not,
        "evidence": found,
        "changes": evidence.in_words(found.changes),
        "cost": signed(found.cost),
        "votes": approvals.votes_of(approval),
        "may_check": may_preflight(principal, approval) and approval.state == "waiting",
    }
