"""Errors as pages: a sentence, the remedy, the right status. Never a stack trace."""

from __future__ import annotations

import logging
import secrets

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template import loader

from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Invalid, PortalError

log = logging.getLogger(__name__)

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
    return _page(
        request, 403, "Form expired", "This form was too old or came from elsewhere. Load it again."
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Also for a foreign Host header: nothing of the request is repeated or looked up."""
    return HttpResponse("Bad request", status=400, content_type="text/plain")


def refused(request: HttpRequest, status: int, type_: str, title: str, remedy: str) -> HttpResponse:
    """Before anything is looked up: a problem document to programs, a line to browsers."""
    if request.path.startswith("/api/"):
        body = {"type": type_, "title": title, "status": status, "remedy": remedy}
        return JsonResponse(body, status=status, content_type="application/problem+json")
    return HttpResponse(f"{title}. {remedy}", status=status, content_type="text/plain")


def holds_nul(request: HttpRequest) -> HttpResponse:
    """No database takes one."""
    return refused(request, 400, "bad-request", "Bad request", "Leave the NUL character out.")


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, 403, "Not allowed", "You may not do this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, 404, "Not found", "There is nothing here, or you may not see it.")


def server_error(request: HttpRequest) -> HttpResponse:
    """The log has the story, the page only its id; no context processor runs."""
    incident = secrets.token_hex(8)
    log.exception("web.failed", extra={"incident": incident, "path": request.path})
    return HttpResponse(loader.get_template("500.html").render({"incident": incident}), status=500)


def _page(request: HttpRequest, status: int, title: str, message: str) -> HttpResponse:
    context = {"title": title, "message": message}
    return render(request, PAGES[status], context, status=status)
