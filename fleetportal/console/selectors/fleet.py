"""The fleet page: one read of the visible clusters, from which every figure on it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clusters.models import Cluster
from clusters.selectors import census
from clusters.selectors.census import Overview, Tally
from clusters.selectors.grid import GridRow, grid_row, model_words, table_rows
from clusters.selectors.workloads import Names, workloads
from fleetportal.accounts.principal import Principal

# What one may group the grid by -> the words that head a cluster's group.
GROUPS: dict[str, tuple[str, Callable[[Cluster], str]]] = {
    "environment": ("Environment", lambda c: c.environment or "No environment"),
    "region": ("Region", lambda c: c.region or "Region unknown"),
    "provider": ("Provider", lambda c: c.provider or "Provider unknown"),
    "state": ("State", lambda c: c.get_state_display()),
    "none": ("Nothing", lambda c: ""),
}
SORTS: dict[str, tuple[str, Callable[[Cluster], Any]]] = {
    "name": ("Name", lambda c: c.name),
    "free": ("Most free GPUs", lambda c: (-census.tally(c).free, c.name)),
    "size": ("Most GPUs", lambda c: (-census.tally(c).physical, c.name)),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One class of GPUs in words."""

    key: str
    label: str
    value: int
    note: str


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One GPU model's share of the totals."""

    name: str
    tally: Tally


def clusters_for(principal: Principal) -> list[Cluster]:
    return list(census.listed(principal).order_by("name"))


def overview_for(principal: Principal) -> Overview:
    """What the page and `fleet/overview/` both show."""
    return census.overview(clusters_for(principal))


def figures(found: Overview) -> list[Figure]:
    """The classes in reading order; their values add up to the total."""
    total = found.total
    shared = Figure("shared", "Shared", total.shared, f"in {total.shares} parts")
    return [
        Figure("allocated", "Allocated", total.allocated, "held by pods"),
        Figure("free", "Free", total.free, _whole(total)),
        *([shared] if total.shared else []),
        Figure("blocked", "Blocked", total.blocked, "cordoned or kept"),
        Figure("faulty", "Faulty", total.faulty, "not offered"),
        Figure("unknown", "Unknown", total.unknown, "no contact"),
        Figure("provisionable", "Can be added", total.provisionable, "quota left"),
    ]


def _whole(total: Tally) -> str:
    return f"{total.whole_free} whole node{'' if total.whole_free == 1 else 's'}"


def by_model(found: Overview) -> list[ModelLine]:
    return [ModelLine(model_words(name), tally) for name, tally in found.by_model.items()]


def ordered(rows: Iterable[Cluster], group: str, sort: str) -> list[Cluster]:
    heading, key = GROUPS[group][1], SORTS[sort][1]
    return sorted(rows, key=lambda cluster: (heading(cluster), key(cluster)))


def grouped(
    principal: Principal, rows: Sequence[Cluster], group: str, now: datetime
) -> list[tuple[str, list[GridRow]]]:
    """The rows of one page of the grid under their headings (one query for all workloads)."""
    names = _names(principal, rows)
    found: dict[str, list[GridRow]] = {}
    for cluster in rows:
        found.setdefault(GROUPS[group][1](cluster), []).append(grid_row(cluster, names, now))
    return list(found.items())


def table(principal: Principal, rows: Sequence[Cluster]) -> list[dict[str, Any]]:
    """The grid's twin: one line for each node of these clusters."""
    names = _names(principal, rows)
    return [line for cluster in rows for line in table_rows(cluster, names)]


def _names(principal: Principal, rows: Sequence[Cluster]) -> Names:
    return Names(principal, workloads(principal, [cluster.pk for cluster in rows]))
