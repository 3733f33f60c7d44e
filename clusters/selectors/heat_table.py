"""The heatmap in numbers: a line for each node, a page at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from clusters.engine import heat as engine
from clusters.engine.types import NodeFacts, PoolFacts
from clusters.models import Cluster
from clusters.selectors.census import HEAVY, class_of, closed, silent
from clusters.selectors.facts import nodes_of, pools_of
from clusters.selectors.grid import node_note, shape_words, short_name, who, why_blocked
from clusters.selectors.heat import node_counts, value
from clusters.selectors.workloads import Names, workloads
from fleetportal.accounts.principal import Principal
from fleetportal.kit.format import duration, num

UNITS = {"util": "%", "memory": "%", "power": "W", "temperature": "°C", "idle": ""}


@dataclass(frozen=True, slots=True)
class NodeLine:
    """One node. `least`, `mean`, `most` are words of the metric over its measured cards; None with
    a word in `silent` where there are none."""

    cluster: str
    name: str
    short: str
    shape: str
    cards: int
    least: str | None
    mean: str | None
    most: str | None
    silent: str
    allocated: int
    free: int
    blocked: int
    faulty: int
    shared: int
    unknown: int
    who: str
    note: str

    @property
    def held(self) -> str:
        """ "4 allocated, 4 blocked": only what there is; "unknown" where nobody knows of any."""
        names = ("allocated", "free", "blocked", "faulty", "shared", "unknown")
        found = [(getattr(self, name), name) for name in names]
        if self.unknown == self.cards:
            return "unknown"
        return ", ".join(f"{count} {name}" for count, name in found if count)


class NodeLines(Sequence[NodeLine]):
    """All nodes that the principal sees, read only where a page is cut out. Made for Paginator."""

    def __init__(self, principal: Principal, metric: str, cluster: str = "") -> None:
        self._principal, self._metric = principal, metric
        self._clusters = node_counts(principal, cluster)
        self._starts = [0]
        for _, count in self._clusters:
            self._starts.append(self._starts[-1] + count)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, int):
            return self[place : place + 1][0]
        first, last, _ = place.indices(len(self))
        cut = [
            (pk, max(0, first - begin), last - begin)
            for (pk, _), (begin, end) in zip(self._clusters, pairwise(self._starts), strict=True)
            if begin < last and end > first
        ]
        rows = Cluster.objects.select_related("heat").defer(*HEAVY)
        found = rows.in_bulk([pk for pk, _, _ in cut])
        names = Names(self._principal, workloads(self._principal, list(found)))
        return [
            line
            for pk, low, high in cut
            for line in lines_of(found[pk], self._metric, names)[low:high]
        ]


def lines_of(cluster: Cluster, metric: str, names: Names) -> list[NodeLine]:
    """The nodes of a cluster whose heat row is at hand."""
    pools, place, lines = {pool.key: pool for pool in pools_of(cluster)}, 0, []
    for node in nodes_of(cluster):
        cards = engine.cards_of(node)
        cells = node_cells(cluster, metric, place, cards)
        lines.append(_line(cluster, node, pools.get(node.pool), cells, metric, names))
        place += cards
    return lines


@dataclass(frozen=True, slots=True)
class NodeCells:
    """Bytes of one node's cards as its cluster's state lets them be read."""

    values: bytes
    allocation: bytes
    marks: bytes


def node_cells(cluster: Cluster, metric: str, start: int, cards: int) -> NodeCells:
    """Of `metric`, and of the allocation; unknown where the cluster is silent or has no row."""
    row = getattr(cluster, "heat", None)
    lost = bytes([engine.UNKNOWN]) * cards
    if row is None or len(row.marks) < start + cards:
        return NodeCells(lost, lost, bytes(cards))
    cut = slice(start, start + cards)
    marks, allocation = bytes(row.marks)[cut], bytes(row.allocation)[cut]
    if silent(cluster):
        return NodeCells(lost, lost, marks)
    if closed(cluster):
        allocation = allocation.replace(bytes([engine.FREE]), bytes([engine.BLOCKED]))
    values = allocation if metric == "allocation" else bytes(getattr(row, metric))[cut]
    return NodeCells(values, allocation, marks)


def _line(
    cluster: Cluster,
    node: NodeFacts,
    pool: PoolFacts | None,
    cells: NodeCells,
    metric: str,
    names: Names,
) -> NodeLine:
    classes = Counter(cells.allocation)
    least, mean, most = _spread(metric, cells.values)
    return NodeLine(
        cluster=cluster.name,
        name=node.name,
        short=short_name(node.name),
        shape=shape_words(len(cells.values), class_of(pool) if pool else node.gpu_model),
        cards=len(cells.values),
        least=least,
        mean=mean,
        most=most,
        silent="not exported" if engine.NOT_EXPORTED in cells.values else "unknown",
        allocated=classes[engine.FULL],
        free=classes[engine.FREE],
        blocked=classes[engine.BLOCKED],
        faulty=classes[engine.FAULTY],
        shared=classes[engine.PART],
        unknown=classes[engine.UNKNOWN],
        who=who(cluster, node, names),
        note=node_note(cluster, node) or why_blocked(cluster, node),
    )


def _spread(metric: str, values: bytes) -> tuple[str | None, str | None, str | None]:
    known = [found for byte in values if (found := value(metric, byte)) is not None]
    if not known:
        return None, None, None
    return _say(metric, min(known)), _say(metric, sum(known) / len(known)), _say(metric, max(known))


def _say(metric: str, value: float) -> str:
    return duration(value) if metric == "idle" else num(value, 0)
