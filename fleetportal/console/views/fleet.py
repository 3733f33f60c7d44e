"""The fleet: what needs a person first, then every GPU once."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from clusters.models import Cluster
from clusters.selectors.census import overview
from clusters.states import CLUSTER
from fleetportal.accounts.principal import declares
from fleetportal.console.selectors import fleet
from fleetportal.console.selectors.attention import attention
from fleetportal.kit.fragments import fragment
from fleetportal.kit.htmx import page
from fleetportal.rest.auth import principal_of

PAGE_SIZE = 50
TOPICS = ("fleet", "rollouts", "approvals", "deployments")
SHOWN = 8  # of what needs attention; the rest is one click away


@require_GET
@declares("view")
def fleet_page(request: HttpRequest) -> HttpResponse:
    """`?group=`, `?sort=`, `?view=table`, `?page=`; htmx asks for what can change."""
    personal = principal_of(request).may("approval.vote")  # what waits for oneself is among it
    return fragment(request, "fleet", TOPICS, lambda: _page(request), personal=personal)


def _page(request: HttpRequest) -> HttpResponse:
    principal, now = principal_of(request), timezone.now()
    group, sort = _choice(request, "group", fleet.GROUPS), _choice(request, "sort", fleet.SORTS)
    rows = fleet.clusters_for(principal)
    found = Paginator(fleet.ordered(rows, group, sort), PAGE_SIZE)
    shown = found.get_page(request.GET.get("page", 1))
    items = attention(principal, rows, now)
    as_table = request.GET.get("view") == "table"
    most = len(items) if request.GET.get("attention") == "all" else SHOWN
    context: dict[str, Any] = {
        "items": items[:most],
        "more": max(0, len(items) - most),
        "as_table": as_table,
        "table": fleet.table(principal, list(shown)) if as_table else [],
        "groups": [] if as_table else fleet.grouped(principal, list(shown), group, now),
        "page": shown,
        "CLUSTER": CLUSTER,
        "may_register": principal.may("cluster.register"),
        **_figures(rows),
        **_choices(group, sort),
    }
    return page(request, "console/fleet.html", context, part="live")


def _figures(rows: list[Cluster]) -> dict[str, Any]:
    found = overview(rows)
    return {
        "overview": found,
        "figures": fleet.figures(found),
        "models": fleet.by_model(found),
    }


def _choices(group: str, sort: str) -> dict[str, Any]:
    return {
        "group": group,
        "sort": sort,
        "group_choices": [(key, words) for key, (words, _) in fleet.GROUPS.items()],
        "sort_choices": [(key, words) for key, (words, _) in fleet.SORTS.items()],
    }


def _choice(request: HttpRequest, name: str, allowed: dict[str, Any]) -> str:
    """What was asked for, else the first."""
    asked = request.GET.get(name, "")
    return asked if asked in allowed else next(iter(allowed))
