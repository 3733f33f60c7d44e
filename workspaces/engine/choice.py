"""Which clusters take how many replicas: PickAll, PickN, PickFixed, spread, room and budget.

Deterministic: candidates are ranked by points, then price, then name. Undeclared quota comes after
all known room, whatever its points. KubeFleet's mode compares topology, affinity and stickiness in
this order and gives full ties to the greatest name, as its scheduler does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from workspaces.engine.evaluation import Evaluation
from workspaces.engine.pool_filters import count, money
from workspaces.engine.share import distribute, fits
from workspaces.engine.spread import (
    Candidate,
    Domains,
    Outcome,
    Pick,
    constraints_kept,
    kubefleet_topology,
    pick,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """`picks` in the order of picking; `replicas` per cluster number. `blocked` says why there is
    no plan: then nothing is picked. `left` is the topology score per domain after all picks.
    `short_of` is how many replicas a cluster would have to hold, when only room was missing."""

    picks: tuple[Pick, ...] = ()
    replicas: Mapping[int, int] = field(default_factory=dict)
    left: Mapping[Domains, int | None] = field(default_factory=dict)
    blocked: str = ""
    note: str = ""
    short_of: int = 0


ReasonOf = Callable[[int], str]


def choose(ev: Evaluation, reason_of: ReasonOf) -> Choice:
    """Pick clusters and hand out replicas; `reason_of` tells why a cluster was rejected."""
    problem = _impossible(ev, reason_of)
    if problem:
        return Choice(blocked=problem)
    eligible = [int(number) for number in np.flatnonzero(ev.eligible)]
    wanted = _wanted(ev, len(eligible))
    if wanted > ev.demand.replicas:
        return Choice(blocked=_too_many(ev, wanted))
    best = _pick(ev, _ranked(ev, eligible), wanted)
    note = ""
    if len(best.picks) == wanted and not _fits(ev, best):
        roomiest = _pick(ev, _by_room(ev, eligible), wanted, by_room=True)
        if _fits(ev, roomiest):
            best, note = roomiest, _room_note(ev)
    return _settle(ev, best, wanted, note)


def _impossible(ev: Evaluation, reason_of: ReasonOf) -> str:
    """A sentence when no choice can satisfy the demand; empty otherwise."""
    demand, policy = ev.demand, ev.demand.policy
    if demand.replicas < 1:
        return f"replicas: {demand.replicas} asked; ask for at least 1."
    if policy.placement_type == "PickFixed":
        return _fixed_problem(ev, reason_of)
    if policy.number_of_clusters is not None and policy.number_of_clusters < 1:
        return f"number_of_clusters: {policy.number_of_clusters} asked; ask for at least 1."
    if not ev.eligible.any():
        return _nobody(ev, reason_of)
    return ""


def _nobody(ev: Evaluation, reason_of: ReasonOf) -> str:
    """Names the cluster that came closest: the one with the fewest failed filters."""
    total = len(ev.table.clusters)
    if not total:
        return "There is no cluster in the fleet."

    def failures(number: int) -> tuple[int, int]:
        row = ev.row(number)
        pools = 1 if row is None else int(ev.rows.fails[row]).bit_count()
        return (sum(answer[0] is False for answer in ev.answers[number]) + pools, number)

    nearest = min(range(total), key=failures)
    closest = f"{ev.cluster(nearest).name}: {reason_of(nearest)}"
    if total == 1:
        return closest
    return f"None of {count(total, 'cluster')} can take it. Closest is {closest}"


def _fixed_problem(ev: Evaluation, reason_of: ReasonOf) -> str:
    names = set(ev.demand.policy.cluster_names)
    if not names:
        return "cluster_names: PickFixed needs at least one name."
    numbers = {c.name: i for i, c in enumerate(ev.table.clusters) if c.name in names}
    missing = sorted(names - numbers.keys())
    if missing:
        return f"There is no cluster named {', '.join(missing)}."
    refused = [n for n in sorted(names) if not ev.eligible[numbers[n]]]
    return " ".join(f"{name} cannot take it: {reason_of(numbers[name])}" for name in refused)


def _wanted(ev: Evaluation, eligible: int) -> int:
    policy = ev.demand.policy
    if policy.placement_type == "PickN":
        if policy.number_of_clusters is None:
            return min(ev.demand.replicas, eligible)
        return policy.number_of_clusters
    return eligible


def _too_many(ev: Evaluation, wanted: int) -> str:
    kind = ev.demand.policy.placement_type
    return (
        f"{kind} asks for {count(wanted, 'cluster')}, but {count(ev.demand.replicas, 'replica')} "
        f"can be on {ev.demand.replicas} at most: ask for {wanted} replicas or fewer clusters."
    )


def _ranked(ev: Evaluation, numbers: Sequence[int]) -> list[Candidate]:
    if ev.affinity is not None:
        made = [Candidate(n, _kubefleet_rank(ev, n), ev.domains[n]) for n in reversed(numbers)]
    else:
        made = [Candidate(n, _rank(ev, n), ev.domains[n]) for n in numbers]
    return sorted(made, key=lambda c: c.rank, reverse=True)  # stable: equal ranks keep their order


def _rank(ev: Evaluation, number: int) -> tuple[int, ...]:
    """Known room, points in hundredths, price in millionths of a dollar (cheap first)."""
    price = ev.price(number)
    micros = 1 << 62 if price is None else round(price * 1e6)
    return (int(ev.slots[number] is not None), int(ev.board.total[number]), -micros)


def _kubefleet_rank(ev: Evaluation, number: int) -> tuple[int, ...]:
    """Affinity, then 1 where the deployment runs already (its obsolete binding)."""
    sticky = int(ev.cluster(number).id in ev.situation.running_on)
    return (0 if ev.affinity is None else int(ev.affinity[number]), sticky)


def _by_room(ev: Evaluation, numbers: Sequence[int]) -> list[Candidate]:
    """The same candidates, the roomiest first; unknown room may be enough."""

    def rank(number: int) -> tuple[int, ...]:
        slots = ev.slots[number]
        enough = ev.demand.replicas
        return (enough if slots is None else min(slots, enough), *_rank(ev, number))

    made = [Candidate(n, rank(n), ev.domains[n]) for n in numbers]
    return sorted(made, key=lambda c: c.rank, reverse=True)


def spread_points(ev: Evaluation, kept: int) -> int:
    """Hundredths of a point for keeping `kept` of the policy's spread constraints."""
    constraints = len(ev.demand.policy.spread)
    if not constraints:
        return 0
    return round(ev.board.weights["spread"] * 100 * kept / constraints)


