"""The list of clusters, and one cluster."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from clusters.models import Cluster
from clusters.selectors import census, detail, listing
from clusters.selectors.capacity import MODES
from clusters.selectors.heat_page import heat_section
from clusters.states import CLUSTER
from fleetportal.accounts.principal import Principal, declares
from fleetportal.kit.errors import Missing
from fleetportal.kit.fragments import fragment
from fleetportal.kit.htmx import is_htmx, page
from fleetportal.rest.auth import principal_of

PAGE_SIZE = 50
STATES = (("attention", "Needs attention"), ("cordoned", "Cordoned"))


@require_GET
@declares("view")
def cluster_list(request: HttpRequest) -> HttpResponse:
    """Filters, order and page are the query string; htmx asks for the list alone."""
    return fragment(request, "clusters", ("clusters",), lambda: _list(request))


def _list(request: HttpRequest) -> HttpResponse:
    principal = principal_of(request)
    filters = {name: request.GET.get(name, "").replace("\x00", "") for name in listing.FILTERS}
    sort = request.GET.get("sort", "name")
    visible = census.listed(principal)
    rows = listing.sorted_by(listing.matching(visible, filters), sort)
    found = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page", 1))
    context: dict[str, Any] = {
        "page": found,
        "lines": [listing.line_of(cluster) for cluster in found],
        "filters": filters,
        "filtered": any(filters.values()),
        "sort": sort,
        "states": [*STATES, *(choice for choice in CLUSTER.choices if choice[0] != "retired")],
        "environments": listing.environments(visible),
        "modes": [(key, words.capitalize()) for key, words in MODES.items()],
        "CLUSTER": CLUSTER,
        "may_register": principal.may("cluster.register"),
    }
    return page(request, "clusters/clusters.html", context, part="list")


@require_GET
@declares("view")
def cluster_page(request: HttpRequest, name: str) -> HttpResponse:
    """The whole page, or to htmx what can change on it. `?view=table`: nodes as numbers."""
    principal = principal_of(request)
    cluster = find(principal, name)
    as_table = request.GET.get("view") == "table"
    context = {
        **detail.context_of(principal, cluster, timezone.now(), as_table=as_table),
        "as_table": as_table,
        "CLUSTER": CLUSTER,
        "sees_all": principal.sees_all,
        "may_check": principal.may("cluster.check"),
        "may_cordon": principal.may("cluster.cordon"),
        "may_register": principal.may("cluster.register"),
        "may_remove": principal.may("cluster.remove"),
        "may_audit": principal.may("audit.view"),
    }
    if not is_htmx(request):
        context["heat"] = heat_section(principal, request.GET, name)
    response = page(request, "clusters/cluster.html", context, part="live")
    response.charts = True  # type: ignore[attr-defined]  # Plotly writes style rules
    return response


def find(principal: Principal, name: str) -> Cluster:
    """Raises Missing: absent and invisible look the same."""
    cluster = detail.cluster_for(principal, name)
    if cluster is None:
        raise Missing("There is no such cluster, or you may not see it.")
    return cluster
