"""Score terms of one cluster, with the words that explain each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isnan
from typing import NamedTuple

from clusters.engine.types import PoolFacts, PoolKind
from workspaces.engine.choice import spread_points
from workspaces.engine.evaluation import Evaluation
from workspaces.engine.pool_filters import count, money
from workspaces.engine.scores import PICKED_LATER, TERMS
from workspaces.engine.spread import VIOLATION
from workspaces.engine.types import ScoreTerm

Words = Callable[[Evaluation, int], str]

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


class PortalTerms:
    """The terms of any cluster of an evaluation. Its columns become lists once, because single
    items of arrays are slow."""

    def __init__(self, ev: Evaluation) -> None:
        self._ev = ev
        self._columns = [_Column.of(ev, name) for name in TERMS if name != PICKED_LATER]

    def at(self, number: int, topology: int | None) -> tuple[ScoreTerm, ...]:
        """All terms; their points add up to the total exactly, in hundredths."""
        early = [column.term(self._ev, number) for column in self._columns]
        return (*early, _spread(self._ev, topology))


class _Column(NamedTuple):
    name: str
    weight: float
    values: list[float]  # NaN: no data
    points: list[int]  # hundredths
    words: Words

    @classmethod
    def of(cls, ev: Evaluation, name: str) -> _Column:
        values, points = ev.board.values[name].tolist(), ev.board.points[name].tolist()
        return cls(name, ev.board.weights[name], values, points, _WORDS[name])

    def term(self, ev: Evaluation, number: int) -> ScoreTerm:
        value = self.values[number]
        if isnan(value):
            return _UNCOUNTED[self.name]
        points, words = self.points[number] / 100, self.words(ev, number)
        return _term(self.name, self.weight, round(value, 4), points, words)


def _spread(ev: Evaluation, topology: int | None) -> ScoreTerm:
    policy = ev.demand.policy
    if not policy.spread or policy.placement_type != "PickN":
        return _UNCOUNTED["spread"]
    kept, keys = topology or 0, ", ".join(c.topology_key for c in policy.spread)
    value = kept / len(policy.spread)
    words = f"Keeps {kept} of {count(len(policy.spread), 'spread constraint')} ({keys})."
    points = spread_points(ev, kept) / 100
    return _term("spread", ev.board.weights["spread"], round(value, 4), points, words)


def _pool(ev: Evaluation, number: int) -> PoolFacts:
    return ev.table.pools[int(ev.chosen[number])]


def _headroom(ev: Evaluation, number: int) -> str:
    creates = _pool(ev, number).kind is PoolKind.PROVISIONABLE
    word = "nodes of the quota left" if creates else "whole nodes free"
    shape = "the fullest" if ev.demand.policy.headroom == "pack" else "the emptiest"
    room = int(ev.table.columns.room[int(ev.chosen[number])])
    return f"{room} {word}, room for {ev.slots[number]}; {shape} pool earns most."


def _stability(ev: Evaluation, number: int) -> str:
    runs = ev.cluster(number).id in ev.situation.running_on
    return "The deployment runs here." if runs else "The deployment does not run here."


def _weights(ev: Evaluation, number: int) -> str:
    held = ev.cluster(number).id in ev.situation.weights_on
    return "The weights are here." if held else "The weights have to be downloaded."


def _throughput(ev: Evaluation, number: int) -> str:
    tokens = ev.situation.tokens_per_minute[(ev.cluster(number).id, _pool(ev, number).key)]
    return f"{tokens:,.0f} tokens/min measured, at {money(ev.price(number))}."


_WORDS: Mapping[str, Words] = {
    "price": lambda ev, number: f"{money(ev.price(number))} for one replica.",
    "affinity": lambda ev, number: "By the preferences of the policy.",
    "region": lambda ev, number: f"In {ev.cluster(number).region}.",
    "headroom": _headroom,
    "spot": lambda ev, number: f"Capacity is {_pool(ev, number).capacity_type}.",
    "stability": _stability,
    "weights": _weights,
    "throughput": _throughput,
}


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
