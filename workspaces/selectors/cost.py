"""What a deployment costs: now, to date, for idle cards, and for a million tokens.

Everything is computed from rows when it is asked for: the journal says when nodes were held, the
price book what they cost then. Parts that nobody knows are counted beside each sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from clusters.engine.idle import IdleGroup
from clusters.engine.prices import CAPACITY_TYPES, ON_DEMAND
from clusters.models import HeatRow
from clusters.pricing import Version, newest, price_steps
from clusters.selectors.idle import idle_count, idle_lines, readable
from clusters.selectors.telemetry import ticks
from fleetportal.journal.models import Event
from workspaces.engine.cost import (
    HELD,
    Rate,
    Span,
    Total,
    arrived,
    held,
    per_million,
    rate_now,
    spent,
    total,
)
from workspaces.models import Deployment, Workspace
from workspaces.selectors.living import Living

DAY = timedelta(hours=24)
TOKENS = ("prompt_tokens", "generation_tokens")
OUTSIDE = "workspace.changed_outside"


@dataclass(frozen=True, slots=True)
class Cost:
    """Money in $. `now`: $/h of what holds nodes; `to_date` since `since`, of which
    `unpriced_hours` node-hours are left out. `idle`: $/h of `idle_gpus` cards that have idled for
    half an hour, `idle_usd` what they cost since. Per million tokens, prompt and generated ones:
    `at_peak` by KAITO's benchmark, `observed` over the last 24 h. None: unknown."""

    now: Total
    to_date: Total
    since: datetime | None
    unpriced_hours: float
    idle: Total
    idle_usd: Total
    idle_gpus: int
    idle_known: bool
    at_peak: float | None
    observed: float | None


def cost_of(deployment: Deployment, now: datetime) -> Cost:
    """Constant queries, whatever the number of workspaces."""
    rows = _workspaces(deployment)
    living = [row for row in rows if row.state in HELD]
    spans, outside = _spans(deployment, rows)
    sums = _to_date(rows, spans, outside, now)
    idle = _idle(living, now)
    return Cost(
        now=price_now(living),
        to_date=sums[0],
        since=_first(spans.values()),
        unpriced_hours=sums[1],
        idle=idle[0],
        idle_usd=idle[1],
        idle_gpus=idle[2],
        idle_known=idle[3],
        at_peak=_at_peak(living),
        observed=_observed(living, now),
    )


def price_now(workspaces: Iterable[Workspace | Living]) -> Total:
    """$/h of what holds nodes now; `pool` is selected. The list, the page and REST ask here."""
    return sum((_rate(row) for row in workspaces), Total())


def _rate(row: Workspace | Living) -> Total:
    usd = _usd(row, _replicas(row))
    return rate_now(row.state, row.phases, usd, launched=_launched(row))


def _usd(row: Workspace | Living, replicas: int) -> float | None:
    """$/h of that many of its replicas."""
    if row.price_per_hour is None or not row.replicas:
        return row.price_per_hour
    return row.price_per_hour * replicas / row.replicas


def _replicas(row: Workspace | Living) -> int:
    """As the cluster has them: somebody else may have changed their number."""
    found = row.observed.get("replicas")
    return found if isinstance(found, int) else row.replicas


def _launched(row: Workspace | Living) -> bool:
    """Whether its nodes are made for it. Nodes that exist are its own from the claim on."""
    kind = row.pool_kind if isinstance(row, Living) else row.pool and row.pool.kind
    return kind == "provisionable"


def _came(row: Workspace, moves: Sequence[tuple[float, str]]) -> bool:
    """Whether it ever had nodes: a cloud without capacity sends no bill."""
    seen = {*row.phases, *(state for _, state in moves)}
    return not _launched(row) or arrived(row.state, seen)


def _workspaces(deployment: Deployment) -> list[Workspace]:
    rows = Workspace.objects.filter(deployment=deployment).select_related("cluster", "pool")
    heavy = ("manifests", "conditions", "cluster__credential_sealed", "cluster__ca_pem")
    return list(rows.defer(*heavy).order_by("created_at"))


def _spans(
    deployment: Deployment, rows: Iterable[Workspace]
) -> tuple[dict[UUID, Span], dict[str, float]]:
    """When each workspace held its nodes, as the journal tells it, and when somebody else changed
    it last (one query)."""
    moves: dict[str, list[tuple[float, str]]] = defaultdict(list)
    outside: dict[str, float] = {}
    told = Event.objects.filter(scope=deployment.journal_scope, object_type="workspace")
    columns = ("object_id", "at", "action", "after")
    for pk, at, action, after in told.order_by("id").values_list(*columns):
        if action == OUTSIDE:
            outside[pk] = at.timestamp()
        elif "state" in after:
            moves[pk].append((at.timestamp(), after["state"]))
    spans = {row.pk: held(moves[str(row.pk)]) for row in rows if _came(row, moves[str(row.pk)])}
    return {pk: span for pk, span in spans.items() if span is not None}, outside


