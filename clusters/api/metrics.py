"""`clusters/{name}/metrics/`: how a cluster's metrics are read, and what came of it last."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.models import Cluster
from clusters.selectors.metrics import ROADS, MetricsSettings, metrics_line, metrics_of
from clusters.services.metrics import metrics_configure
from fleetportal.rest.bodies import Body
from fleetportal.rest.endpoints import ReadEndpoint
from fleetportal.rest.filters import refuse_unknown
from fleetportal.rest.preconditions import check_version


class MetricsChange(Body):
    """What is absent stays as it is. `token` "" forgets the stored one; it is never told."""

    road = serializers.ChoiceField(choices=ROADS, required=False)
    service = serializers.CharField(
        required=False, allow_blank=True, max_length=400, help_text="namespace/name:port"
    )
    url = serializers.CharField(required=False, allow_blank=True, max_length=300)
    ca = serializers.CharField(
        required=False, allow_blank=True, max_length=65_536, help_text="PEM."
    )
    token = serializers.CharField(
        required=False, allow_blank=True, max_length=8_192, write_only=True
    )
    prefix = serializers.CharField(required=False, allow_blank=True, max_length=40)
    matchers = serializers.DictField(
        child=serializers.CharField(max_length=200), required=False, help_text="label: value"
    )


class MetricsRow(serializers.Serializer[Any]):
    """`found`: a Prometheus that the portal saw by itself. Unknown is null."""

    road = serializers.ChoiceField(choices=ROADS)
    service = serializers.CharField()
    url = serializers.CharField()
    has_token = serializers.BooleanField()
    prefix = serializers.CharField()
    matchers = serializers.DictField(child=serializers.CharField())
    found = serializers.CharField()
    last_answer_at = serializers.DateTimeField(allow_null=True)
    problem = serializers.CharField()
    gpus_measured = serializers.IntegerField(allow_null=True)
    serving_pods = serializers.IntegerField()
    silent_pods = serializers.IntegerField()
    history_from = serializers.DateTimeField(allow_null=True)


class MetricsActions(ReadEndpoint):
    """Mixed into the endpoint of clusters."""

    @extend_schema(responses=MetricsRow)
    @action(detail=True, methods=["get"], filter_backends=[])
    def metrics(self, request: Request, name: str) -> Response:
        """How this cluster's metrics are read, and how that goes."""
        refuse_unknown(request, [])
        return Response(_row(self.get_object()))

    @extend_schema(request=MetricsChange, responses=MetricsRow)
    @metrics.mapping.patch
    def metrics_change(self, request: Request, name: str) -> Response:
        """Read them in another way; the collector takes it up within seconds."""
        cluster: Cluster = self.get_object()
        check_version(request, cluster)
        sent = MetricsChange.sent(request)
        metrics_configure(
            principal=self.principal,
            cluster=cluster,
            wanted=_wanted(cluster, sent),
            token=sent.get("token"),
        )
        return Response(_row(cluster))


def _wanted(cluster: Cluster, sent: dict[str, Any]) -> MetricsSettings:
    held = metrics_of(cluster)
    return MetricsSettings(
        road=sent.get("road", held.road),
        service=sent.get("service", held.service),
        url=sent.get("url", held.url),
        ca_pem=sent.get("ca", held.ca_pem),
        prefix=sent.get("prefix", held.prefix),
        matchers=sent.get("matchers", held.matchers),
    )


def _row(cluster: Cluster) -> dict[str, Any]:
    held, line = metrics_of(cluster), metrics_line(cluster)
    row = {
        "road": held.road,
        "service": held.service,
        "url": held.url,
        "has_token": bool(cluster.metrics_token_sealed),
        "prefix": held.prefix,
        "matchers": dict(held.matchers),
        "found": held.found,
        "last_answer_at": line.at,
        "problem": line.problem,
        "gpus_measured": line.cards,
        "serving_pods": line.pods,
        "silent_pods": line.silent,
        "history_from": line.past,
    }
    return dict(MetricsRow(row).data)
