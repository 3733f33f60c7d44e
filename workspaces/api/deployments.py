"""`deployments/`: what a team runs, on which clusters, and how it fares. Reading only.

Creating and deleting belong to rollouts, which subclasses DeploymentViewSet and registers it.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleetportal.accounts.principal import declares
from fleetportal.journal.selectors import events_for
from fleetportal.kit.paths import path_to
from fleetportal.rest.bodies import Body
from fleetportal.rest.endpoints import ReadEndpoint
from fleetportal.rest.events_api import EventRow
from fleetportal.rest.filters import Filter, refuse_unknown
from fleetportal.rest.rows import Rows
from workspaces.api.checks import CheckRow
from workspaces.api.serving import MetricsAnswer, MetricsQuestion, metrics_answer
from workspaces.engine.serving import BY_KEY
from workspaces.models import Deployment, Workspace
from workspaces.selectors import deployments as listing
from workspaces.selectors.cost import cost_of
from workspaces.selectors.deployment import address_of
from workspaces.selectors.deployments import DeploymentRow
from workspaces.selectors.serving import serving_of
from workspaces.services.questions import prompt_send
from workspaces.states import DEPLOYMENT


class DeploymentAnswer(Rows):
    """`state` is what it is meant to be; `health` how it fares, with its `cause`. `clusters_ready`
    of `clusters` serve. Unknown is null."""

    id = serializers.CharField(source="deployment.pk")
    url = serializers.SerializerMethodField()
    version = serializers.IntegerField(source="deployment.version")
    state = serializers.ChoiceField(choices=sorted(DEPLOYMENT.states), source="deployment.state")
    health = serializers.SerializerMethodField()
    cause = serializers.CharField(source="fare.cause")
    needs_attention = serializers.BooleanField(source="fare.attention")
    name = serializers.CharField(source="deployment.name")
    team = serializers.CharField(source="deployment.team.slug")
    model = serializers.CharField(source="model_slug")
    revision = serializers.IntegerField(
        source="number", allow_null=True, help_text="the newest, whether it serves or not"
    )
    serving_revisions = serializers.ListField(
        child=serializers.IntegerField(),
        source="serves",
        help_text="those that answer somewhere, the newest first",
    )
    clusters = serializers.IntegerField(source="fare.clusters")
    clusters_ready = serializers.IntegerField(source="fare.ready")
    replicas = serializers.IntegerField()
    ready_replicas = serializers.IntegerField(allow_null=True)
    price_per_hour = serializers.FloatField(allow_null=True)
    held = serializers.BooleanField(source="deployment.held")
    held_reason = serializers.CharField(source="deployment.held_reason")
    created_by = serializers.CharField(source="deployment.created_by.username")
    created_at = serializers.DateTimeField(source="deployment.created_at")

    def get_url(self, row: DeploymentRow) -> str:
        return path_to("deployment", row.deployment.pk)

    def get_health(self, row: DeploymentRow) -> str:
        return re.sub(r"[^a-z0-9]+", "_", row.fare.word.lower())


class WorkspaceAnswer(Rows, serializers.ModelSerializer[Workspace]):
    cluster = serializers.CharField(source="cluster.name", read_only=True)
    revision = serializers.IntegerField(source="revision.number", read_only=True)
    address = serializers.SerializerMethodField()

    class Meta:
        model = Workspace
        fields = (
            *("id", "version", "cluster", "revision", "state", "reason", "message", "state_since"),
            *("kind", "namespace", "name", "service", "address", "serving", "replicas"),
            *("ready_replicas", "instance_type", "nodes_per_replica", "price_per_hour"),
            *("changed_outside", "conditions", "phases", "benchmark", "observed_at"),
        )

    def get_address(self, workspace: Workspace) -> str:
        return address_of(workspace)


class Summed(serializers.Serializer[Any]):
    """`usd` is the sum of the `known` parts, null when none is; `unknown` parts are in no sum."""

    usd = serializers.FloatField(source="value", allow_null=True)
    known = serializers.IntegerField()
    unknown = serializers.IntegerField()


class CostAnswer(serializers.Serializer[Any]):
    """Money in $; parts are workspaces."""

    per_hour = Summed(source="now", help_text="Of everything that holds nodes now.")
    to_date = Summed()
    since = serializers.DateTimeField(allow_null=True)
    unpriced_node_hours = serializers.FloatField(source="unpriced_hours")
    idle_gpus = serializers.IntegerField(allow_null=True)
    idle_per_hour = Summed(source="idle")
    idle_to_date = Summed(source="idle_usd")
    per_million_tokens_at_peak = serializers.FloatField(source="at_peak", allow_null=True)
    per_million_tokens_observed = serializers.FloatField(source="observed", allow_null=True)


class NewPrompt(Body):
    prompt = serializers.CharField(max_length=4000)
    cluster = serializers.CharField(required=False, default="", allow_blank=True)


class PromptAnswer(CheckRow):
    """The check, and the model's words once they are there."""

    answer = serializers.CharField(source="result.answer", default=None, read_only=True)

    class Meta(CheckRow.Meta):
        fields = (*CheckRow.Meta.fields, "answer")  # type: ignore[assignment]


