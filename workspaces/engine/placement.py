"""Where the replicas of one model go: a verdict for every cluster of the fleet.

Pure and deterministic: the same demand, facts and situation give the same decision and the same
digest, in whatever order the clusters come. Knows nothing of databases, clocks or Kubernetes.
Order of work: `table` (columns) -> `filters` and `kernel` -> `scores` -> `choice` -> `verdicts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import fsum

from clusters.engine.types import ClusterFacts
from workspaces.engine import explain, sizing
from workspaces.engine.canonical import digest
from workspaces.engine.choice import Choice, choose
from workspaces.engine.evaluation import Evaluation, evaluate, with_room
from workspaces.engine.table import Estimator
from workspaces.engine.types import Decision, Demand, Situation, Verdict
from workspaces.engine.verdicts import Writer


def place(
    demand: Demand,
    clusters: Sequence[ClusterFacts],
    situation: Situation,
    *,
    estimate: Estimator = sizing.estimate,
) -> Decision:
    """Decide. A decision that is blocked selects nobody and says why, with the numbers.

    `situation.claimed_nodes` counts promised nodes that the facts do not show yet: not those that
    already hold a pod (existing pools) or already exist (provisionable pools).

    Raises ValueError when the policy itself makes no sense (unknown operator, weight, ...).
    """
    ev = evaluate(demand, clusters, situation, estimate)
    choice = choose(ev, Writer.of(ev, Choice()).reason)
    if choice.short_of:
        ev, choice = _roomier(ev, choice)
    writer = Writer.of(ev, choice)
    verdicts = tuple([writer.verdict(number) for number in range(len(ev.table.clusters))])
    picked = [verdicts[number] for number in sorted(choice.replicas, key=_by_stage(ev))]
    price, partial = _price(picked)
    line = explain.summary(
        verdicts, picked, explain.total_price(price, partial), choice.blocked, choice.note
    )
    return Decision(
        verdicts=verdicts,
        summary=line,
        price_per_hour=price,
        price_is_partial=partial,
        blocked=choice.blocked,
        digest=digest(_evidence(ev, verdicts, choice)),
    )


def _roomier(ev: Evaluation, choice: Choice) -> tuple[Evaluation, Choice]:
    """Try once more with pools that hold a cluster's whole share, where its cheapest does not."""
    again = with_room(ev, choice.short_of)
    second = choose(again, Writer.of(again, Choice()).reason)
    return (ev, choice) if second.blocked else (again, second)


def _by_stage(ev: Evaluation) -> Callable[[int], tuple[int, str]]:
    def key(number: int) -> tuple[int, str]:
        cluster = ev.cluster(number)
        return explain.by_stage(cluster.environment, cluster.name)

    return key


def _price(picked: Sequence[Verdict]) -> tuple[float | None, bool]:
    """Total $/h of the known prices; None when none is known."""
    known = [v.price_per_hour for v in picked if v.price_per_hour is not None]
    return (fsum(known) if known else None, 0 < len(known) < len(picked))


def _evidence(ev: Evaluation, verdicts: Sequence[Verdict], choice: Choice) -> dict[str, object]:
    """What the digest covers: the demand, and per cluster what decided and what was decided.

    Ages are left out: the same fleet seen a second later must give the same digest.
    """
    return {
        "demand": ev.demand,
        "blocked": choice.blocked,
        # Rows of text and numbers are canonical as they are; one text is much cheaper to walk.
        "clusters": json.dumps([_facts(ev, n, verdict) for n, verdict in enumerate(verdicts)]),
    }


_MARKS = {True: "1", False: "0", None: "?"}


def _facts(ev: Evaluation, number: int, verdict: Verdict) -> list[object]:
    row, cluster = ev.row(number), ev.cluster(number)
    price = verdict.price_per_hour
    return [
        cluster.id,
        cluster.name,
        cluster.uid,
        verdict.verdict,
        "".join([_MARKS[answer[0]] for answer in ev.answers[number]]),
        None if row is None else int(ev.rows.fails[row]),
        verdict.pool,
        verdict.nodes_per_replica,
        ev.slots[number],
        verdict.replicas,
        None if price is None else round(price * 1e6),
        None if verdict.total is None else round(verdict.total * 100),
    ]
