"""A model's page: its fit on every cluster, its facts, and the rail that asks for a plan."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from fleetportal.accounts.principal import Principal, declares
from fleetportal.kit.errors import Forbidden, Invalid, Missing
from fleetportal.kit.htmx import page, redirect_to
from fleetportal.rest.auth import principal_of
from workspaces.forms import SPREADS, Rail, read_rail
from workspaces.models import CatalogModel, Deployment
from workspaces.selectors import catalog
from workspaces.selectors.fit import model_view
from workspaces.selectors.strategies import offered
from workspaces.services.fit import model_fit
from workspaces.services.plans import plan_create, plan_wait, suggest_name

FITS_SHOWN = 100
TEMPLATE = "workspaces/model.html"


@require_http_methods(["GET", "POST"])
@declares("view")
def model_page(request: HttpRequest, slug: str) -> HttpResponse:
    """GET shows; POST (button "Show where it goes") makes a plan and goes to its page."""
    model = catalog.model_named(slug)
    if model is None:
        raise Missing("The catalog has no such model.", remedy="Search the catalog.")
    if request.method == "POST":
        return _plan(request, model)
    if slug != model.slug:
        return redirect("model", model.slug)
    rail = _rail(request, model)
    return page(request, TEMPLATE, _context(request, model, rail), part="fit")


def _plan(request: HttpRequest, model: CatalogModel) -> HttpResponse:
    principal, rail = principal_of(request), _rail(request, model)
    if rail.team is None:
        raise Forbidden("You are in no team, and a deployment belongs to one.")
    if rail.errors:
        return page(request, TEMPLATE, _context(request, model, rail), status=422)
    try:
        plan = plan_create(principal=principal, team=rail.team, model=model.slug, **rail.chosen)
    except Invalid as error:
        for problem in error.problems:
            words = f"{problem.message[:1].upper()}{problem.message[1:]}. {problem.remedy}"
            rail.errors[problem.field.partition(".")[0]] = words
        return page(request, TEMPLATE, _context(request, model, rail), status=422)
    request.session["first_plan"] = str(plan.pk)
    plan_wait(plan)
    return redirect_to(request, reverse("plan", args=[plan.pk]))


def _rail(request: HttpRequest, model: CatalogModel) -> Rail:
    principal = principal_of(request)
    teams = _teams(principal)
    data = request.POST if request.method == "POST" else request.GET
    rail = read_rail(data.dict(), teams, model.context_limit)
    if not rail.name and "name" not in data and rail.team is not None:
        rail.name = suggest_name(rail.team, model)
    return rail


def _teams(principal: Principal) -> list[Any]:
    """Those one may plan for; a person who may plan for none still sees the rail of theirs."""
    teams = principal.teams()
    return [team for team in teams if principal.may("plan.create", team.pk)] or teams


def _context(request: HttpRequest, model: CatalogModel, rail: Rail) -> dict[str, Any]:
    principal, team = principal_of(request), rail.team
    rows = model_fit(principal=principal, team=team, model=model, max_model_len=rail.max_model_len)
    view = model_view(rows)
    return {
        "model": model,
        "entry": catalog.entry_of(model),
        "fit": view,
        "rows": Paginator(view.rows, FITS_SHOWN).get_page(request.GET.get("page", 1)),
        "rail": rail,
        "teams": [(one.slug, one.name) for one in _teams(principal)],
        "spreads": SPREADS,
        "strategies": offered(),
        "runtimes": [(name, name) for name in model.facts["spec"]["runtimes"]],
        "may_plan": team is not None and principal.may("plan.create", team.pk),
        "needs_token": model.gated and not catalog.has_token(team.pk if team else None),
        "running": catalog.running_models(principal).get(model.pk),
        "next_revision": _existing(rail, model),
    }


def _existing(rail: Rail, model: CatalogModel) -> Deployment | None:
    """The deployment of that name, whose next revision the plan would be for."""
    if rail.team is None or not rail.name:
        return None
    return Deployment.objects.live().filter(team=rail.team, name=rail.name).first()
