"""What one deployment costs: a line of its page, and a page where there are no scripts."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Missing
from fleetportal.kit.htmx import page
from fleetportal.rest.auth import principal_of
from workspaces.models import Deployment
from workspaces.selectors.cost import cost_of


@require_GET
@declares("view")
def deployment_cost(request: HttpRequest, pk: UUID) -> HttpResponse:
    """htmx asks for the line alone."""
    rows = Deployment.objects.visible_to(principal_of(request))
    deployment = rows.filter(pk=pk).first()
    if deployment is None:
        raise Missing("There is no such deployment, or you may not see it.")
    context = {"deployment": deployment, "cost": cost_of(deployment, timezone.now())}
    return page(request, "workspaces/cost.html", context, part="line")