@declares("view")
class DeploymentViewSet(ReadEndpoint):
    """Deployments of one's teams: those that need a person first, then by name."""

    model = Deployment
    verbs: ClassVar[dict[str, str]] = {"prompt": "deployment.prompt"}
    serializer_class = DeploymentAnswer
    filters: ClassVar[dict[str, Filter]] = {
        "state": Filter("state__in", "choice", tuple(DEPLOYMENT.states)),
        "team": Filter("team__slug"),
        "name": Filter("name"),
        "model": Filter("model_slug"),
    }
    orderings: ClassVar[dict[str, str]] = {
        "name": "name",
        "created_at": "created_at",
        "model": "model_slug",
        "team": "team__slug",
    }

    def rows(self) -> QuerySet[Deployment]:
        return listing.sorted_by(listing.deployments_for(self.principal), "name")

    @extend_schema(responses=DeploymentAnswer(many=True))
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(
            DeploymentAnswer(listing.rows_of(list(page)), many=True).data
        )

    @extend_schema(responses=DeploymentAnswer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(deployment_answer(self.get_object()))

    @extend_schema(responses=WorkspaceAnswer(many=True))
    @action(detail=True, methods=["get"], filter_backends=())
    def workspaces(self, request: Request, pk: str) -> Response:
        """What each revision has in each cluster, those that are gone last."""
        refuse_unknown(request, ["page", "page_size"])
        rows = Workspace.objects.filter(deployment=self.get_object())
        rows = rows.select_related("cluster", "revision").order_by("-created_at", "pk")
        rows = rows.defer("manifests", "cluster__pools_packed", "cluster__nodes_packed")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(WorkspaceAnswer(page, many=True).data)

    @extend_schema(responses=EventRow(many=True))
    @action(detail=True, methods=["get"], filter_backends=())
    def history(self, request: Request, pk: str) -> Response:
        """Its events in the journal, newest first."""
        refuse_unknown(request, ["page", "page_size"])
        scope = f"deployment:{self.get_object().pk}"
        page = self.paginate_queryset(events_for(self.principal).filter(scope=scope))
        return self.get_paginated_response(EventRow(page, many=True).data)

    @extend_schema(responses=CostAnswer)
    @action(detail=True, methods=["get"], filter_backends=())
    def cost(self, request: Request, pk: str) -> Response:
        """What it costs now, cost so far, and costs for a million tokens."""
        refuse_unknown(request, [])
        return Response(CostAnswer(cost_of(self.get_object(), timezone.now())).data)

    @extend_schema(parameters=[MetricsQuestion], responses=MetricsAnswer)
    @action(detail=True, methods=["get"], filter_backends=())
    def metrics(self, request: Request, pk: str) -> Response:
        """How it serves over a time: rates, latencies with their buckets, cache, queue."""
        refuse_unknown(request, ["range", "cluster"])
        asked = MetricsQuestion(data=request.query_params)
        asked.is_valid(raise_exception=True)
        now = timezone.now()
        chosen = BY_KEY[asked.validated_data["range"]]
        cluster = asked.validated_data["cluster"]
        return Response(metrics_answer(serving_of(self.get_object(), chosen, cluster, now), now))

    @extend_schema(request=NewPrompt, responses={201: PromptAnswer, 202: PromptAnswer})
    @action(detail=True, methods=["post"])
    def prompt(self, request: Request, pk: str) -> Response:
        """Ask the model through its own Service. 202 while a worker is at it: see checks/{id}/."""
        asked = NewPrompt.sent(request)
        check = prompt_send(principal=self.principal, deployment=self.get_object(), **asked)
        return Response(PromptAnswer(check).data, status=201 if check.finished_at else 202)


def deployment_answer(deployment: Deployment) -> dict[str, Any]:
    """One deployment as the API shows it; it must come from DeploymentViewSet.rows()."""
    answer: dict[str, Any] = DeploymentAnswer(listing.row_of(deployment)).data
    return answer
