"""The fleet's page of a moment of the past, put together; and where on its slider a moment is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.utils.dateparse import parse_datetime

from clusters.models import Cluster
from clusters.selectors import moments
from clusters.selectors.census import Overview, Tally, overview, tally
from clusters.selectors.grid import grid_nodes
from clusters.selectors.moments import Past, Use
from clusters.selectors.workloads import Names, Workload
from clusters.services.moments import KEEP
from clusters.states import CLUSTER
from fleetportal.accounts.principal import Principal
from fleetportal.console.selectors.workloads import told
from fleetportal.kit.errors import FieldProblem, Invalid
from fleetportal.kit.states import State
from workspaces.selectors.moments import standing_at

SHOWN = 40  # clusters whose nodes are drawn; the others are in the table
MINUTE = timedelta(minutes=1)
HOURS = int(KEEP.total_seconds()) // 3600


@dataclass(frozen=True, slots=True)
class Line:
    """One cluster as it was. `use`: None where nobody measured."""

    cluster: Cluster
    state: State
    tally: Tally
    use: Use | None
    workloads: Sequence[Workload]
    others: int  # workloads of other teams, of which only the number may be told

    @property
    def percent(self) -> int | None:
        """How busy its measured GPUs were."""
        return None if self.use is None else round(100 * self.use.share)


@dataclass(frozen=True, slots=True)
class FleetThen:
    """`unknown`: clusters of which nothing was recorded up to then."""

    at: datetime
    overview: Overview
    lines: Sequence[Line]
    unknown: Sequence[Cluster]
    names: Names
    use: float | None  # 0..1, mean over the GPUs that were measured

    @property
    def percent(self) -> int | None:
        return None if self.use is None else round(100 * self.use)

    @property
    def states(self) -> list[tuple[State, int]]:
        """Clusters by state, the most frequent first."""
        counted = sorted(self.overview.states.items(), key=lambda item: (-item[1], item[0]))
        return [(CLUSTER.states[state], count) for state, count in counted]


@dataclass(frozen=True, slots=True)
class Slider:
    """Where a moment is: `hour` hours and `minute` minutes after `first`, the first whole hour."""

    first: datetime
    hours: int
    hour: int
    minute: int
    at: datetime
    last: datetime


def parse_at(text: str, now: datetime) -> datetime:
    """The moment that was asked for; without a zone it is UTC. Raises Invalid: no time, or none
    that anything can be known about."""
    try:
        at = parse_datetime(text.replace(" ", "+"))
        if at is not None:
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: its zone moves it out of the calendar
        at = None
    if at is None:
        raise Invalid(FieldProblem("at", "is no time", "Write it as 2026-11-12T14:05Z."))
    if not now - KEEP - timedelta(hours=1) <= at <= now:
        remedy = f"Ask for a time of the last {KEEP.days} days."
        raise Invalid(FieldProblem("at", "is not in what is kept", remedy))
    return at


def slider(at: datetime, now: datetime) -> Slider:
    first = (now - KEEP).replace(minute=0, second=0, microsecond=0)
    minutes = int((at - first).total_seconds()) // 60
    return Slider(first, HOURS, minutes // 60, minutes % 60, at, now)


def fleet_then(principal: Principal, at: datetime) -> FleetThen:
    """Everything that the page and `fleet/at/` show, in six queries: how that minute ended."""
    at = at.replace(second=0, microsecond=0)
    past: Past = moments.fleet_at(principal, at)
    ids = [cluster.pk for cluster in past.clusters]
    held = [
        told(one.workspace, one.state, named=one.named)
        for one in standing_at(principal, ids, at + MINUTE)
    ]
    on: dict[UUID, list[Workload]] = {}
    for one in held:
        on.setdefault(one.cluster, []).append(one)
    use = moments.use_at(past.clusters, at)
    return FleetThen(
        at=at,
        overview=overview(past.clusters),
        lines=[_line(one, on.get(one.pk, []), use.get(one.pk)) for one in past.clusters],
        unknown=past.unknown,
        names=Names(principal, held),
        use=_mean(use),
    )


def drawn(then: FleetThen, most: int = SHOWN) -> list[dict[str, object]]:
    """The first clusters with the cells of their nodes."""
    return [
        {"cluster": line.cluster, "nodes": grid_nodes(line.cluster, then.names, then.at)}
        for line in then.lines[:most]
    ]


def _line(cluster: Cluster, held: Sequence[Workload], use: Use | None) -> Line:
    return Line(
        cluster=cluster,
        state=CLUSTER.states[cluster.state],
        tally=tally(cluster),
        use=use,
        workloads=[one for one in held if one.name],
        others=sum(not one.name for one in held),
    )


def _mean(use: Mapping[UUID, Use]) -> float | None:
    gpus = sum(one.gpus for one in use.values())
    return sum(one.share * one.gpus for one in use.values()) / gpus if gpus else None
