"""Score terms of one cluster, with the words that explain each."""

from __future__ import annotations

from functools import lru_cache
from math import isnan

from clusters.engine.types import PoolKind
from workspaces.engine.choice import spread_points
from workspaces.engine.evaluation import Evaluation
from workspaces.engine.pool_filters import count, money
from workspaces.engine.scores import PICKED_LATER, TERMS
from workspaces.engine.spread import VIOLATION
from workspaces.engine.types import ScoreTerm

_NO_DATA = {
    "price": "no price known for this pool",
    "affinity": "the policy prefers nothing",
    "region": "the policy names no region",
    "headroom": "no quota declared",
    "stability": "the deployment runs nowhere yet",
    "weights": "no cluster is known to hold the weights",
    "throughput": "the fleet has not measured this model here",
    "spread": "the policy does not spread",
}
# Most clusters of a fleet score the same: a thousand verdicts share one term.
_term = lru_cache(maxsize=8192)(ScoreTerm)
_UNCOUNTED = {
    name: ScoreTerm(name, 0.0, None, 0.0, f"Not counted: {why}.") for name, why in _NO_DATA.items()
}


def portal_terms(ev: Evaluation, number: int, topology: int | None) -> tuple[ScoreTerm, ...]:
    """All terms; their points add up to the total exactly, in hundredths."""
    return tuple(
        _spread(ev, topology) if name == PICKED_LATER else _early(ev, number, name)
        for name in TERMS
    )


def _early(ev: Evaluation, number: int, name: str) -> ScoreTerm:
    value = ev.board.values[name].item(number)
    if isnan(value):
        return _UNCOUNTED[name]
    points = int(ev.board.points[name].item(number)) / 100
    return _term(name, ev.board.weights[name], round(value, 4), points, _words(ev, number, name))


def _spread(ev: Evaluation, topology: int | None) -> ScoreTerm:
    policy = ev.demand.policy
    if not policy.spread or policy.placement_type != "PickN":
        return _UNCOUNTED["spread"]
    kept, keys = topology or 0, ", ".join(c.topology_key for c in policy.spread)
    value = kept / len(policy.spread)
    words = f"Keeps {kept} of {count(len(policy.spread), 'spread constraint')} ({keys})."
    points = spread_points(ev, kept) / 100
    return _term("spread", ev.board.weights["spread"], round(value, 4), points, words)


def _words(ev: Evaluation, number: int, name: str) -> str:
    cluster = ev.cluster(number)
    pool = ev.table.pools[int(ev.chosen[number])]
    if name == "price":
        return f"{money(ev.price(number))} for one replica."
    if name == "region":
        return f"In {cluster.region}."
    if name == "headroom":
        left, word = ev.slots[number], "whole nodes free"
        if pool.kind is PoolKind.PROVISIONABLE:
            word = "nodes of the quota left"
        shape = "the fullest" if ev.demand.policy.headroom == "pack" else "the emptiest"
        room = int(ev.table.columns.room[int(ev.chosen[number])])
        return f"{room} {word}, room for {left}; {shape} pool earns most."
    if name == "spot":
        return f"Capacity is {pool.capacity_type}."
    if name == "stability":
        runs = cluster.id in ev.situation.running_on
        return "The deployment runs here." if runs else "The deployment does not run here."
    if name == "weights":
        held = cluster.id in ev.situation.weights_on
        return "The weights are here." if held else "The weights have to be downloaded."
    if name == "throughput":
        tokens = ev.situation.tokens_per_minute[(cluster.id, pool.key)]
        return f"{tokens:,.0f} tokens/min measured, at {money(ev.price(number))}."
    return "By the preferences of the policy."


def kubefleet_terms(ev: Evaluation, number: int, topology: int | None) -> tuple[ScoreTerm, ...]:
    """KubeFleet's three scores. It compares them one after the other and does not add them; the
    weight is what a value of 1 stands for, and values outside 0..1 are KubeFleet's own."""
    affinity = 0 if ev.affinity is None else int(ev.affinity[number])
    most = sum(max(0, p.weight) for p in ev.demand.policy.preferred) or 1
    sticky = int(ev.cluster(number).id in ev.situation.running_on)
    spread = topology or 0
    broken = spread <= VIOLATION + len(ev.demand.policy.spread)
    return (
        ScoreTerm(
            "topology",
            1.0,
            float(spread),
            float(spread),
            "Breaks a soft spread constraint." if broken else "Minus the change of the skew.",
        ),
        ScoreTerm(
            "affinity", float(most), affinity / most, float(affinity), "Sum of the preferences."
        ),
        ScoreTerm(
            "sticky",
            1.0,
            float(sticky),
            float(sticky),
            "Runs here already." if sticky else "Does not run here.",
        ),
    )
