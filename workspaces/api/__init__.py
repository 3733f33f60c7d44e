"""The REST endpoints of the workspaces app (`/api/v1/`).

Deployments are read here and changed in rollouts, which registers a subclass of
`deployments.DeploymentViewSet`.
"""

from __future__ import annotations

from django.urls import path

from fleetportal.rest.endpoints import Router
from workspaces.api.checks import Checks
from workspaces.api.logs import Logs
from workspaces.api.models import Models
from workspaces.api.plans import Plans
from workspaces.api.secrets import TeamToken


def register(router: Router) -> None:
    """Add this app's endpoints."""
    router.register("models", Models, basename="api-model")
    router.register("plans", Plans, basename="api-plan")
    router.register("checks", Checks, basename="api-check")
    router.register("workspaces", Logs, basename="api-workspace")
    router.add(path("teams/<slug:slug>/secret/", TeamToken.as_view(), name="api-team-secret"))
