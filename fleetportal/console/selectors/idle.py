"""Who holds GPUs that idle, dearest first, in the words that one principal may read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from clusters.models import Cluster
from clusters.selectors.grid import model_words, short_name
from clusters.selectors.idle import IdleLine, idle_lines
from clusters.selectors.workloads import Names, workloads
from fleetportal.accounts.principal import Principal
from fleetportal.console.selectors.usage import IdleSum, heat_rows, idle_sum

SHOWN = 20
MOST_CLUSTERS = 100  # whose cards are named; the sum is over all
COLUMNS = (
    *("cluster", "node", "gpu_model", "gpus", "owner", "team", "idle_since"),
    *("usd_per_hour", "usd_so_far"),
)


@dataclass(frozen=True, slots=True)
class IdleRow:
    """Idle cards of one holder on one node. `url` "": not ours, or not visible."""

    cluster: str
    node: str
    gpu_model: str
    gpus: int
    owner: str
    team: str
    url: str
    since: datetime
    usd_per_hour: float | None
    usd: float | None


@dataclass(frozen=True, slots=True)
class IdleList:
    """`total` counts every idle card that is visible; `rows` name the dearest of them."""

    total: IdleSum
    rows: Sequence[IdleRow]

    @property
    def more(self) -> int:
        """Idle cards that no row names."""
        return max(0, (self.total.gpus or 0) - sum(row.gpus for row in self.rows))


def idle_list(
    principal: Principal, clusters: Sequence[Cluster], now: datetime, most: int = SHOWN
) -> IdleList:
    """Three queries, whatever the number of clusters."""
    found = idle_sum(heat_rows(clusters, now))
    dearest = sorted(found.clusters, key=lambda one: -one[2].usd_per_hour)[:MOST_CLUSTERS]
    lines = idle_lines(dearest, now)[:most]
    pks = list({line.cluster.pk for line in lines})
    names = Names(principal, workloads(principal, pks) if pks else ())
    return IdleList(found, [_row(line, names) for line in lines])


def _row(line: IdleLine, names: Names) -> IdleRow:
    group = line.group
    ours = names.workload(line.cluster.pk, group.pod, group.workspace) if group.pod else None
    owner = names.of(line.cluster.pk, group.pod, group.workspace) if group.pod else ""
    return IdleRow(
        cluster=line.cluster.name,
        node=short_name(group.node),
        gpu_model=model_words(group.gpu_model),
        gpus=group.gpus,
        owner=owner or "one of several on the node",
        team=ours.team if ours else "",
        url=ours.url if ours else "",
        since=line.since,
        usd_per_hour=group.usd_per_hour,
        usd=group.usd,
    )


def cells(rows: Iterable[IdleRow]) -> Iterator[list[object]]:
    """Rows of the sheet, as COLUMNS name them."""
    for row in rows:
        yield [
            *(row.cluster, row.node, row.gpu_model, row.gpus, row.owner, row.team),
            *(row.since.isoformat(), row.usd_per_hour, row.usd),
        ]
