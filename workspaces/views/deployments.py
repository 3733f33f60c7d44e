"""Deployments: what needs a person first, then everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from fleetportal.accounts.principal import declares
from fleetportal.kit.fragments import fragment
from fleetportal.kit.htmx import page
from fleetportal.rest.auth import principal_of
from workspaces.models import Plan
from workspaces.selectors import deployments
from workspaces.selectors.deployments import DeploymentRow
from workspaces.selectors.motion import motions

PAGE_SIZE = 50
FILTERS = ("q", "team", "state")
NO_PLAN = "00000000-0000-0000-0000-000000000000"


@require_GET
@declares("view")
def deployment_list(request: HttpRequest) -> HttpResponse:
    """Filters, order and page are the query string; htmx asks for the list alone."""
    return fragment(request, "deployments", ("deployments", "rollouts"), lambda: _list(request))


def _list(request: HttpRequest) -> HttpResponse:
    principal = principal_of(request)
    filters = {name: request.GET.get(name, "") for name in FILTERS}
    sort = request.GET.get("sort", "name")
    rows = deployments.matching(deployments.deployments_for(principal), filters)
    ordered = deployments.sorted_by(rows, sort)
    found = Paginator(ordered, PAGE_SIZE).get_page(request.GET.get("page", 1))
    teams = principal.teams()
    context: dict[str, Any] = {
        "page": found,
        "groups": _groups(deployments.rows_of(list(found))),
        "filters": filters,
        "filtered": any(filters.values()),
        "sort": sort,
        "teams": teams,
        "many_teams": len(teams) > 1,
        "may_deploy": principal.may("plan.create"),
        "first_step": _first_step(request),
    }
    return page(request, "workspaces/deployments.html", context, part="list")


def _groups(lines: Sequence[DeploymentRow]) -> list[tuple[str, list[DeploymentRow]]]:
    """(heading, lines): what needs a person first; no heading where nothing does."""
    troubled = [line for line in lines if line.deployment.calm == 0]  # type: ignore[attr-defined]
    others = [line for line in lines if line.deployment.calm == 1]  # type: ignore[attr-defined]
    groups = [("Needs attention", troubled), ("Everything else" if troubled else "", others)]
    return [group for group in groups if group[1]]


def _first_step(request: HttpRequest) -> int:
    """Where a visitor of the demo stands: 1 deploy, 2 read the plan, 3 approve; 0: done."""
    if not settings.DEMO or not principal_of(request).may("plan.create"):
        return 0
    asked = Plan.objects.filter(pk=str(request.session.get("first_plan", NO_PLAN))).first()
    if asked is None:
        return 1
    if asked.deployment_id is None or asked.state != "used":
        return 2
    motion = motions([asked.deployment_id]).get(asked.deployment_id)
    return 3 if motion is not None and motion.active else 0
