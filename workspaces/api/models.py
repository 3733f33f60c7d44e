"""`models/`: the catalog, and where a model fits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleetportal.accounts.models import Team
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import FieldProblem, Invalid, Missing
from fleetportal.rest.endpoints import ReadEndpoint
from fleetportal.rest.filters import Filter, refuse_unknown
from fleetportal.rest.rows import Rows
from workspaces.engine.fits import Fit, FitRow
from workspaces.engine.sizing import DEFAULT_KAITO, estimate
from workspaces.engine.skus import shape_for
from workspaces.engine.types import GIB, Estimate, ModelSpec, Shape
from workspaces.models import CatalogModel
from workspaces.selectors import catalog
from workspaces.selectors.fit import shape_words
from workspaces.services.fit import catalog_fits, model_fit

SHAPE = re.compile(r"([1-9][0-9]{0,2})x([1-9][0-9]{0,3}(?:\.[0-9]{1,3})?)")


class ModelRow(Rows, serializers.ModelSerializer[CatalogModel]):
    """Unknown is null; `fits` of `clusters` can take one replica now."""

    id = serializers.CharField(source="slug", read_only=True)
    url = serializers.SerializerMethodField()
    parameters = serializers.CharField(source="facts.parameters", read_only=True, allow_null=True)
    quantization = serializers.CharField(source="facts.spec.quantization", read_only=True)
    tasks = serializers.ListField(child=serializers.CharField(), source="facts.tasks")
    aliases = serializers.ListField(child=serializers.CharField(), source="facts.aliases")
    runtimes = serializers.ListField(child=serializers.CharField(), source="facts.spec.runtimes")
    fits = serializers.IntegerField(source="fits_count", read_only=True)
    clusters = serializers.SerializerMethodField()
    price_per_hour = serializers.FloatField(source="price_from", read_only=True, allow_null=True)

    class Meta:
        model = CatalogModel
        fields = (
            *("id", "slug", "url", "hf_id", "name", "publisher", "licence", "gated"),
            *("weights_gib", "context_limit", "parameters", "quantization", "tasks", "aliases"),
            *("runtimes", "fits", "clusters", "price_per_hour"),
        )

    def get_url(self, row: CatalogModel) -> str:
        return reverse("model", args=[row.slug])

    def get_clusters(self, row: CatalogModel) -> int:
        fits: Mapping[str, Fit] = self.context["fits"]
        return fits[row.slug].clusters if row.slug in fits else 0


class ModelDetail(ModelRow):
    """A row of the list with everything the catalog knows."""

    summary = serializers.CharField(source="facts.summary")
    architecture = serializers.CharField(source="facts.spec.architecture")
    attention = serializers.CharField(source="facts.spec.attention")
    kv_bytes_per_token = serializers.IntegerField(source="facts.spec.kv_bytes_per_token")
    min_compute_capability = serializers.FloatField(
        source="facts.spec.min_compute_capability", allow_null=True
    )
    tool_call_parser = serializers.CharField(source="facts.tool_call_parser", allow_null=True)
    reasoning_parser = serializers.CharField(source="facts.reasoning_parser", allow_null=True)
    mt_bench = serializers.FloatField(source="facts.mt_bench", allow_null=True)

    class Meta(ModelRow.Meta):
        fields = (  # type: ignore[assignment]
            *ModelRow.Meta.fields,
            *("summary", "architecture", "attention", "kv_bytes_per_token"),
            *("min_compute_capability", "tool_call_parser", "reasoning_parser", "mt_bench"),
        )


class LineRow(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]
    formula = serializers.CharField()
    value = serializers.FloatField()
    unit = serializers.CharField()


class WarningRow(serializers.Serializer[Any]):
    code = serializers.CharField()
    text = serializers.CharField()


class FitAnswer(serializers.Serializer[Any]):
    """One pool of a cluster, or the shape that was asked for (cluster and pool null)."""

    cluster = serializers.CharField(allow_null=True)
    pool = serializers.CharField(allow_null=True)
    shape = serializers.CharField(allow_null=True)
    instance_type = serializers.CharField(allow_null=True)
    nodes = serializers.IntegerField(allow_null=True)
    gpus = serializers.IntegerField(allow_null=True)
    tensor_parallel = serializers.IntegerField(allow_null=True)
    pipeline_parallel = serializers.IntegerField(allow_null=True)
    data_parallel = serializers.IntegerField(allow_null=True)
    max_context = serializers.IntegerField(allow_null=True)
    corrected_nodes = serializers.IntegerField(allow_null=True)
    price_per_hour = serializers.FloatField(allow_null=True)
    replicas = serializers.IntegerField(
        allow_null=True, help_text="How many fit now; null: unknown, or an arbitrary shape."
    )
    fits = serializers.BooleanField()
    reason = serializers.CharField()
    warnings = WarningRow(many=True)
    arithmetic = LineRow(many=True)


FIT_PARAMETERS = [
    OpenApiParameter("shape", str, description="GPUs x GiB each (2x80), or an instance type"),
    OpenApiParameter("max_model_len", int, description="tokens; KAITO's 2,048 by default"),
    OpenApiParameter("kaito", str, description=f"for a shape; {DEFAULT_KAITO} by default"),
    OpenApiParameter("team", str, description="whose clusters; the first of yours by default"),
]


@declares("view")
class Models(ReadEndpoint):
    """The catalog. A model answers to its slug (the id, `/` as `--`) and to its aliases."""

    model = CatalogModel
    serializer_class = ModelRow
    lookup_field = "slug"
    filters: ClassVar[dict[str, Filter]] = {
        "search": Filter("search__icontains", help="words of id, publisher, tasks, aliases"),
        "publisher": Filter("publisher"),
        "licence": Filter("licence"),
        "task": Filter("facts__tasks__icontains"),
        "gated": Filter("gated", "bool"),
        "fits": Filter("fits_now", "bool", help="at least one cluster can take a replica now"),
    }
    orderings: ClassVar[dict[str, str]] = {
        "name": "name",
        "publisher": "publisher",
        "weights_gib": "weights_gib",
        "context_limit": "context_limit",
        "price_per_hour": "price_from",
        "fits": "fits_count",
    }

    def rows(self) -> QuerySet[CatalogModel]:
        team = self._team()
        token = catalog.has_token(team.pk if team else None)
        rows = catalog.with_fits(catalog.enabled(), self._fits(), has_token=token)
        return catalog.sorted_by(rows, "fits")

    def get_object(self) -> CatalogModel:
        found = catalog.model_named(self.kwargs["slug"])
        if found is None:
            raise Missing("The catalog has no such model.", remedy="See models/.")
        return self.rows().get(slug=found.slug)

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return ModelDetail if self.action == "retrieve" else ModelRow

    def get_serializer_context(self) -> dict[str, Any]:
        context = super().get_serializer_context()
        return {**context, "fits": {} if self._fake else self._fits()}

    @extend_schema(parameters=FIT_PARAMETERS, responses=FitAnswer(many=True))
    @action(detail=True, methods=["get"], filter_backends=())
    def fit(self, request: Request, slug: str) -> Response:
        """Every pool of every visible cluster, or one arbitrary node shape."""
        refuse_unknown(request, [*(str(one.name) for one in FIT_PARAMETERS), "page", "page_size"])
        model, length = self.get_object(), _length(request)
        if "shape" in request.query_params:
            answers = [_of_shape(catalog.entry_of(model).spec, request, length)]
        else:
            rows = model_fit(
                principal=self.principal, team=self._team(), model=model, max_model_len=length
            )
            answers = [_of_pool(row) for row in rows]
        page = self.paginate_queryset(answers)
        return self.get_paginated_response(page)

    @property
    def _fake(self) -> bool:
        return bool(getattr(self, "swagger_fake_view", False))

    def _fits(self) -> Mapping[str, Fit]:
        """Once for each request."""
        if not hasattr(self, "_known_fits"):
            self._known_fits = catalog_fits(principal=self.principal, team=self._team())
        return self._known_fits

    def _team(self) -> Team | None:
        teams = self.principal.teams()
        wanted = self.request.query_params.get("team")
        if wanted is None:
            able = [team for team in teams if self.principal.may("plan.create", team.pk)]
            return next(iter(able or teams), None)
        found = next((team for team in teams if team.slug == wanted), None)
        if found is None:
            raise Invalid(FieldProblem("team", "is none of yours", "Leave it out, or name one."))
        return found


def _length(request: Request) -> int | None:
    text = request.query_params.get("max_model_len")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        remedy = "A whole number of tokens, from 1."
        raise Invalid(FieldProblem("max_model_len", f"{text[:20]!r} is no length", remedy))
    return int(text)


def _of_shape(model: ModelSpec, request: Request, length: int | None) -> dict[str, Any]:
    shape = _shape(request.query_params["shape"])
    kaito = request.query_params.get("kaito", DEFAULT_KAITO)
    found = estimate(model, shape, length, kaito)
    return {
        "cluster": None,
        "pool": None,
        "shape": _short(shape),
        "instance_type": shape.instance_type or None,
        "price_per_hour": None,
        "replicas": None,
        "fits": found.fits,
        "reason": found.reason,
        **_numbers(found),
    }


def _shape(text: str) -> Shape:
    known = shape_for(text)
    if known is not None:
        return known
    match = SHAPE.fullmatch(text.strip())
    if match is None:
        remedy = "GPUs x GiB each, such as 2x80, or an instance type."
        raise Invalid(FieldProblem("shape", f"{text[:40]!r} is no node shape", remedy))
    return Shape(int(match[1]), round(float(match[2]) * GIB))


def _of_pool(row: FitRow) -> dict[str, Any]:
    return {
        "cluster": row.cluster,
        "pool": row.pool or None,
        "shape": _short(row.shape),
        "instance_type": row.instance_type or None,
        "price_per_hour": row.price_per_hour,
        "replicas": row.room,
        "fits": row.fits,
        "reason": row.reason,
        **_numbers(row.estimate),
    }


def _short(shape: Shape | None) -> str | None:
    """ "2x80", as it is asked for."""
    return None if shape is None else shape_words(shape).removesuffix(" GiB").replace(" ", "")


NUMBERS = (
    *("nodes", "gpus", "tensor_parallel", "pipeline_parallel", "data_parallel"),
    *("max_context", "corrected_nodes"),
)


def _numbers(found: Estimate | None) -> dict[str, Any]:
    rows: dict[str, Any] = {name: getattr(found, name, None) for name in NUMBERS}
    rows["warnings"] = [{"code": w.code, "text": w.text} for w in (found.warnings if found else ())]
    rows["arithmetic"] = [
        {"label": one.label, "formula": one.formula, "value": one.value, "unit": one.unit}
        for one in (found.lines if found else ())
    ]
    return rows
