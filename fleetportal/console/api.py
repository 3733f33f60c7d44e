"""`fleet/overview/`: the figures of the fleet page, from the same selector."""

from __future__ import annotations

from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.api import TALLY, tally_row
from fleetportal.accounts.principal import declares
from fleetportal.console.heat_api import HeatmapView
from fleetportal.console.selectors import fleet
from fleetportal.rest.endpoints import Part, Router
from fleetportal.rest.filters import refuse_unknown


class ModelShare(serializers.Serializer[Any]):
    gpu_model = serializers.CharField(help_text="Class of the card; empty where no node names one.")
    gpus = TALLY(help_text="The share of this model.")


class FleetClusters(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    by_state = serializers.DictField(child=serializers.IntegerField())
    cordoned = serializers.IntegerField()
    not_seen = serializers.IntegerField(
        help_text="Clusters whose GPUs nobody has seen yet; they are in no figure."
    )


class FleetOverview(serializers.Serializer[Any]):
    as_of = serializers.DateTimeField()
    gpus = TALLY(help_text="Over all clusters that you may see.")
    by_model = ModelShare(many=True)
    clusters = FleetClusters()


@declares("view")
class Overview(Part):
    """GPUs by class and model, clusters by state."""

    @extend_schema(responses=FleetOverview)
    def get(self, request: Request) -> Response:
        refuse_unknown(request, [])
        found = fleet.overview_for(self.principal)
        return Response(
            {
                "as_of": timezone.now(),
                "gpus": tally_row(found.total),
                "by_model": [
                    {"gpu_model": name, "gpus": tally_row(tally)}
                    for name, tally in found.by_model.items()
                ],
                "clusters": {
                    "total": found.clusters,
                    "by_state": dict(sorted(found.states.items())),
                    "cordoned": found.cordoned,
                    "not_seen": found.uncounted,
                },
            }
        )


def register(router: Router) -> None:
    """Add this app's endpoints."""
    router.add(path("fleet/overview/", Overview.as_view(), name="api-fleet-overview"))
    router.add(path("fleet/heatmap/", HeatmapView.as_view(), name="api-fleet-heatmap"))
