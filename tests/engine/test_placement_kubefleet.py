"""KubeFleet's scheduler formulas: skew, preference scores, order and ties."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clusters.engine.types import ClusterFacts, Taint, Toleration
from tests.engine.placement_world import BYO, PHI4_MINI, cluster, demand, pool
from workspaces.engine.affinity import (
    affinity_score,
    extents,
    matches,
    preference_score,
    quantity,
    tolerates,
)
from workspaces.engine.placement import place
from workspaces.engine.spread import Change, Counts, kubefleet_topology
from workspaces.engine.types import (
    Decision,
    Preference,
    Requirement,
    Situation,
    SpreadConstraint,
)

NODES = "kubernetes-fleet.io/node-count"
CPU = "resources.kubernetes-fleet.io/available-cpu"


def member(name: str, environment: str = "", **properties: float) -> ClusterFacts:
    named = {NODES: properties["nodes"]} if "nodes" in properties else {}
    return cluster(
        name,
        environment,
        "",
        BYO,
        pool("g6.xlarge", nodes=4, whole=4),
        properties=named,
        labels={"zone": name[:1]},
    )


def counted(max_skew: int, **counts: int) -> Counts:
    made = Counts(SpreadConstraint("k", max_skew), set(counts))
    for domain, number in counts.items():
        for _ in range(number):
            made.add(domain)
    return made


@pytest.mark.parametrize(
    ("max_skew", "counts", "domain", "expected"),
    [
        (1, {"a": 0}, "a", Change(False, 1)),
        (1, {"a": 2, "b": 2}, "b", Change(False, 1)),
        (1, {"a": 0, "b": 1}, "a", Change(False, -1)),  # sole smallest
        (1, {"a": 0, "b": 3}, "a", Change(True, -1)),  # better, and still too much
        (1, {"a": 0, "b": 0, "c": 1}, "a", Change(False, 0)),  # one of two smallest
        (1, {"a": 0, "b": 0, "c": 2}, "a", Change(True, 0)),
        (2, {"a": 0, "b": 1, "c": 2}, "b", Change(False, 0)),  # between
        (1, {"a": 0, "b": 1}, "b", Change(True, 1)),  # the largest
        (2, {"a": 0, "b": 1}, "b", Change(False, 1)),
    ],
)
def test_the_effect_of_one_more_pick_on_the_skew(
    max_skew: int, counts: dict[str, int], domain: str, expected: Change
) -> None:
    assert counted(max_skew, **counts).change(domain) == expected


def test_topology_scores_add_up_over_constraints_and_hard_ones_forbid() -> None:
    soft = counted(1, a=0, b=1)
    assert kubefleet_topology([soft], ("a",)) == 1
    assert kubefleet_topology([soft], ("b",)) == -1000
    assert kubefleet_topology([soft, counted(1, x=0, y=1)], ("b", "x")) == -999
    assert kubefleet_topology([soft], (None,)) == 0
    hard = Counts(SpreadConstraint("k", 1, "DoNotSchedule"), {"a", "b"})
    hard.add("b")
    assert kubefleet_topology([hard], ("b",)) is None


@pytest.mark.parametrize(
    ("weight", "order", "value", "score"),
    [
        (100, "Descending", 30.0, 100),
        (100, "Descending", 10.0, 0),
        (100, "Ascending", 10.0, 100),
        (100, "Descending", 15.0, 25),
        (50, "Ascending", 15.0, 38),  # 37.5 away from zero
        (-50, "Ascending", 15.0, -38),
        (0, "Descending", 30.0, 0),
    ],
)
def test_a_property_sorter_interpolates_between_the_extremes(
    weight: int, order: str, value: float, score: int
) -> None:
    fleet = [member("a", nodes=10), member("b", nodes=30), member("c", nodes=value)]
    preference = Preference(weight, property_sorter=(NODES, order))
    known = extents([preference], fleet)
    assert preference_score(preference, fleet[2], known) == score


def test_a_missing_property_and_equal_extremes_score_nothing() -> None:
    preference = Preference(80, property_sorter=(NODES, "Descending"))
    fleet = [member("a", nodes=5), member("b", nodes=5), member("c")]
    known = extents([preference], fleet)
    assert [preference_score(preference, c, known) for c in fleet] == [0, 0, 0]


def test_preferences_are_summed_and_need_their_labels() -> None:
    near = Preference(60, (Requirement("zone", "In", ("a",)),))
    far = Preference(-20, (Requirement("zone", "Exists"),))
    assert affinity_score([near, far], member("a1"), {}) == 40
    assert affinity_score([near, far], member("b1"), {}) == -20


@pytest.mark.parametrize(
    ("operator", "value", "holds"),
    [
        ("Gt", "3", True),
        ("Gt", "4", False),
        ("Ge", "4", True),
        ("Lt", "5", True),
        ("Le", "3999m", False),
        ("Eq", "4.0", True),
        ("Ne", "4", False),
    ],
)
def test_property_selectors_compare_quantities(operator: str, value: str, holds: bool) -> None:
    facts = member("a", nodes=4)
    asked = Requirement(NODES, operator, (value,), is_property=True)
    assert matches(asked, facts, {}) is holds
    assert matches(replace(asked, key=CPU), facts, {}) is False  # missing is no match


@pytest.mark.parametrize(
    ("text", "number"), [("1500m", 1.5), ("2Gi", 2**31), ("4k", 4000), ("0.25", 0.25)]
)
def test_quantities_are_read_as_kubernetes_does(text: str, number: float) -> None:
    assert float(quantity(text)) == number


def test_a_quantity_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="quantity"):
        quantity("lots")


@pytest.mark.parametrize(
    ("toleration", "covered"),
    [
        (Toleration("a", "Equal", "b"), True),
        (Toleration("a", "Equal", "c"), False),
        (Toleration("a", "Exists"), True),
        (Toleration("", "Exists"), True),
        (Toleration("a", "Exists", effect="NoExecute"), False),
        (Toleration("z", "Exists"), False),
    ],
)
def test_tolerations_cover_taints(toleration: Toleration, covered: bool) -> None:
    assert tolerates([toleration], Taint("a", "b")) is covered


def _kubefleet(
    *fleet: ClusterFacts, situation: Situation | None = None, **policy: object
) -> Decision:
    asked = demand(2, PHI4_MINI, scoring="kubefleet", number_of_clusters=2, **policy)
    return place(asked, fleet, situation or Situation())


def _selected(decision: Decision) -> set[str]:
    return {v.cluster for v in decision.verdicts if v.verdict == "selected"}


def test_full_ties_go_to_the_greatest_names() -> None:
    fleet = [member(name) for name in ("a", "b", "c")]
    assert _selected(_kubefleet(*fleet, spread=())) == {"b", "c"}


def test_topology_comes_before_affinity_and_affinity_before_stickiness() -> None:
    fleet = [member("a", "test"), member("b", "test"), member("c", "production")]
    near = (Preference(100, (Requirement("environment", "In", ("test",)),)),)
    assert _selected(_kubefleet(*fleet, preferred=near)) == {"b", "c"}
    assert _selected(_kubefleet(*fleet, preferred=near, spread=())) == {"a", "b"}
    sticky = Situation(running_on=frozenset({"id-a"}))
    assert _selected(_kubefleet(*fleet, situation=sticky, spread=())) == {"a", "c"}


def test_price_plays_no_part_in_kubefleets_mode() -> None:
    cheap = member("a")
    dear = replace(member("z"), pools=(pool("p5.48xlarge", nodes=4, whole=4),))
    asked = demand(1, scoring="kubefleet")
    decision = place(asked, [cheap, dear], Situation())
    assert _selected(decision) == {"z"}
    assert [s.name for s in decision.verdicts[0].scores] == ["topology", "affinity", "sticky"]


def test_a_domain_where_nobody_fits_still_counts_for_kubefleet_and_not_for_us() -> None:
    """A hard spread over a dead domain stops KubeFleet after one pick per other domain."""
    full = replace(member("d", "dead"), pools=(pool("g6.xlarge", nodes=4, whole=0),))
    fleet = [member("a", "test"), member("b", "test"), full]
    hard = (SpreadConstraint("environment", 1, "DoNotSchedule"),)
    assert _kubefleet(*fleet, spread=hard).blocked.startswith("The spread allows only 1 of 2")
    ours = place(demand(2, number_of_clusters=2, spread=hard), fleet, Situation())
    assert _selected(ours) == {"a", "b"}
