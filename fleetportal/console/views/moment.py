"""The fleet as it was: states, placements and allocation at a moment of the last 90 days."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from fleetportal.accounts.principal import declares
from fleetportal.console.selectors import fleet, moment
from fleetportal.rest.auth import principal_of


@require_GET
@declares("view")
def moment_page(request: HttpRequest) -> HttpResponse:
    """`?at=`: the moment. Raises Invalid (400) where nothing can be known of it."""
    now = timezone.now()
    at = moment.parse_at(request.GET.get("at", ""), now)
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
