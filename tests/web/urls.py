"""Pages that exist only in tests, ahead of the portal's own."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import FieldProblem, Invalid, Missing, Refused
from fleetportal.rest.auth import principal_of

ERRORS = {
    "missing": Missing("There is nothing here."),
    "refused": Refused("It runs already.", remedy="Wait for it."),
    "invalid": Invalid(FieldProblem("replicas", "is no number", "Send one.")),
}


@declares("view")
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"hello {principal_of(request).user.username}")


def undeclared(request: HttpRequest) -> HttpResponse:
    return HttpResponse("canary")


@declares("team.manage")
def admins(request: HttpRequest) -> HttpResponse:
    return HttpResponse("canary")


@declares("view")
def fails(request: HttpRequest, how: str) -> HttpResponse:
    if how in ERRORS:
        raise ERRORS[how]
    raise ZeroDivisionError("canary-in-the-traceback")


urlpatterns = [
    path("page/", page, name="page"),
    path("test-fleet/", page, name="fleet"),
    path("test-deployments/", page, name="deployments"),
    path("undeclared/", undeclared),
    path("admins/", admins),
    path("fails/<str:how>/", fails),
    path("", include("fleetportal.urls")),
]
handler400 = "fleetportal.web.errors.bad_request"
handler403 = "fleetportal.web.errors.not_allowed"
handler404 = "fleetportal.web.errors.not_found"
handler500 = "fleetportal.web.errors.server_error"