def _to_date(
    rows: Sequence[Workspace],
    spans: Mapping[UUID, Span],
    outside: Mapping[str, float],
    now: datetime,
) -> tuple[Total, float]:
    """$ of every workspace that ever held nodes, and the node-hours of unknown price."""
    version, sums, dark = newest(), Total(), 0.0
    for row in rows:
        if row.pk not in spans:
            sums += Total(unknown=int(_rate(row) != Total()))
            continue
        rates, usd, hours = _rates(row, version), 0.0, 0.0
        for span, replicas in _halves(row, spans[row.pk], outside.get(str(row.pk))):
            found = spent(span, replicas * row.nodes_per_replica, rates, now.timestamp())
            usd, hours = usd + found[0], hours + found[1]
        sums += Total(usd, 1, int(hours > 0)) if usd or not hours else Total(unknown=1)
        dark += hours
    return sums, dark


def _halves(row: Workspace, span: Span, changed: float | None) -> list[tuple[Span, int]]:
    """The span with the replicas that were asked for, then with those that somebody else set."""
    if changed is None or changed <= span.start or _replicas(row) == row.replicas:
        return [(span, row.replicas)]
    return [(Span(span.start, changed), row.replicas), (Span(changed, span.end), _replicas(row))]


def _rates(row: Workspace, version: Version) -> list[Rate]:
    pool = row.pool
    name = row.instance_type or (pool.instance_type if pool else "")
    capacity = _capacity(pool.key if pool else "")
    cluster = row.cluster
    found = price_steps(version, cluster.provider, cluster.region, name, capacity)
    return [Rate(one.at.timestamp() if one.at else None, one.usd_per_hour) for one in found]


def _capacity(key: str) -> str:
    """A pool's key names its capacity type where it is not on demand."""
    return next((word for word in key.split(":") if word in CAPACITY_TYPES), ON_DEMAND)


def _first(spans: Iterable[Span]) -> datetime | None:
    start = min((span.start for span in spans), default=None)
    return None if start is None else datetime.fromtimestamp(start, UTC)


def _idle(living: Sequence[Workspace], now: datetime) -> tuple[Total, Total, int, bool]:
    """$/h and $ so far of idle cards, their number, and whether all clusters could be read."""
    clusters = {row.cluster_id: row.cluster for row in living}
    heat = {row.cluster_id: row for row in HeatRow.objects.filter(cluster_id__in=list(clusters))}
    seen = {pk: heat[pk] for pk, one in clusters.items() if readable(one, heat.get(pk), now)}
    counts = [(clusters[pk], row, idle_count(clusters[pk], row)) for pk, row in seen.items()]
    lines = idle_lines([(a, b, c) for a, b, c in counts if c is not None], now)
    names = {(row.cluster_id, row.namespace, row.name) for row in living}
    mine = [line.group for line in lines if _owned(line.cluster.pk, line.group, names)]
    return (
        total(group.usd_per_hour for group in mine),
        total(group.usd for group in mine),
        sum(group.gpus for group in mine),
        len(seen) == len(clusters),
    )


def _owned(cluster: UUID, group: IdleGroup, names: Collection[tuple[UUID, str, str]]) -> bool:
    """Whether one of these holds it; a set's child is called `<set>-<five letters>`."""
    namespace = group.pod.partition("/")[0]
    candidates = (group.workspace, group.workspace.rpartition("-")[0])
    return any((cluster, namespace, name) in names for name in candidates if name)


def _at_peak(living: Sequence[Workspace]) -> float | None:
    """By KAITO's benchmark of the replicas that have one: their $/h over their peak tokens a
    minute."""
    found = [
        (usd, float(row.benchmark["peak_tokens_per_minute"]))
        for row in living
        if row.benchmark.get("peak_tokens_per_minute")
        and (usd := _usd(row, int(row.benchmark.get("replicas") or row.replicas))) is not None
    ]
    return per_million(sum(usd for usd, _ in found), sum(rate for _, rate in found))


def _observed(living: Sequence[Workspace], now: datetime) -> float | None:
    """$ over tokens of the hours of the last day that were measured, at today's price."""
    subjects = {(row.cluster_id, f"{row.namespace}/{row.name}"): row for row in living}
    rows = ticks(
        clusters={pk for pk, _ in subjects},
        subjects={name for _, name in subjects},
        resolution=3600,
        start=now - DAY,
        end=now,
    )
    usd = tokens = 0.0
    for one in rows:
        row, tick = subjects.get((one.cluster_id, one.subject)), one.tick
        price = None if row is None else _usd(row, _replicas(row))
        if price is None:
            continue
        counted = [tick.counters[name] for name in TOKENS if name in tick.counters]
        if counted:
            usd += price * tick.seconds / 3600
            tokens += sum(counted)
    return usd / tokens * 1e6 if tokens else None
