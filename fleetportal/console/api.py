"""`fleet/overview/` and `fleet/at/`: what the fleet pages show, from the same selectors."""

from __future__ import annotations

from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.api import TALLY, tally_row
from fleetportal.accounts.principal import declares
from fleetportal.console.heat_api import HeatmapView
from fleetportal.console.selectors import fleet, moment
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


class WorkloadThen(serializers.Serializer[Any]):
    deployment = serializers.CharField()
    team = serializers.CharField()
    model = serializers.CharField()
    state = serializers.CharField()
    replicas = serializers.IntegerField()


class ClusterThen(serializers.Serializer[Any]):
    name = serializers.CharField()
    state = serializers.CharField()
    cordoned = serializers.BooleanField()
    gpus = TALLY()
    busy = serializers.FloatField(
        allow_null=True, help_text="Mean utilisation of its measured GPUs, 0 to 1."
    )
    workloads = WorkloadThen(many=True)
    other_teams = serializers.IntegerField(help_text="Workloads of other teams.")


class FleetThen(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    gpus = TALLY(help_text="Over all clusters that you may see and that were managed then.")
    busy = serializers.FloatField(allow_null=True)
    clusters = ClusterThen(many=True)
    unknown = serializers.ListField(
        child=serializers.CharField(), help_text="Clusters of which nothing is recorded up to then."
    )


@declares("view")
class At(Part):
    """The fleet as it was at a moment of the last 90 days, to the minute."""

    @extend_schema(
        responses=FleetThen,
        parameters=[OpenApiParameter("at", OpenApiTypes.DATETIME, required=True)],
    )
    def get(self, request: Request) -> Response:
        refuse_unknown(request, ["at"])
        at = moment.parse_at(request.query_params.get("at", ""), timezone.now())
        then = moment.fleet_then(self.principal, at)
        return Response(
            {
                "at": then.at,
                "gpus": tally_row(then.overview.total),
                "busy": then.use,
                "clusters": [_cluster_then(line) for line in then.lines],
                "unknown": [cluster.name for cluster in then.unknown],
            }
        )


def _cluster_then(line: moment.Line) -> dict[str, Any]:
    return {
        "name": line.cluster.name,
        "state": line.cluster.state,
        "cordoned": line.cluster.cordoned,
        "gpus": tally_row(line.tally),
        "busy": None if line.use is None else line.use.share,
        "workloads": [
            {
                "deployment": one.name,
                "team": one.team,
                "model": one.model,
                "state": one.state,
                "replicas": one.replicas,
            }
            for one in line.workloads
        ],
        "other_teams": line.others,
    }


def register(router: Router) -> None:
    """Add this app's endpoints."""
    router.add(path("fleet/at/", At.as_view(), name="api-fleet-at"))
    router.add(path("fleet/overview/", Overview.as_view(), name="api-fleet-overview"))
    router.add(path("fleet/heatmap/", HeatmapView.as_view(), name="api-fleet-heatmap"))
