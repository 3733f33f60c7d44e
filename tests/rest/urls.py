"""Endpoints that exist only in tests: what every real one shares, without its subject."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.urls import include, path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleetportal.accounts.models import Team
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Refused, Temporary
from fleetportal.rest.endpoints import Part, ReadEndpoint, Router
from fleetportal.rest.filters import Filter
from fleetportal.rest.preconditions import check_version


class Versioned:
    version = 7


class TeamRow(serializers.ModelSerializer[Team]):
    class Meta:
        model = Team
        fields = ("slug", "name")


@declares("view")
class Teams(ReadEndpoint):
    model = Team
    serializer_class = TeamRow
    lookup_field = "slug"
    verbs: ClassVar[dict[str, str]] = {"create": "plan.create"}
    filters: ClassVar[dict[str, Filter]] = {
        "name": Filter("name"),
        "slug": Filter("slug__in", "choice"),
        "kind": Filter("slug__in", "choice", ("assist", "risk")),
        "number": Filter("pk", "int"),
        "empty": Filter("memberships__isnull", "bool"),
        "since": Filter("memberships__user__date_joined__gte", "time"),
        "token": Filter("memberships__user__tokens__id", "uuid"),
    }
    orderings: ClassVar[dict[str, str]] = {"name": "name", "slug": "slug"}

    def rows(self) -> QuerySet[Team]:
        return Team.objects.order_by("slug")

    def create(self, request: Request) -> Response:
        asked = TeamRow(data=request.data)
        asked.is_valid(raise_exception=True)
        return Response(TeamRow(asked.save()).data, status=201, headers={"Location": "/somewhere/"})


@declares("plan.create")
class Act(Part):
    """`during` runs inside the call; `does` in the body chooses how it ends."""

    during: ClassVar[list[Callable[[], object]]] = []
    calls = 0

    def post(self, request: Request) -> Response:
        Act.calls += 1
        for step in self.during:
            step()
        sent = cast("dict[str, Any]", request.data)
        match sent.get("does"):
            case "refuse":
                raise Refused("Not now.", type_="not-now")
            case "wait":
                raise Temporary("Later.")
            case "break":
                raise ZeroDivisionError("canary-in-the-traceback")
            case "version":
                check_version(request, Versioned())
        return Response({"calls": Act.calls, "sent": request.data})


def register(router: Router) -> None:
    router.register("teams", Teams, basename="test-team")
    router.add(path("act/", Act.as_view()))


router = Router()
register(router)
everything: list[Any] = [
    path("api/v1/", include(router.urls)),
    path("", include("fleetportal.urls")),
]
urlpatterns = everything
