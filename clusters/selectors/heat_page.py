"""The heatmap's section of a page: what may be chosen, what is, and its twin as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.urls import reverse

from clusters.engine.heat import METRICS
from clusters.selectors.heat import glance
from clusters.selectors.heat_table import UNITS, NodeLines
from fleetportal.accounts.principal import Principal

METRIC_WORDS = {
    "util": "Utilisation",
    "memory": "Memory used",
    "allocation": "Allocation",
    "power": "Power",
    "temperature": "Temperature",
    "idle": "Idle time",
}
GROUP_WORDS = {
    "environment": "Environment",
    "region": "Region",
    "provider": "Provider",
    "model": "GPU model",
    "team": "Team",
    "state": "State",
    "none": "Nothing",
}
PAGE_SIZE = 100


def heat_section(
    principal: Principal, asked: Mapping[str, str], cluster: str = ""
) -> dict[str, Any]:
    """`heat` for console/_heat.html out of the page's query: `metric`, `by`, `twin=table` and
    its `page`. `cluster`: of this one alone."""
    measured, version = glance(principal, cluster)
    metric = asked.get("metric", "")
    if metric not in METRICS:
        metric = "util" if measured else "allocation"
    group = asked.get("by", "")
    as_table = asked.get("twin") == "table"
    only = {"cluster": cluster} if cluster else {}
    found: dict[str, Any] = {
        "title": "GPUs at work" if cluster else "Every GPU",
        "label": f"Heatmap of the GPUs of {cluster or 'the fleet'}",
        "metric": metric,
        "metrics": METRIC_WORDS.items(),
        "measured": metric != "allocation",
        "unit": UNITS.get(metric, ""),
        "group": group if group in GROUP_WORDS else "environment",
        "groups": GROUP_WORDS.items(),
        "cluster": cluster,
        "as_table": as_table,
        "version": version,
        "first": f"{reverse('heat_cells')}?{urlencode({'metric': metric} | only)}",
        "names": f"{reverse('heat_layout')}?{urlencode({'v': version} | only)}",
    }
    if as_table:
        page = Paginator(NodeLines(principal, metric, cluster), PAGE_SIZE)
        found["page"] = page.get_page(asked.get("page", 1))
        found["table"] = list(found["page"])
    return found
