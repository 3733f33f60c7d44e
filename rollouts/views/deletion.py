"""Deleting a deployment: a typed name, then everything of it is taken off every cluster."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from fleetportal.accounts.principal import declares, require
from fleetportal.kit.errors import Invalid, Missing, Refused
from fleetportal.kit.htmx import redirect_to
from fleetportal.rest.auth import principal_of
from rollouts.services.deletion import deployment_delete
from workspaces.models import Deployment
from workspaces.states import WORKSPACE


@require_http_methods(["GET", "POST"])
@declares("deployment.delete")
def deployment_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The question names every cluster that loses something."""
    principal = principal_of(request)
    deployment = Deployment.objects.visible_to(principal).filter(pk=pk).first()
    if deployment is None:
        raise Missing("There is no such deployment, or you may not see it.")
    require(principal, "deployment.delete", deployment)
    if request.method == "GET":
        return _ask(request, deployment)
    try:
        deployment_delete(
            principal=principal, deployment=deployment, confirm=request.POST.get("confirm", "")
        )
    except Invalid as error:
        return _ask(request, deployment, error.problems[0].remedy, error.status)
    except Refused as error:
        return _ask(request, deployment, str(error), error.status)
    return redirect_to(request, reverse("deployment", args=[deployment.pk]))


def _ask(
    request: HttpRequest, deployment: Deployment, error: str = "", status: int = 200
) -> HttpResponse:
    rows = deployment.workspaces.exclude(state="retired").select_related("cluster", "revision")
    text = "It stops answering at once, is drained, and is taken off every cluster. No way back."
    facts = [
        (
            row.cluster.name,
            f"r{row.revision.number}, {WORKSPACE.states[row.state].label.lower()}: "
            + ("serves now, then goes" if row.serving else "goes"),
        )
        for row in rows.defer("manifests", "conditions")
    ]
    context = {
        "title": f"Delete {deployment.name}?",
        "text": text,
        "facts": facts,
        "action": reverse("deployment_delete", args=[deployment.pk]),
        "submit": "Delete the deployment",
        "danger": True,
        "cancel_url": reverse("deployment", args=[deployment.pk]),
        "version": None,
        "typed": deployment.name,
        "errors": {"confirm": error} if error else {},
    }
    return render(request, "components/confirm_page.html", context, status=status)
