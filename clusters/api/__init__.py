"""The REST endpoints of the clusters app (`/api/v1/`)."""

from __future__ import annotations

from django.urls import path

from clusters.api.clusters import Clusters
from clusters.api.prices import PriceImport, Prices
from clusters.api.rows import Tallied as TALLY
from clusters.api.rows import tally_row
from fleetportal.rest.endpoints import Router

__all__ = ["TALLY", "register", "tally_row"]


def register(router: Router) -> None:
    """Add this app's endpoints."""
    router.add(
        path("prices/", Prices.as_view(), name="api-prices"),
        path("prices/import/", PriceImport.as_view(), name="api-price-import"),
    )
    router.register("clusters", Clusters, basename="api-cluster")
