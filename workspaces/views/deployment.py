"""One deployment: how it fares and why, on every cluster, with the objects behind it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from clusters.states import CHECK
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Invalid, Missing, Refused
from fleetportal.kit.htmx import is_htmx, page, redirect_to
from fleetportal.rest.auth import principal_of
from workspaces.models import Deployment
from workspaces.selectors import deployment as selectors
from workspaces.selectors.chain import chain
from workspaces.services.questions import prompt_send
from workspaces.states import WORKSPACE
from workspaces.views.serving import serving_place

TEMPLATE = "workspaces/deployment.html"
PARTS = {"deployment": "overview", "prompt": "prompt"}
TABS = ("overview", "objects", "revisions", "history")
STOP_POLLING = 286


@require_GET
@declares("view")
def deployment_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """`?tab=` chooses what stands under the health line, which every tab keeps."""
    deployment = _deployment(request, pk)
    tab = request.GET.get("tab", "overview")
    tab = tab if tab in TABS else "overview"
    target = getattr(getattr(request, "htmx", None), "target", None) or ""
    part = PARTS.get(target, "overview")
    context = _context(request, deployment, tab)
    over = context["prompt_over"] if part == "prompt" else deployment.state == "retired"
    status = STOP_POLLING if is_htmx(request) and over else 200
    response = page(request, TEMPLATE, context, part=part, status=status)
    response.charts = tab == "overview"  # type: ignore[attr-defined]
    return response


@require_POST
@declares("deployment.prompt")
def deployment_prompt(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Button "Send a test prompt": a worker asks, this page shows the answer, or why it cannot."""
    deployment = _deployment(request, pk)
    try:
        prompt_send(
            principal=principal_of(request),
            deployment=deployment,
            cluster=request.POST.get("cluster", ""),
            prompt=request.POST.get("prompt", ""),
        )
    except (Invalid, Refused) as error:
        messages.warning(request, str(error))
        return redirect_to(request, reverse("deployment", args=[deployment.pk]))
    return redirect_to(request, f"{reverse('deployment', args=[deployment.pk])}#prompt")


def _deployment(request: HttpRequest, pk: UUID) -> Deployment:
    deployment = selectors.deployment_for(principal_of(request), pk)
    if deployment is None:
        raise Missing("There is no such deployment, or you may not see it.")
    return deployment


def _context(request: HttpRequest, deployment: Deployment, tab: str) -> dict[str, Any]:
    principal = principal_of(request)
    row = selectors.summary(deployment)
    workspaces = selectors.workspaces_of(deployment)
    rows = selectors.rows_of(workspaces)
    check = selectors.prompt_check(deployment, principal)
    return {
        "deployment": deployment,
        "row": row,
        "tab": tab,
        "tabs": [(name, name.capitalize()) for name in TABS],
        "chain": chain(row, workspaces, selectors.newest_plan(deployment)),
        "rows": rows,
        "commands": [line for line in rows if line.workspace.state != "planned"],
        "WORKSPACE": WORKSPACE,
        "serving": [one.cluster.name for one in workspaces if one.serving],
        "prompt": check,
        "prompt_over": check is None or check.state in CHECK.terminal,
        "may_read_logs": principal.may("logs.view", deployment.team_id),
        "may_prompt": principal.may("deployment.prompt", deployment.team_id),
        "may_delete": principal.may("deployment.delete", deployment.team_id),
        "may_plan": principal.may("plan.create", deployment.team_id),
        "next_revision_url": selectors.next_revision_url(deployment),
        **_tab(request, deployment, tab, workspaces),
    }


def _tab(
    request: HttpRequest, deployment: Deployment, tab: str, workspaces: list[Any]
) -> dict[str, Any]:
    """Only what the open tab shows is read."""
    if tab == "overview":
        return {"serving_place": serving_place(request, deployment, workspaces)}
    if tab == "objects":
        return {"observed": selectors.observed_of(workspaces)}
    if tab == "revisions":
        return {"revisions": selectors.revisions_of(deployment)}
    if tab == "history":
        return {"events": selectors.events_of(principal_of(request), deployment)}
    return {}
