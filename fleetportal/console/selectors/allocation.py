"""The allocation table: every GPU once, by whatever one groups it by; the sums are the census's.

By place or kind of card each group is a whole census. By team or model only held cards can be told
apart, so a group there has its held cards and nothing else, and the rest has a line of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from clusters.models import Cluster
from clusters.selectors.census import CLASSES, Overview, Tally, add_up, tally, unseen
from clusters.selectors.facts import nodes_of
from clusters.selectors.grid import model_words
from clusters.selectors.workloads import ELSEWHERE, OTHER_TEAM, Names, Workload, workloads
from fleetportal.accounts.principal import Principal

BY_PLACE: dict[str, tuple[str, Callable[[Cluster], str]]] = {
    "cluster": ("Cluster", lambda c: c.name),
    "environment": ("Environment", lambda c: c.environment or "No environment"),
    "region": ("Region", lambda c: c.region or "Region unknown"),
    "provider": ("Provider", lambda c: c.provider or "Provider unknown"),
    "state": ("State", lambda c: c.get_state_display()),
}
BY_HOLDER: dict[str, tuple[str, Callable[[Workload], str]]] = {
    "team": ("Team", lambda w: w.team),
    "model": ("Model", lambda w: w.model),
}
GROUPS = {
    "class": "GPU class",
    **{key: words for key, (words, _) in BY_PLACE.items()},
    **{key: words for key, (words, _) in BY_HOLDER.items()},
}


@dataclass(frozen=True, slots=True)
class Group:
    """One line. `clusters` None: of cards, not of clusters."""

    name: str
    tally: Tally
    clusters: int | None = None


def groups(
    principal: Principal, clusters: Sequence[Cluster], by: str, fleet: Overview
) -> list[Group]:
    """Lines whose tallies add up to the total of `fleet`, the overview of these clusters (one query
    by team or model, else none)."""
    if by in BY_PLACE:
        return _by_place(clusters, BY_PLACE[by][1])
    if by in BY_HOLDER:
        return _by_holder(principal, clusters, BY_HOLDER[by][1], fleet.total)
    return [Group(model_words(name), one) for name, one in fleet.by_model.items()]


def _by_place(clusters: Sequence[Cluster], heading: Callable[[Cluster], str]) -> list[Group]:
    found: dict[str, list[Tally]] = {}
    for cluster in clusters:
        found.setdefault(heading(cluster), []).append(tally(cluster))
    lines = [Group(name, add_up(all_of), len(all_of)) for name, all_of in found.items()]
    return sorted(lines, key=lambda line: (-line.tally.total, line.name))


def _by_holder(
    principal: Principal,
    clusters: Sequence[Cluster],
    heading: Callable[[Workload], str],
    total: Tally,
) -> list[Group]:
    names = Names(principal, workloads(principal, [cluster.pk for cluster in clusters]))
    held = Counter[str]()
    for cluster in clusters:
        if not unseen(cluster):
            held.update(_held(cluster, names, heading))
    lines = [Group(name, Tally(allocated=count)) for name, count in held.most_common() if count]
    return [*lines, Group("Not allocated", _without(total, sum(held.values())))]


def _held(cluster: Cluster, names: Names, heading: Callable[[Workload], str]) -> Counter[str]:
    """Allocated cards of one cluster by their holder; as many as the census counts."""
    found = Counter[str]()
    for node in nodes_of(cluster):
        if node.sharing != "none":
            continue
        left = min(node.used, node.allocatable)
        for pod, gpus, workspace in node.holders:
            ours = names.workload(cluster.pk, pod, workspace)
            name = ELSEWHERE if ours is None else heading(ours) or OTHER_TEAM
            found[name] += min(gpus, left)
            left -= min(gpus, left)
        found["unknown holder"] += left
    return found


def _without(total: Tally, held: int) -> Tally:
    rest = {name: getattr(total, name) for name in Tally.__slots__}
    return Tally(**{**rest, "allocated": total.allocated - held})


def cells(lines: Sequence[Group]) -> Iterator[list[object]]:
    """Rows of the sheet: name, clusters, the classes, total."""
    for line in lines:
        counts = [getattr(line.tally, name) for name in CLASSES]
        yield [line.name, line.clusters, *counts, line.tally.total]
