"""The fleet as it was at a moment of the last 90 days. Few queries, whatever the fleet's size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import OuterRef, Subquery

from clusters.engine import moments
from clusters.engine.telemetry import chunks
from clusters.models import Cluster, GpuHour, InventoryMoment
from clusters.selectors.census import HEAVY, NEEDED
from fleetportal.accounts.principal import Principal

_NOW = ("nodes_packed", "pools_packed", "labels", "properties", "taints", *HEAVY)


@dataclass(frozen=True, slots=True)
class Past:
    """`clusters`: rows with the states and nodes of that moment, by name, never to be saved.

    `unknown`: clusters of which nothing is recorded up to then.
    """

    clusters: Sequence[Cluster]
    unknown: Sequence[Cluster]


@dataclass(frozen=True, slots=True)
class Use:
    """Mean utilisation, 0..1, of a cluster's measured GPUs. `by_minute`: of the minute asked for;
    else of its hour."""

    share: float
    gpus: float
    by_minute: bool


def fleet_at(principal: Principal, at: datetime) -> Past:
    """Every cluster that the principal may see and that was managed then, in two queries."""
    last = InventoryMoment.objects.filter(cluster=OuterRef("pk"), at__lte=at).order_by("-at")
    rows = Cluster.objects.visible_to(principal)
    newest = rows.annotate(newest=Subquery(last.values("pk")[:1])).values("newest")
    held = {row.cluster_id: row for row in InventoryMoment.objects.filter(pk__in=newest)}
    known: list[Cluster] = []
    unknown: list[Cluster] = []
    for row in rows.defer(*_NOW).order_by("name"):
        moment = held.get(row.pk)
        if moment is None and row.state != "retired":
            unknown.append(row)
        elif moment is not None and moment.state != "retired":
            known.append(_as_then(row, moment, at))
    return Past(known, unknown)


def use_at(clusters: Iterable[Cluster], at: datetime) -> Mapping[UUID, Use]:
    """How busy the GPUs of each cluster were (one query); no entry where nobody measured."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    rows = GpuHour.objects.filter(hour=hour, cluster_id__in=[c.pk for c in clusters])
    found = ((row.cluster_id, _use(row, at.minute)) for row in rows)
    return {cluster: use for cluster, use in found if use is not None}


def _use(row: GpuHour, minute: int) -> Use | None:
    try:
        table = chunks.decode(bytes(row.packed)).util[:, minute : minute + 1]
    except ValueError:  # a damaged chunk: the hour's sums are still good
        table = chunks.decode(b"").util[:, :1]
    known, busy = chunks.busy(table)
    if known:
        return Use(busy / known, known, by_minute=True)
    if not row.measured:
        return None
    return Use(row.busy / row.measured, row.measured / max(1, row.minutes), by_minute=False)


def _as_then(row: Cluster, moment: InventoryMoment, at: datetime) -> Cluster:
    """The row as it read at that moment. Damaged bytes show as a cluster that nobody could see."""
    row.state, row.cordoned = moment.state, moment.cordoned
    row.state_since, row.observed_at = moment.at, at
    try:
        held = moments.decode(bytes(moment.packed))
    except ValueError:
        held = moments.Moment(b"", b"", blind=True)
    row.nodes_packed, row.pools_packed = held.nodes, held.pools
    gaps = [{"missing": name} for name in sorted(NEEDED)] if held.blind else []
    row.capabilities = {"gaps": gaps}
    return row
