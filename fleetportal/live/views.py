"""Tickets for pages that are open already."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from fleetportal.accounts.principal import Principal, declares
from fleetportal.kit import news
from fleetportal.live import audience, tickets


@require_GET
@declares("view")
def ticket(request: HttpRequest) -> HttpResponse:
    """`?topics=a,b`: {"ticket", "topics"}, without those that one may not hear of.

    An empty ticket says that this installation has no live stream: pages then poll.
    """
    principal: Principal = request.principal  # type: ignore[attr-defined]
    wanted = request.GET.get("topics", "").split(",")[: audience.MOST]
    heard = audience.audible(principal, wanted)
    session = request.session.session_key or ""
    text = tickets.issue(principal, session, heard) if news.enabled() and session else ""
    response = JsonResponse({"ticket": text, "topics": sorted(heard)})
    response.headers["Cache-Control"] = "no-store"
    return response
