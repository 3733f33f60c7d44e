"""A plan: why each cluster was chosen or not, what would be applied, and the button to start."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from clusters.states import CHECK
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Missing
from fleetportal.kit.htmx import is_htmx, page, redirect_to
from fleetportal.rest.auth import principal_of
from workspaces.models import Plan
from workspaces.selectors import plans
from workspaces.services.plans import plan_again, plan_wait
from workspaces.services.questions import dry_run_send
from workspaces.states import PLAN

VERDICTS_SHOWN = 200
PARTS = {"plan-bar": "bar", "dry-run": "dry_run"}
STOP_POLLING = 286


@require_GET
@declares("view")
def plan_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The verdict table is never swapped: htmx gets the bar or the dry-run alone."""
    plan = _plan(request, pk)
    if is_htmx(request) and request.GET.get("was") == "computing" and plan.state != "computing":
        return redirect_to(request, reverse("plan", args=[plan.pk]))
    context = _context(request, plan)
    target = getattr(getattr(request, "htmx", None), "target", None) or ""
    part = PARTS.get(target, "bar")
    over = context["dry_run_over"] if part == "dry_run" else plan.state in PLAN.terminal
    status = STOP_POLLING if is_htmx(request) and over else 200
    return page(request, "workspaces/plan.html", context, part=part, status=status)


@require_POST
@declares("plan.create")
def plan_repeat(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Button "Plan again"."""
    plan = plan_again(principal=principal_of(request), plan=_plan(request, pk))
    plan_wait(plan)
    return redirect_to(request, reverse("plan", args=[plan.pk]))


@require_POST
@declares("plan.create")
def plan_dry_run(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask every chosen cluster whether it would take the objects; nothing is changed there."""
    plan = _plan(request, pk)
    dry_run_send(principal=principal_of(request), plan=plan)
    return redirect_to(request, f"{reverse('plan', args=[plan.pk])}#dry-run")


def _plan(request: HttpRequest, pk: UUID) -> Plan:
    plan = plans.plan_for(principal_of(request), pk)
    if plan is None:
        raise Missing("There is no such plan, or you may not see it.")
    return plan


def _context(request: HttpRequest, plan: Plan) -> dict[str, Any]:
    principal = principal_of(request)
    dry_run = plans.dry_run_of(plan)
    return {
        "plan": plan,
        "PLAN": PLAN,
        "dry_run": dry_run,
        "dry_run_over": dry_run is None or dry_run.state in CHECK.terminal,
        "dry_run_lines": plans.dry_run_lines(dry_run),
        "may_start": principal.may("deployment.create", plan.team_id),
        "may_plan": principal.may("plan.create", plan.team_id),
        "edit_url": plans.rail_url(
            model=plan.model_id, team=plan.team.slug, name=plan.name, spec=plan.spec
        ),
        **({} if is_htmx(request) else _frozen(request, plan)),
    }


def _frozen(request: HttpRequest, plan: Plan) -> dict[str, Any]:
    """What never changes and is never swapped: read once, not on every look at the bar."""
    verdicts = plans.verdicts_of(plan)
    return {
        "verdicts": Paginator(verdicts, VERDICTS_SHOWN).get_page(request.GET.get("page", 1)),
        "ready_words": plans.ready_words(plan, verdicts) if plan.state == "ready" else "",
        "changes": plans.changes(plan),
        "manifests": plans.manifests_of(plan),
    }
