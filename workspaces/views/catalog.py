"""Catalog: what can be deployed, and where it would fit now."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from fleetportal.accounts.models import Team
from fleetportal.accounts.principal import Principal, declares
from fleetportal.kit.htmx import page
from fleetportal.rest.auth import principal_of
from workspaces.models import CatalogModel
from workspaces.selectors import catalog
from workspaces.services.fit import catalog_fits

PAGE_SIZE = 30
FILTERS = ("q", "publisher", "licence", "task", "gated", "fits")


@require_GET
@declares("view")
def catalog_list(request: HttpRequest) -> HttpResponse:
    """Search, filters and order are the query string; htmx asks for the results alone."""
    principal = principal_of(request)
    team = planning_team(principal)
    has_token = catalog.has_token(team.pk if team else None)
    fits = catalog_fits(principal=principal, team=team)
    filters = {name: request.GET.get(name, "") for name in FILTERS}
    rows = catalog.with_fits(catalog.enabled(), fits, has_token=has_token)
    rows = catalog.sorted_by(catalog.matching(rows, filters), request.GET.get("sort", "fits"))
    found = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page", 1))
    context: dict[str, Any] = {
        "page": found,
        "cards": cards(list(found), principal, has_token=has_token),
        "clusters": max((fit.clusters for fit in fits.values()), default=0),
        "filters": filters,
        "sort": request.GET.get("sort", "fits"),
        "sorts": catalog.SORTS.items(),
        "choices": catalog.choices(),
    }
    return page(request, "workspaces/catalog.html", context, part="results")


def planning_team(principal: Principal) -> Team | None:
    """The first team the principal may plan for, else the first one they see."""
    teams = principal.teams()
    able = [team for team in teams if principal.may("plan.create", team.pk)]
    return next(iter(able or teams), None)


def cards(
    models: list[CatalogModel], principal: Principal, *, has_token: bool
) -> list[dict[str, Any]]:
    running = catalog.running_models(principal)
    return [
        {
            "model": model,
            "needs_token": model.gated and not has_token,
            "running": running.get(model.pk),
        }
        for model in models
    ]
