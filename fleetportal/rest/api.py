"""Endpoints of no app in particular."""

from __future__ import annotations

from fleetportal.rest.endpoints import Router
from fleetportal.rest.events_api import Events
from fleetportal.rest.tokens_api import Tokens


def register(router: Router) -> None:
    router.register("tokens", Tokens, basename="api-token")
    router.register("events", Events, basename="api-event")
