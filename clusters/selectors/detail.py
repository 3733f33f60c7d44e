"""One cluster as its page shows it: contact, gaps, nodes, what may come, what runs here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clusters.models import Check, Cluster
from clusters.selectors import capacity, grid
from clusters.selectors.census import Tally, listed, tally
from clusters.selectors.facts import capabilities_of, labels_of, taints_of
from clusters.selectors.metrics import metrics_line
from clusters.selectors.workloads import Foreign, Names, Workload, foreign, workloads
from clusters.states import CHECK
from fleetportal.accounts.principal import Principal

NOTABLE_SKEW = 2.0  # seconds
CONNECTION = "clusters.connection"  # the task that answers connection checks


@dataclass(frozen=True, slots=True)
class Part:
    """Figures of one class for components/key_figures.html."""

    label: str
    value: int
    note: str = ""
    tone: str = ""


def cluster_for(principal: Principal, name: str) -> Cluster | None:
    return listed(principal).filter(name=name).prefetch_related("grants__team").first()


def last_check(cluster: Cluster) -> Check | None:
    """The newest connection check."""
    rows = Check.objects.filter(kind=CONNECTION, cluster=cluster).select_related("requested_by")
    return rows.first()


def checking(check: Check | None) -> bool:
    return check is not None and check.state in CHECK.active


def clock_skew(check: Check | None) -> float | None:
    """Seconds that the cluster's clock is off by, where that is worth a word."""
    found = check.result.get("clock_skew_seconds") if check else None
    return abs(found) if isinstance(found, int | float) and abs(found) >= NOTABLE_SKEW else None


def context_of(
    principal: Principal, cluster: Cluster, now: datetime, *, as_table: bool
) -> dict[str, Any]:
    """Everything on the page but the buttons (constant queries)."""
    found = workloads(principal, [cluster.pk])
    names = Names(principal, found)
    counted = tally(cluster)
    check = last_check(cluster)
    declared = capacity.quota_declared(cluster)
    return {
        "cluster": cluster,
        "capabilities": capabilities_of(cluster),
        "mode": capacity.mode_words(cluster),
        "tally": counted,
        "figures": figures(counted),
        "nodes": [] if as_table else grid.grid_nodes(cluster, names, now),
        "table": grid.table_rows(cluster, names) if as_table else [],
        "shapes": capacity.shapes(cluster),
        "quotas": capacity.quotas(cluster),
        "declared_by": declared[0] if declared else "",
        "declared_at": declared[1] if declared else None,
        "creates_nodes": cluster.capabilities.get("provisioner") not in ("byo", None),
        **here(found, foreign(cluster)),
        "labels": sorted(labels_of(cluster).items()),
        "properties": sorted(cluster.properties.items()),
        "taints": taints_of(cluster),
        "teams": [grant.team for grant in cluster.grants.all()],
        "metrics": metrics_line(cluster),
        "check": check,
        "checking": checking(check),
        "skew": clock_skew(check),
        "stale": grid.stale(cluster, now),
    }


def figures(found: Tally) -> list[Part]:
    """The classes of the fleet page, for one cluster; those that are 0 and rare are left out."""
    always = [
        Part("Allocated", found.allocated),
        Part("Free", found.free),
    ]
    rare = [
        Part("Shared", found.shared, f"in {found.shares} parts"),
        Part("Blocked", found.blocked, "cordoned or kept"),
        Part("Faulty", found.faulty, "not offered", "bad"),
        Part("Unknown", found.unknown, "as last seen"),
        Part("Can be added", found.provisionable, "quota left"),
    ]
    seen = always if found.allocated or found.free or not (found.unknown or found.shared) else []
    return [*seen, *(part for part in rare if part.value)]


def here(ours: Sequence[Workload], others: Sequence[Foreign]) -> dict[str, Any]:
    """Workloads of one's own teams by name, other teams' as a count, KAITO objects not ours."""
    return {
        "workloads": [one for one in ours if one.name],
        "other_teams": sum(not one.name for one in ours),
        "foreign": others,
    }
