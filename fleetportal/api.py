"""Assembly of the REST API from every app's `api.register(router)`. Only the URLs import this."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.urls import URLPattern, URLResolver, include, path, re_path
from rest_framework.request import Request
from rest_framework.views import APIView

from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Missing
from fleetportal.rest.endpoints import Router
from fleetportal.rest.schema import Schema

APPS = ("fleetportal.rest", "clusters", "workspaces", "rollouts", "fleetportal.console")


@declares("public")
class Nothing(APIView):
    """Any other path under /api/: a problem document instead of a page."""

    authentication_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise Missing("There is no such path in the API.", remedy="See /api/schema/.")


def v1() -> list[URLPattern | URLResolver]:
    """The paths below /api/v1/."""
    router = Router()
    for app in APPS:
        if find_spec(f"{app}.api") is not None:
            import_module(f"{app}.api").register(router)
    return router.urls


urlpatterns = [
    path("v1/", include(v1())),
    path("schema/", Schema.as_view(), name="api-schema"),
    re_path(r"^.*$", Nothing.as_view(), name="api-nothing"),
]
