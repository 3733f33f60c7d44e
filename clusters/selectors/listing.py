"""The list of clusters: filters and orders that the database applies, before a page is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When

from clusters.engine.types import ProvisionerMode
from clusters.models import Cluster
from clusters.querysets import ClusterQuerySet
from clusters.selectors.capacity import MODES, ShapeLine, mode_words, shapes
from clusters.selectors.census import SILENT, Tally, tally
from clusters.states import CLUSTER

SORTS = {
    "name": "name",
    "state": "rank",
    "environment": "environment",
    "contact": "last_contact_at",
    "free": "can_take",
    "kaito": "capabilities__kaito_version",
}
FILTERS = ("q", "state", "environment", "mode")
BAD = sorted(SILENT)
_RANK = Case(
    When(state__in=BAD, then=Value(0)),
    When(state="degraded", then=Value(1)),
    When(cordoned=True, then=Value(2)),
    When(state__in=["joining", "draining"], then=Value(3)),
    default=Value(4),
    output_field=IntegerField(),
)
_CAN_TAKE = Case(
    When(state__in=BAD, then=Value(None)),
    When(Q(cordoned=True) | Q(state="draining"), then=Value(0)),
    default=F("gpus_free"),
    output_field=IntegerField(),
)


@dataclass(frozen=True, slots=True)
class ClusterLine:
    """One row of the list."""

    cluster: Cluster
    tally: Tally
    shapes: Sequence[ShapeLine]
    mode: str


def matching(rows: ClusterQuerySet, filters: Mapping[str, str]) -> QuerySet[Cluster]:
    """`filters`: q (name, region), state (or "attention", "cordoned"), environment, mode."""
    found: QuerySet[Cluster] = rows
    if filters.get("q"):
        found = found.filter(Q(name__icontains=filters["q"]) | Q(region__icontains=filters["q"]))
    if filters.get("environment"):
        found = found.filter(environment=filters["environment"])
    if filters.get("mode") in MODES:
        found = found.filter(capabilities__provisioner=ProvisionerMode(filters["mode"]).value)
    state = filters.get("state", "")
    if state == "attention":
        return found.filter(state__in=[*BAD, "degraded"])
    if state == "cordoned":
        return found.filter(cordoned=True)
    return found.filter(state=state) if state in CLUSTER.states else found


def sorted_by(rows: QuerySet[Cluster], sort: str) -> QuerySet[Cluster]:
    """By one of SORTS, "-" for the other way; unknown ones last either way."""
    column = F(SORTS.get(sort.removeprefix("-"), "name"))
    ordered = column.desc(nulls_last=True) if sort.startswith("-") else column.asc(nulls_last=True)
    return rows.annotate(rank=_RANK, can_take=_CAN_TAKE).order_by(ordered, "name", "pk")


def environments(rows: QuerySet[Cluster]) -> list[str]:
    found = rows.exclude(environment="").order_by("environment")
    return list(found.values_list("environment", flat=True).distinct())


def line_of(cluster: Cluster) -> ClusterLine:
    return ClusterLine(cluster, tally(cluster), shapes(cluster), mode_words(cluster))
