"""The REST endpoints of the rollouts app (`/api/v1/`), and what changes deployments."""

from __future__ import annotations

from fleetportal.rest.endpoints import Router
from rollouts.api.approvals import Approvals
from rollouts.api.deployments import Deployments
from rollouts.api.rollouts import Rollouts
from rollouts.api.strategies import Strategies


def register(router: Router) -> None:
    """Add this app's endpoints."""
    router.register("strategies", Strategies, basename="api-strategy")
    router.register("deployments", Deployments, basename="api-deployment")
    router.register("rollouts", Rollouts, basename="api-rollout")
    router.register("approvals", Approvals, basename="api-approval")
