"""The fleet as it was: states, placements and allocation at a moment of the last 90 days."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from fleetportal.accounts.principal import declares
from fleetportal.console.selectors import fleet, moment
from fleetportal.kit.errors import Invalid
from fleetportal.rest.auth import principal_of


@require_GET
@declares("view")
def moment_page(request: HttpRequest) -> HttpResponse:
    """`?at=`: the moment. Where nothing can be known of it, the slider with the reason (422)."""
    now = timezone.now()
    try:
        at = moment.parse_at(request.GET.get("at", ""), now)
    except Invalid as error:
        said = {"refused": f"This moment {error.problems[0]}", "slider": moment.slider(now, now)}
        return render(request, "console/moment.html", said, status=error.status)
    then = moment.fleet_then(principal_of(request), at)
    context: dict[str, Any] = {
        "then": then,
        "overview": then.overview,
        "figures": fleet.figures(then.overview),
        "drawn": moment.drawn(then),
        "shown": moment.SHOWN,
        "slider": moment.slider(at, now),
    }
    return render(request, "console/moment.html", context)
