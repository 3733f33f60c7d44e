"""`plans/`: ask where a model goes; the verdict of every cluster, and what would be applied."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from fleetportal.accounts.models import Team
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import FieldProblem, Invalid
from fleetportal.kit.paths import path_to
from fleetportal.rest.bodies import Body
from fleetportal.rest.endpoints import ReadEndpoint
from fleetportal.rest.filters import Filter, refuse_unknown
from fleetportal.rest.rows import Rows
from workspaces.api.checks import CheckRow
from workspaces.engine.manifests import render
from workspaces.models import Deployment, Plan, Revision
from workspaces.selectors import catalog
from workspaces.selectors.verdicts import Verdicts, verdicts_of
from workspaces.services.plans import plan_again, plan_create, plan_wait, suggest_name
from workspaces.services.questions import dry_run_send
from workspaces.states import PLAN

VERDICTS_SHOWN = 200
LONG = ("verdicts_packed", "manifests")
VERDICT = (
    *("cluster", "verdict", "reason", "filters", "scores", "total", "replicas", "pool"),
    *("pool_kind", "instance_type", "nodes_per_replica", "price_per_hour"),
)


class NewPlan(Body):
    team = serializers.SlugField(required=False, help_text="Needed when you may plan for several.")
    name = serializers.CharField(required=False, help_text="Of a new or existing deployment.")
    deployment = serializers.UUIDField(required=False, help_text="Plan its next revision.")
    model = serializers.CharField(required=False, help_text="Slug, Hugging Face id or alias.")
    replicas = serializers.IntegerField(help_text="Over all chosen clusters, at least one each.")
    max_model_len = serializers.IntegerField(required=False, allow_null=True, default=None)
    runtime = serializers.CharField(required=False, default="vllm")
    strategy = serializers.CharField(required=False, default="staged")
    policy = serializers.DictField(required=False, default=dict)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "deployment" not in attrs and "model" not in attrs:
            missing = ErrorDetail("Neither model nor deployment is given.", code="required")
            raise serializers.ValidationError({"model": missing})
        if "deployment" in attrs and "name" in attrs:
            problem = "is given beside deployment, which has a name"
            raise Invalid(FieldProblem("name", problem, "Leave one of them out."))
        return attrs


class FilterAnswer(serializers.Serializer[Any]):
    name = serializers.CharField()
    passed = serializers.BooleanField(allow_null=True)
    value = serializers.CharField()
    limit = serializers.CharField()
    reason = serializers.CharField()


class ScoreAnswer(serializers.Serializer[Any]):
    name = serializers.CharField()
    weight = serializers.FloatField()
    value = serializers.FloatField(allow_null=True)
    points = serializers.FloatField()
    explanation = serializers.CharField()


class VerdictAnswer(serializers.Serializer[Any]):
    cluster = serializers.CharField()
    verdict = serializers.ChoiceField(choices=["selected", "spare", "rejected"])
    reason = serializers.CharField()
    filters = FilterAnswer(many=True)
    scores = ScoreAnswer(many=True)
    total = serializers.FloatField(allow_null=True)
    replicas = serializers.IntegerField()
    pool = serializers.CharField()
    pool_kind = serializers.CharField(allow_null=True)
    instance_type = serializers.CharField()
    nodes_per_replica = serializers.IntegerField(allow_null=True)
    price_per_hour = serializers.FloatField(allow_null=True)


class PlanRow(Rows, serializers.ModelSerializer[Plan]):
    url = serializers.SerializerMethodField()
    team = serializers.SlugRelatedField[Plan](slug_field="slug", read_only=True)
    deployment = serializers.UUIDField(source="deployment_id", read_only=True, allow_null=True)
    model = serializers.CharField(source="model_id", read_only=True)
    previous = serializers.UUIDField(source="previous_id", read_only=True, allow_null=True)
    replicas = serializers.IntegerField(source="spec.replicas", read_only=True)
    max_model_len = serializers.IntegerField(
        source="spec.max_model_len", read_only=True, allow_null=True
    )
    runtime = serializers.CharField(source="spec.runtime", read_only=True)
    strategy = serializers.CharField(source="spec.strategy", read_only=True)

    class Meta:
        model = Plan
        fields = (
            *("id", "url", "version", "state", "team", "name", "deployment", "model", "replicas"),
            *("max_model_len", "runtime", "strategy", "digest", "summary", "blocked_reason"),
            *("price_per_hour", "price_is_partial", "previous", "created_at", "expires_at"),
        )

    def get_url(self, plan: Plan) -> str:
        return path_to("plan", plan.pk)


class PlanDetail(PlanRow):
    """`verdicts`: every cluster; above 200 the page that `?page=` names, of `verdict_count`."""

    policy = serializers.DictField(source="spec.policy", read_only=True)
    verdict_count = serializers.SerializerMethodField()
    verdicts = serializers.SerializerMethodField()
    _read: Verdicts | None = None

    class Meta(PlanRow.Meta):
        fields = (*PlanRow.Meta.fields, "policy", "verdict_count", "verdicts")  # type: ignore[assignment]

    def get_verdict_count(self, plan: Plan) -> int:
        return len(self._frozen(plan))

    @extend_schema_field(VerdictAnswer(many=True))
    def get_verdicts(self, plan: Plan) -> list[dict[str, Any]]:
        page = Paginator(self._frozen(plan), VERDICTS_SHOWN).get_page(self.context.get("page", 1))
        return [{name: getattr(verdict, name) for name in VERDICT} for verdict in page]

    def _frozen(self, plan: Plan) -> Verdicts:
        """Two fields come from one reading."""
        if self._read is None:
            self._read = verdicts_of(plan)
        return self._read


class ManifestsAnswer(serializers.Serializer[Any]):
    base = serializers.ListField(child=serializers.DictField())
    patches = serializers.DictField(child=serializers.DictField())
    clusters = serializers.DictField(child=serializers.ListField(child=serializers.DictField()))


@declares("view")
class Plans(ReadEndpoint):
    """Plans of one's teams, newest first. A plan is frozen; ask for another instead of editing."""

    model = Plan
    verbs: ClassVar[dict[str, str]] = {
        "create": "plan.create",
        "again": "plan.create",
        "dry_run": "plan.create",
    }
    serializer_class = PlanRow
    filters: ClassVar[dict[str, Filter]] = {
        "state": Filter("state__in", "choice", tuple(PLAN.states)),
        "team": Filter("team__slug"),
        "name": Filter("name"),
        "model": Filter("model_id"),
        "deployment": Filter("deployment_id", "uuid"),
    }
    orderings: ClassVar[dict[str, str]] = {
        "created_at": "created_at",
        "expires_at": "expires_at",
        "name": "name",
        "price_per_hour": "price_per_hour",
    }

    def rows(self) -> QuerySet[Plan]:
        rows = Plan.objects.visible_to(self.principal).select_related("team")
        return rows.defer(*LONG) if self.action == "list" else rows

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return PlanRow if self.action == "list" else PlanDetail

    def get_serializer_context(self) -> dict[str, Any]:
        page = self.request.query_params.get("page", 1) if self.request else 1
        return {**super().get_serializer_context(), "page": page}

    @extend_schema(request=NewPlan, responses={201: PlanDetail, 202: PlanDetail})
    def create(self, request: Request) -> Response:
        """201; 202 while the plan is still `computing`."""
        asked = NewPlan.sent(request)
        plan = plan_create(principal=self.principal, **self._resolved(asked))
        return self._answer(plan)

    @extend_schema(request=None, responses={201: PlanDetail, 202: PlanDetail})
    @action(detail=True, methods=["post"])
    def again(self, request: Request, pk: str) -> Response:
        """The same once more, to see what changed."""
        return self._answer(plan_again(principal=self.principal, plan=self.get_object()))

    @extend_schema(request=None, responses={201: CheckRow, 202: CheckRow})
    @action(detail=True, methods=["post"], url_path="dry-run")
    def dry_run(self, request: Request, pk: str) -> Response:
        """Ask every chosen cluster whether it would take the objects; nothing is changed there."""
        check = dry_run_send(principal=self.principal, plan=self.get_object())
        return Response(CheckRow(check).data, status=201 if check.finished_at else 202)

    @extend_schema(responses=ManifestsAnswer)
    @action(detail=True, methods=["get"], filter_backends=(), pagination_class=None)
    def manifests(self, request: Request, pk: str) -> Response:
        """The base, the patch of each cluster, and both put together. Without secret values."""
        refuse_unknown(request, [])
        stored = self.get_object().manifests or {"base": [], "patches": {}}
        whole = {name: render(stored["base"], p) for name, p in stored["patches"].items()}
        return Response({"base": stored["base"], "patches": stored["patches"], "clusters": whole})

    def _answer(self, plan: Plan) -> Response:
        plan_wait(plan)
        body = PlanDetail(plan, context=self.get_serializer_context()).data
        status = 202 if plan.state == "computing" else 201
        return Response(body, status=status, headers={"Location": f"{self._path}{plan.pk}/"})

    @property
    def _path(self) -> str:
        return reverse("api-plan-list")

    def _resolved(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Team and deployment as rows, model and name filled in where they follow."""
        if "deployment" in asked:
            return self._of_deployment(asked)
        team = self._team(asked.pop("team", None))
        model = catalog.model_named(asked["model"])
        if model is None:
            raise Invalid(FieldProblem("model", "is not in the catalog", "See models/."))
        name = asked.pop("name", None) or suggest_name(team, model)
        return {**asked, "team": team, "name": name, "model": model}

    def _of_deployment(self, asked: dict[str, Any]) -> dict[str, Any]:
        pk: UUID = asked.pop("deployment")
        asked.pop("team", None)
        rows = Deployment.objects.visible_to(self.principal).live().select_related("team")
        deployment = rows.filter(pk=pk).first()
        if deployment is None:
            raise Invalid(
                FieldProblem("deployment", "is none that you can see", "See deployments/.")
            )
        if "model" not in asked:
            newest = Revision.objects.filter(deployment=deployment).order_by("-number").first()
            if newest is None:
                raise Invalid(FieldProblem("model", "is missing", "Name a model of the catalog."))
            asked["model"] = newest.model_id
        return {**asked, "team": deployment.team, "name": deployment.name}

    def _team(self, slug: str | None) -> Team:
        teams = self.principal.teams()
        if slug is not None:
            found = next((team for team in teams if team.slug == slug), None)
            if found is None:
                raise Invalid(FieldProblem("team", "is none of yours", "Name a team you are in."))
            return found
        able = [team for team in teams if self.principal.may("plan.create", team.pk)]
        if len(able) != 1:
            names = ", ".join(team.slug for team in able) or "none"
            raise Invalid(FieldProblem("team", "is needed", f"You may plan for: {names}."))
        return able[0]
