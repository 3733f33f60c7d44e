"""One verdict per cluster. What a list shows is there at once; the sentence, the filters and the
score terms are made when somebody first looks at them, from the same frozen evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from workspaces.engine import explain, pool_filters
from workspaces.engine.choice import Choice, spread_points
from workspaces.engine.evaluation import Evaluation
from workspaces.engine.filters import BEFORE_POOLS, CLUSTER_FILTERS, Finding
from workspaces.engine.spread import Domains
from workspaces.engine.terms import PortalTerms, kubefleet_terms
from workspaces.engine.types import Estimate, FilterResult, ScoreTerm, Verdict

_LAZY = frozenset({"reason", "filters", "scores"})
# Filters without which nobody knows what is free.
_OF_AGE = [n for n, (name, _) in enumerate(CLUSTER_FILTERS) if name in ("reachable", "fresh")]

Rival = tuple[str, float | None, float]  # name, $/h of one replica, points


class LazyVerdict(Verdict):
    """A Verdict whose explanation is made on first access. Equal, copied and pickled like any
    other: every access goes through the fields."""

    __slots__ = ("_make",)
    _make: Callable[[str], Any]

    def __getattr__(self, name: str) -> Any:
        # Python asks here only for a slot that is still empty.
        if name not in _LAZY:
            raise AttributeError(name)
        value = self._make(name)
        object.__setattr__(self, name, value)
        return value


@lru_cache(maxsize=4096)
def _result(name: str, answer: Finding) -> FilterResult:
    """Most clusters give the same answers: a thousand verdicts share one result."""
    return FilterResult(name, *answer)


def _own(answers: tuple[Finding, ...]) -> tuple[FilterResult, ...]:
    """The results of the filters of a cluster. The first of them says its name; the others are
    looked for all at once, since they are mostly the same."""
    return (_result(CLUSTER_FILTERS[0][0], answers[0]), *_others(answers[1:]))


@lru_cache(maxsize=4096)
def _others(answers: tuple[Finding, ...]) -> tuple[FilterResult, ...]:
    pairs = zip(CLUSTER_FILTERS[1:], answers, strict=True)
    return tuple([_result(name, answer) for (name, _), answer in pairs])


@dataclass(frozen=True, slots=True)
class Writer:
    """Makes verdicts from an evaluation and a choice."""

    ev: Evaluation
    choice: Choice
    topology: dict[int, int]  # cluster number -> topology score at its turn
    terms: PortalTerms
    rivals: dict[Domains, Rival]  # what `_against` has found so far

    @classmethod
    def of(cls, ev: Evaluation, choice: Choice) -> Writer:
        return cls(ev, choice, {p.number: p.topology for p in choice.picks}, PortalTerms(ev), {})

    def verdict(self, number: int) -> Verdict:
        """The verdict of one cluster; a spare one's price is that of one replica."""
        ev, cluster = self.ev, self.ev.cluster(number)
        able, replicas = bool(ev.eligible[number]), self.choice.replicas.get(number, 0)
        row = ev.row(number)
        pool = None if row is None else ev.table.pools[row]
        estimate = self._estimate(row)
        price = ev.price(number) if able else None
        made = LazyVerdict.__new__(LazyVerdict)
        put = object.__setattr__
        put(made, "cluster_id", cluster.id)
        put(made, "cluster", cluster.name)
        put(made, "verdict", "selected" if replicas else "spare" if able else "rejected")
        put(made, "total", self.total(number) / 100 if able else None)
        put(made, "replicas", replicas)
        put(made, "pool", pool.key if pool else "")
        put(made, "pool_kind", pool.kind if pool else None)
        put(made, "instance_type", pool.instance_type if pool else "")
        put(made, "nodes_per_replica", estimate.nodes if estimate else None)
        put(made, "price_per_hour", None if price is None else price * max(1, replicas))
        put(made, "estimate", estimate)
        put(made, "_make", lambda name: self._explain(number, name))
        return made

    def _estimate(self, row: int | None) -> Estimate | None:
        table = self.ev.table
        return None if row is None else table.estimates[int(table.columns.shape[row])]

    def _explain(self, number: int, name: str) -> Any:
        if name == "reason":
            return self.reason(number)
        return self.filters(number) if name == "filters" else self.scores(number)

    def filters(self, number: int) -> tuple[FilterResult, ...]:
        """Every filter's result, in the fixed order."""
        ev = self.ev
        own = _own(ev.answers[number])
        row, split = ev.row(number), len(BEFORE_POOLS)
        if row is None:
            pools = pool_filters.nothing("The cluster has no GPU pool.")
        else:
            known = all(ev.answers[number][place][0] for place in _OF_AGE)
            pools = pool_filters.results(
                pool_filters.view(ev.table, ev.rows, row, ev.demand), known=known
            )
        return (*own[:split], *pools, *own[split:])

    def topology_of(self, number: int) -> int | None:
        """At its turn for a selected cluster, after all picks for a spare one."""
        if number in self.topology:
            return self.topology[number]
        return self.choice.left.get(self.ev.domains[number], 0)

    def total(self, number: int) -> int:
        """Hundredths of a point, the spread term included."""
        topology = self.topology_of(number) or 0
        if self.ev.affinity is not None:
            sticky = int(self.ev.cluster(number).id in self.ev.situation.running_on)
            return 100 * (topology + int(self.ev.affinity[number]) + sticky)
        return int(self.ev.board.total[number]) + spread_points(self.ev, topology)

    def scores(self, number: int) -> tuple[ScoreTerm, ...]:
        if not self.ev.eligible[number]:
            return ()
        if self.ev.affinity is not None:
            return kubefleet_terms(self.ev, number, self.topology_of(number))
        return self.terms.at(number, self.topology_of(number))

    def reason(self, number: int) -> str:
        if not self.ev.eligible[number]:
            return self._rejected(number)
        replicas = self.choice.replicas.get(number, 0)
        return self._selected(number, replicas) if replicas else self._spare(number)

    def _rejected(self, number: int) -> str:
        """The first failure's reason; most are of the cluster itself and need no pool looked at."""
        for passed, _, _, reason in self.ev.answers[number][: len(BEFORE_POOLS)]:
            if passed is False:
                return reason
        return explain.rejected(self.filters(number))

    def _selected(self, number: int, replicas: int) -> str:
        ev, verdict = self.ev, self.verdict(number)
        domain = next(iter(ev.domains[number]), None)
        able = [
            other
            for other, ok in enumerate(ev.eligible)
            if ok and (domain is None or ev.domains[other][0] == domain)
        ]
        taken = sum(1 for other in able if self.choice.replicas.get(other))
        place = explain.first_of(len(able), taken, domain)
        if ev.demand.policy.placement_type == "PickFixed":
            place = "You named it."
        nodes = verdict.nodes_per_replica or 1
        return explain.selected(
            replicas, nodes, verdict.instance_type, verdict.price_per_hour, place
        )

    def _spare(self, number: int) -> str:
        ev = self.ev
        if self.choice.left.get(ev.domains[number], 0) is None:
            return explain.breaks_spread([c.topology_key for c in ev.demand.policy.spread])
        if ev.slots[number] is None and self.choice.picks:
            return explain.spare_unknown(self.verdict(number).instance_type)
        return explain.spare(ev.price(number), self.total(number) / 100, self._against(number))

    def _against(self, number: int) -> Rival | None:
        """The selected cluster that this one lost to: of its own domain, else the last pick."""
        picks, domain = self.choice.picks, self.ev.domains[number]
        if not picks:
            return None
        if domain not in self.rivals:
            own = (p.number for p in picks if self.ev.domains[p.number] == domain)
            rival = next(own, picks[-1].number)
            price, points = self.ev.price(rival), self.total(rival) / 100
            self.rivals[domain] = (self.ev.cluster(rival).name, price, points)
        return self.rivals[domain]
