"""The fleet: what needs a person first, then what every GPU does, costs and could still take.

The page is made of parts. Each has an address of its own, so that a change swaps that part alone;
those that no first look needs are loaded after the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from clusters.models import Cluster
from clusters.selectors.census import CLASSES, Overview, overview
from clusters.selectors.heat_page import heat_section
from fleetportal.accounts.principal import Principal, declares
from fleetportal.console.selectors import allocation, fleet, fragments, idle, trend
from fleetportal.console.selectors.attention import attention
from fleetportal.console.selectors.moment import slider
from fleetportal.console.selectors.usage import usage
from fleetportal.console.views.moment import moment_page
from fleetportal.kit.errors import Missing
from fleetportal.kit.fragments import fragment
from fleetportal.kit.htmx import is_htmx
from fleetportal.kit.sheets import csv_lines
from fleetportal.rest.auth import principal_of

SHOWN = 8  # of what needs attention; the rest is one click away
MOST_ROWS = 100_000  # of a sheet
WORK = ("rollouts", "approvals", "deployments")
Context = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a part is made from."""

    request: HttpRequest
    principal: Principal
    clusters: list[Cluster]
    now: datetime

    @cached_property
    def overview(self) -> Overview:
        return overview(self.clusters)


def _attention(asked: Asked) -> Context:
    items = attention(asked.principal, asked.clusters, asked.now)
    most = len(items) if asked.request.GET.get("attention") == "all" else SHOWN
    return {"items": items[:most], "more": max(0, len(items) - most)}


def _figures(asked: Asked) -> Context:
    return {
        "overview": asked.overview,
        "figures": fleet.figures(asked.overview),
        "seen": fleet.seen(asked.clusters),
    }


def _usage(asked: Asked) -> Context:
    return {
        "usage": usage(asked.clusters, asked.now),
        "total": asked.overview.total,
    }


def _idle(asked: Asked) -> Context:
    return {"idle": idle.idle_list(asked.principal, asked.clusters, asked.now)}


def _fragmentation(asked: Asked) -> Context:
    lines = fragments.room_lines(asked.clusters, asked.now)
    most = len(lines) if asked.request.GET.get("all") else fragments.SHOWN
    split = sum(line.fragmented for line in lines)
    return {"lines": lines[:most], "more": max(0, len(lines) - most), "fragmented": split}


def _allocation(asked: Asked) -> Context:
    group = _group(asked.request)
    return {
        "group": group,
        "group_choices": list(allocation.GROUPS.items()),
        "heading": allocation.GROUPS[group],
        "lines": allocation.groups(asked.principal, asked.clusters, group, asked.overview),
        "overview": asked.overview,
    }


@dataclass(frozen=True, slots=True)
class Part:
    """`topics`: what changes it; `at_once`: it is there when the page is.

    Not "fleet": every look at every cluster's metrics tells of that, and at a thousand clusters a
    page would never rest. What is measured is fetched again twice a minute anyway.
    """

    context: Callable[[Asked], Context]
    topics: tuple[str, ...]
    at_once: bool = False


PARTS = {
    "attention": Part(_attention, ("clusters", *WORK), at_once=True),
    "figures": Part(_figures, ("clusters",), at_once=True),
    "usage": Part(_usage, ("clusters", "deployments")),
    "idle": Part(_idle, ("clusters",)),
    "fragmentation": Part(_fragmentation, ("clusters", "deployments")),
    "allocation": Part(_allocation, ("clusters", "deployments"), at_once=True),
}


@require_GET
@declares("view")
def fleet_page(request: HttpRequest) -> HttpResponse:
    """`?group=` groups the table of allocation, `?attention=all` lists everything; the map's own;
    `?at=` shows a moment of the past instead."""
    if "at" in request.GET:
        return moment_page(request)
    asked = _asked(request)
    context: Context = {
        "slider": slider(asked.now, asked.now),
        "clusters": len(asked.clusters),
        "heat": heat_section(asked.principal, request.GET),
        "trend_ranges": list(trend.RANGES.items()),
        "trend_days": trend.DAYS,
        "may_register": asked.principal.may("cluster.register"),
    }
    for part in PARTS.values():
        if part.at_once:
            context |= part.context(asked)
    return _drawn(render(request, "console/fleet.html", context))


@require_GET
@declares("view")
def fleet_part(request: HttpRequest, name: str) -> HttpResponse:
    """One part: alone for htmx, in a page of its own where there are no scripts."""
    part = PARTS.get(name)
    if part is None:
        raise Missing("The fleet's page has no such part.")
    if not is_htmx(request):
        context = {"part": f"console/fleet/{name}.html", **part.context(_asked(request))}
        return _drawn(render(request, "console/fleet_part.html", context))
    template = f"console/fleet/{name}.html"
    mine = name == "attention" and principal_of(request).may("approval.vote")

    def draw() -> HttpResponse:
        return render(request, template, part.context(_asked(request)))

    return fragment(request, f"fleet-{name}", part.topics, draw, personal=mine)


@require_GET
@declares("view")
def fleet_trend(request: HttpRequest) -> HttpResponse:
    """`?days=`: allocation and use as numbers, by day."""
    return render(request, "console/fleet_trend.html", {"trend": _past(request)})


@require_GET
@declares("view")
def fleet_trend_figures(request: HttpRequest) -> JsonResponse:
    """`?days=`: what charts.js draws."""
    return JsonResponse(trend.figures(_past(request)))


@require_GET
@declares("view")
def allocation_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The table of allocation as it is grouped on the page."""
    asked, group = _asked(request), _group(request)
    header = (allocation.GROUPS[group].lower(), "clusters", *CLASSES, "total")
    lines = allocation.groups(asked.principal, asked.clusters, group, asked.overview)
    return _sheet("allocation.csv", csv_lines(header, allocation.cells(lines)))


@require_GET
@declares("view")
def idle_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Every idle card that has a name, dearest first."""
    asked = _asked(request)
    found = idle.idle_list(asked.principal, asked.clusters, asked.now, most=MOST_ROWS)
    return _sheet("idle-gpus.csv", csv_lines(idle.COLUMNS, idle.cells(found.rows)))


def _asked(request: HttpRequest) -> Asked:
    principal = principal_of(request)
    return Asked(request, principal, fleet.clusters_for(principal), timezone.now())


def _past(request: HttpRequest) -> trend.Trend:
    asked, days = _asked(request), request.GET.get("days", "")
    known = {str(one): one for one in trend.RANGES}
    return trend.trend(asked.clusters, asked.now, known.get(days, trend.DAYS))


def _group(request: HttpRequest) -> str:
    """What was asked for, else the first."""
    asked = request.GET.get("group", "")
    return asked if asked in allocation.GROUPS else next(iter(allocation.GROUPS))


def _sheet(name: str, body: Any) -> StreamingHttpResponse:
    response = StreamingHttpResponse(body, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _drawn(response: HttpResponse) -> HttpResponse:
    """Charts need a rule of the content policy that other pages do without."""
    response.charts = True  # type: ignore[attr-defined]
    return response
