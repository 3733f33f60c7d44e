"""The heatmap's cells and names for scripts, and one GPU in words as a page or a drawer."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from clusters.engine.heat import METRICS
from clusters.selectors import devices, heat
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import FieldProblem, Invalid
from fleetportal.kit.htmx import page
from fleetportal.rest.auth import principal_of

FOR_GOOD = "private, max-age=31536000, immutable"
BINARY, JSON = "application/octet-stream", "application/json"


@require_GET
@declares("view")
def heat_cells(request: HttpRequest) -> HttpResponse:
    """`?metric=`, `?cluster=`: bytes as docs/ui.md describes them. Answers 304 to a known ETag."""
    metric = request.GET.get("metric", "util")
    if metric not in METRICS:
        raise Invalid(
            FieldProblem("metric", "There is no such metric", f"One of {', '.join(METRICS)}.")
        )
    found = heat.cells(principal_of(request), metric, request.GET.get("cluster", ""))
    return HttpResponse(found.body, content_type=BINARY, headers={"ETag": found.etag})


@require_GET
@declares("view")
def heat_layout(request: HttpRequest) -> HttpResponse:
    """Names of clusters and nodes as JSON; under `?v=` with their version they may be kept."""
    found = heat.layout(principal_of(request), request.GET.get("cluster", ""))
    headers = {"ETag": f'"{found.version}"', "Vary": "Cookie"}
    if request.GET.get("v") == found.version:
        headers["Cache-Control"] = FOR_GOOD
    return HttpResponse(found.body, content_type=JSON, headers=headers)


@require_GET
@declares("view")
def heat_holders(request: HttpRequest) -> HttpResponse:
    """Who holds the cards of `?cluster=`, as JSON by node."""
    found = devices.holders(principal_of(request), request.GET.get("cluster", ""))
    return HttpResponse(found, content_type=JSON)


@require_GET
@declares("view")
def heat_teams(request: HttpRequest) -> HttpResponse:
    """Whose each node is, as JSON by cluster: for grouping by team."""
    return HttpResponse(devices.teams(principal_of(request)), content_type=JSON)


@require_GET
@declares("view")
def gpu(request: HttpRequest, cluster: str, node: str, index: int) -> HttpResponse:
    """One card: a page, or for htmx the drawer's inside."""
    found = devices.device(principal_of(request), cluster, node, index, timezone.now())
    return page(request, "console/gpu.html", {"gpu": found}, part="device")
