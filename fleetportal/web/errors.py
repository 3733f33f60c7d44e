"""Errors as pages: a sentence, the remedy, the right status. Never a stack trace."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Invalid, PortalError

PAGES = {403: "403.html", 404: "404.html"}


def error_page(request: HttpRequest, error: PortalError) -> HttpResponse:
    """The page for an error that the portal raised on purpose."""
    context = {
        "title": error.title,
        "message": error.message,
        "remedy": error.remedy,
        "problems": error.problems if isinstance(error, Invalid) else (),
        "type": error.type,
    }
    return render(request, PAGES.get(error.status, "error.html"), context, status=error.status)


@declares("public")
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    context = {"title": "Form expired", "message": "This form was too old or came from elsewhere."}
    return render(request, "403.html", context, status=403)
