"""The REST endpoints of the rollouts app (`/api/v1/`)."""

from __future__ import annotations

from fleetportal.rest.endpoints import Router


def register(router: Router) -> None:
    """Add this app's endpoints."""