def _pick(
    ev: Evaluation, candidates: Sequence[Candidate], wanted: int, *, by_room: bool = False
) -> Outcome:
    constraints = ev.demand.policy.spread if ev.demand.policy.placement_type == "PickN" else ()
    # KubeFleet counts every domain of the fleet; a domain where nobody can take a replica would
    # forbid a second pick everywhere else, so our own mode leaves it out.
    over = range(len(ev.table.clusters)) if ev.kubefleet else [c.number for c in candidates]
    universe: list[set[str]] = [
        {d for n in over if (d := ev.domains[n][k]) is not None} for k in range(len(constraints))
    ]

    def order(topology: int, rank: tuple[int, ...]) -> tuple[int, ...]:
        if by_room:
            return rank
        if ev.kubefleet:
            return (topology, *rank)
        known, total, price = rank
        return (known, total + spread_points(ev, topology), price)

    judge = kubefleet_topology if ev.kubefleet else constraints_kept
    return pick(candidates, constraints, universe, wanted, judge, order)


def _slots(ev: Evaluation, outcome: Outcome) -> list[int | None]:
    return [ev.slots[p.number] for p in outcome.picks]


def _fits(ev: Evaluation, outcome: Outcome) -> bool:
    return fits(_slots(ev, outcome), ev.demand.replicas)


def _room_note(ev: Evaluation) -> str:
    asked = count(ev.demand.replicas, "replica")
    return f"The clusters with the most room were taken, because the best ones cannot hold {asked}."


def _settle(ev: Evaluation, outcome: Outcome, wanted: int, note: str) -> Choice:
    """Hand out the replicas, or say why they do not fit."""
    slots = _slots(ev, outcome)
    given = distribute(slots, ev.demand.replicas)
    problem = _shortage(ev, outcome, wanted, sum(given)) or _over_budget(ev, outcome, given)
    if problem:
        share = -(-ev.demand.replicas // wanted) if sum(given) < ev.demand.replicas else 0
        return Choice(left=outcome.left, blocked=problem, short_of=share)
    numbers = [p.number for p in outcome.picks]
    return Choice(outcome.picks, dict(zip(numbers, given, strict=True)), outcome.left, "", note)


def _shortage(ev: Evaluation, outcome: Outcome, wanted: int, given: int) -> str:
    picked, able = len(outcome.picks), int(ev.eligible.sum())
    if picked < wanted <= able:
        return (
            f"The spread allows only {picked} of {count(wanted, 'cluster')}: relax it to "
            "ScheduleAnyway, raise max_skew, or ask for fewer clusters."
        )
    if picked < wanted:
        return f"{count(wanted, 'cluster')} asked, {picked} can take it."
    if given >= ev.demand.replicas:
        return ""
    rooms = ", ".join(
        f"{ev.cluster(p.number).name} {ev.slots[p.number]}" for p in outcome.picks[:10]
    )
    if picked > 10:
        rooms += f" and {picked - 10} more"
    return f"{count(ev.demand.replicas, 'replica')} asked, {given} fit: room on {rooms}."


def _over_budget(ev: Evaluation, outcome: Outcome, given: Sequence[int]) -> str:
    limit = ev.demand.policy.max_price_per_hour
    if limit is None:
        return ""
    prices = [ev.price(p.number) for p in outcome.picks]
    total = sum(n * p for n, p in zip(given, prices, strict=True) if p is not None)
    if total <= limit:
        return ""
    replicas = count(ev.demand.replicas, "replica")
    return f"{replicas} would cost {money(total)} together (your limit is {money(limit)})."
