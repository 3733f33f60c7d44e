"""`fleet/heatmap/`: the cells of the heatmap as JSON, a page of clusters at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.engine import heat as engine
from clusters.models import Cluster
from clusters.selectors.census import HEAVY, silent
from clusters.selectors.facts import nodes_of
from clusters.selectors.heat import rows_for, value
from clusters.selectors.heat_table import node_cells
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import FieldProblem, Invalid
from fleetportal.rest.endpoints import Part
from fleetportal.rest.filters import refuse_unknown
from fleetportal.rest.pages import Page

UNITS = {"util": "%", "memory": "%", "power": "W", "temperature": "C", "idle": "s"}


class HeatGpu(serializers.Serializer[Any]):
    value = serializers.FloatField(allow_null=True, help_text="Of the metric; null: unknown.")
    exported = serializers.BooleanField(help_text="False: measured, but not this metric.")
    allocation = serializers.ChoiceField(engine.ALLOCATION, allow_null=True)
    fault = serializers.BooleanField()


class HeatNode(serializers.Serializer[Any]):
    name = serializers.CharField()
    gpus = HeatGpu(many=True, help_text="Cards 0 to n-1.")


class HeatCluster(serializers.Serializer[Any]):
    cluster = serializers.CharField()
    seen = serializers.BooleanField(help_text="False: not in contact; its cells are unknown.")
    measured_at = serializers.DateTimeField(allow_null=True)
    nodes = HeatNode(many=True)


class Heatmap(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="Clusters.")
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    metric = serializers.ChoiceField(engine.METRICS)
    unit = serializers.CharField(help_text="Empty for the allocation.")
    results = HeatCluster(many=True)


_METRIC = OpenApiParameter(
    "metric", OpenApiTypes.STR, enum=engine.METRICS, default="util", description="What cells say."
)


@declares("view")
class HeatmapView(Part):
    """What every GPU does, by cluster and node. For scripts; the page reads bytes."""

    @extend_schema(responses=Heatmap, parameters=[_METRIC])
    def get(self, request: Request) -> Response:
        refuse_unknown(request, ["metric", "page", "page_size"])
        metric = request.query_params.get("metric", "util")
        if metric not in engine.METRICS:
            known = ", ".join(engine.METRICS)
            raise Invalid(FieldProblem("metric", "There is no such metric", f"One of {known}."))
        pages = Page()
        rows = rows_for(self.principal).select_related("heat").defer(*HEAVY)
        shown = pages.paginate_queryset(rows, request, view=self) or []
        response = pages.get_paginated_response([_cluster(one, metric) for one in shown])
        response.data |= {"metric": metric, "unit": UNITS.get(metric, "")}
        return response


def _cluster(cluster: Cluster, metric: str) -> dict[str, Any]:
    row = getattr(cluster, "heat", None)
    return {
        "cluster": cluster.name,
        "seen": not silent(cluster),
        "measured_at": row.at if row else None,
        "nodes": list(_nodes(cluster, metric)),
    }


def _nodes(cluster: Cluster, metric: str) -> Iterable[dict[str, Any]]:
    place = 0
    for node in nodes_of(cluster):
        cards = engine.cards_of(node)
        cells = node_cells(cluster, metric, place, cards)
        place += cards
        yield {
            "name": node.name,
            "gpus": [
                {
                    "value": value(metric, byte),
                    "exported": byte != engine.NOT_EXPORTED,
                    "allocation": None if held == engine.UNKNOWN else engine.ALLOCATION[held],
                    "fault": bool(mark & engine.FAULT),
                }
                for byte, held, mark in zip(
                    cells.values, cells.allocation, cells.marks, strict=True
                )
            ],
        }
