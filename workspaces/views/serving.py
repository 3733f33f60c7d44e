"""How a deployment serves: figures for its page as JSON, and the numbers as a table or CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Missing
from fleetportal.kit.fragments import fragment
from fleetportal.rest.auth import principal_of
from workspaces.engine.serving import BY_KEY, DEFAULT, RANGES, Range
from workspaces.engine.serving_charts import BY_KEY as CHARTS_BY_KEY
from workspaces.engine.serving_charts import CHARTS
from workspaces.models import Deployment, Workspace
from workspaces.selectors.serving import Serving, place_of, places_of, serving_of, topics_of
from workspaces.views import serving_figures as figures


@require_GET
@declares("view")
def serving_figures(request: HttpRequest, pk: UUID) -> HttpResponse:
    """`?range=&cluster=`; made once for each change and kind of reader."""
    deployment = _deployment(request, pk)
    topics = [f"deployment:{deployment.pk}", *topics_of(places_of(deployment))]
    return fragment(
        request,
        "serving",
        topics,
        lambda: JsonResponse(figures.figures(_serving(request, deployment))),
    )


@require_GET
@declares("view")
def serving_table(request: HttpRequest, pk: UUID) -> HttpResponse:
    """`?range=&cluster=&chart=`, or all numbers with `?format=csv`."""
    deployment = _deployment(request, pk)
    serving = _serving(request, deployment)
    if request.GET.get("format") == "csv":
        return _csv(deployment, serving)
    chart = CHARTS_BY_KEY.get(request.GET.get("chart", ""), CHARTS[0])
    columns = figures.columns(serving, chart)
    context = {
        "deployment": deployment,
        "serving": serving,
        "ranges": RANGES,
        "charts": CHARTS,
        "chart": chart,
        "columns": columns,
        "rows": figures.rows(serving, chart, columns),
        "promql": figures.promql(serving, chart),
    }
    return render(request, "workspaces/serving.html", context)


def serving_place(
    request: HttpRequest, deployment: Deployment, workspaces: Iterable[Workspace]
) -> dict[str, Any]:
    """What templates/workspaces/_serving.html wants; numbers come later."""
    places = [place_of(workspace) for workspace in workspaces]
    return {
        "ranges": RANGES,
        "range": asked_range(request),
        "clusters": sorted({place.cluster for place in places}),
        "cluster": request.GET.get("cluster", ""),
        "topics": [f"deployment:{deployment.pk}", *topics_of(places)],
        "charts": CHARTS,
    }


def asked_range(request: HttpRequest) -> Range:
    return BY_KEY.get(request.GET.get("range", ""), DEFAULT)


def _serving(request: HttpRequest, deployment: Deployment) -> Serving:
    cluster = request.GET.get("cluster", "")
    return serving_of(deployment, asked_range(request), cluster, timezone.now())


def _deployment(request: HttpRequest, pk: UUID) -> Deployment:
    rows = Deployment.objects.visible_to(principal_of(request))
    deployment = rows.filter(pk=pk).first()
    if deployment is None:
        raise Missing("There is no such deployment, or you may not see it.")
    return deployment


def _csv(deployment: Deployment, serving: Serving) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"{deployment.name}-{serving.asked.key}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    csv.writer(response).writerows(figures.csv_rows(serving))
    return response
