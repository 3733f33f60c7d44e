"""A team's Hugging Face token: written here, shown nowhere."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from fleetportal.accounts.models import Team
from fleetportal.accounts.principal import declares, require
from fleetportal.kit.errors import Invalid, Missing
from fleetportal.kit.htmx import page, redirect_to
from fleetportal.rest.auth import principal_of
from workspaces.selectors import catalog
from workspaces.services.secrets import secret_set


@require_http_methods(["GET", "POST"])
@declares("secret.write")
def team_secret(request: HttpRequest, slug: str) -> HttpResponse:
    """The form, and where it posts to."""
    principal = principal_of(request)
    team = next((one for one in principal.teams() if one.slug == slug), None)
    if team is None:
        raise Missing("There is no such team, or you may not see it.")
    require(principal, "secret.write", team)
    target = _next(request)
    if request.method == "GET":
        return _form(request, team, target, "", 200)
    try:
        secret_set(principal=principal, team=team, value=request.POST.get("value", ""))
    except Invalid as error:
        problem = error.problems[0]
        return _form(request, team, target, f"It {problem.message}. {problem.remedy}", 422)
    messages.success(request, f"Token of {team.name} stored. Nobody can read it back here.")
    return redirect_to(request, target)


def _form(request: HttpRequest, team: Team, target: str, error: str, status: int) -> HttpResponse:
    context: dict[str, Any] = {
        "team": team,
        "next": target,
        "error": error,
        "stored": catalog.has_token(team.pk),
    }
    return page(request, "workspaces/team_secret.html", context, status=status)


def _next(request: HttpRequest) -> str:
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure())
    local = safe and target.startswith("/") and target.isprintable()
    return target if local else reverse("catalog")
