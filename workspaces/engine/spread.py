"""Picking clusters one at a time so that they spread over topology domains.

Skew and violation follow KubeFleet's TopologySpread plugin: skew is the greatest minus the least
count of picks per value of the key; a cluster without the key stands outside the spread. Clusters
with equal domains differ only by their rank, so each turn looks at one head per domain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workspaces.engine.types import SpreadConstraint

VIOLATION = -1000  # KubeFleet's score of breaking a ScheduleAnyway constraint
Domains = tuple[str | None, ...]  # a cluster's value per constraint


@dataclass(frozen=True, slots=True)
class Candidate:
    """A feasible cluster; candidates come best first, so equal ranks are settled by position."""

    number: int
    rank: tuple[int, ...]
    domains: Domains


@dataclass(frozen=True, slots=True)
class Pick:
    number: int
    topology: int  # score at its turn


@dataclass(frozen=True, slots=True)
class Outcome:
    """`left` is the topology score that each domain would have next; None: it would break a
    DoNotSchedule constraint."""

    picks: tuple[Pick, ...]
    left: dict[Domains, int | None]


@dataclass(frozen=True, slots=True)
class Change:
    """What one more pick in a domain does: KubeFleet's `willViolate`."""

    violates: bool
    skew: int  # -1, 0 or +1


class Counts:
    """Picks per domain of one constraint."""

    def __init__(self, constraint: SpreadConstraint, domains: set[str]) -> None:
        self.constraint = constraint
        self._count = dict.fromkeys(domains, 0)
        self._sorted = [0] * len(domains)

    def add(self, domain: str | None) -> None:
        if domain in self._count:
            self._count[domain] += 1
            self._sorted = sorted(self._count.values())

    def change(self, domain: str) -> Change:
        counts = self._sorted
        least, most, mine = counts[0], counts[-1], self._count[domain]
        skew = most - least
        if most == least:
            step = 1
        elif mine == least and counts[1] != least:
            step = -1
        else:
            step = 1 if mine == most else 0
        return Change(skew + step > self.constraint.max_skew, step)


Judge = Callable[[Sequence[Counts], Domains], int | None]
Order = Callable[[int, tuple[int, ...]], tuple[int, ...]]


def kubefleet_topology(counts: Sequence[Counts], domains: Domains) -> int | None:
    """KubeFleet's score: minus the change of skew for each constraint kept, -1000 for each soft
    one broken; None when a hard one breaks."""
    score = 0
    for one, domain in zip(counts, domains, strict=True):
        if domain is None:
            continue
        change = one.change(domain)
        if change.violates and one.constraint.when_unsatisfiable == "DoNotSchedule":
            return None
        score += VIOLATION if change.violates else -change.skew
    return score


def constraints_kept(counts: Sequence[Counts], domains: Domains) -> int | None:
    """How many constraints one more pick here keeps; None when a hard one breaks. A cluster
    outside a spread does nothing for it."""
    kept = 0
    for one, domain in zip(counts, domains, strict=True):
        if domain is None:
            continue
        if not one.change(domain).violates:
            kept += 1
        elif one.constraint.when_unsatisfiable == "DoNotSchedule":
            return None
    return kept


def pick(
    candidates: Sequence[Candidate],
    constraints: Sequence[SpreadConstraint],
    universe: Sequence[set[str]],
    number: int,
    judge: Judge,
    order: Order,
) -> Outcome:
    """Pick up to `number` candidates, one per turn, the greatest `order(topology, rank)` first.

    `universe` holds the domains that count for each constraint, those without a pick included.
    Fewer are picked when hard constraints leave nobody.
    """
    counts = [Counts(c, set(d)) for c, d in zip(constraints, universe, strict=True)]
    queues: dict[Domains, list[int]] = {}
    for position in range(len(candidates) - 1, -1, -1):
        queues.setdefault(candidates[position].domains, []).append(position)
    picks: list[Pick] = []
    while len(picks) < number:
        turn = _turn(candidates, queues, counts, judge, order)
        if turn is None:
            break
        position, topology = turn
        chosen = candidates[position]
        queues[chosen.domains].pop()
        for one, domain in zip(counts, chosen.domains, strict=True):
            one.add(domain)
        picks.append(Pick(chosen.number, topology))
    return Outcome(tuple(picks), {domains: judge(counts, domains) for domains in queues})


def _turn(
    candidates: Sequence[Candidate],
    queues: dict[Domains, list[int]],
    counts: Sequence[Counts],
    judge: Judge,
    order: Order,
) -> tuple[int, int] | None:
    """The best head of all queues and its topology score; None: nobody may be picked."""
    best: tuple[tuple[int, ...], int, int] | None = None
    for domains, queue in queues.items():
        topology = judge(counts, domains) if queue else None
        if topology is None:
            continue
        head = queue[-1]
        entry = (order(topology, candidates[head].rank), -head, topology)
        if best is None or entry > best:
            best = entry
    return None if best is None else (-best[1], best[2])
