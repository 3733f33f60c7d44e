"""What holds for every demand on every fleet."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.engine.types import ClusterFacts, PoolFacts, PoolKind, ProvisionerMode, Taint
from tests.engine.placement_world import AUTO, BYO, LLAMA_8B, PHI4_MINI, SHAPES, cluster, pool
from workspaces.engine.kernel import POOL_FILTERS
from workspaces.engine.placement import place
from workspaces.engine.share import distribute
from workspaces.engine.sizing import estimate
from workspaces.engine.skus import shape_of_pool
from workspaces.engine.types import (
    Decision,
    Demand,
    Policy,
    Preference,
    Requirement,
    Situation,
    SpreadConstraint,
)

CAPABILITIES = (
    BYO,
    AUTO,
    replace(BYO, inference_set_works=False),
    replace(AUTO, kaito_version=None),
    replace(BYO, workspace_served=False),
    replace(BYO, provisioner=None),
)


@st.composite
def pools(draw: st.DrawFn, key: str) -> PoolFacts:
    nodes = draw(st.integers(0, 6))
    kind = draw(st.sampled_from(PoolKind))
    made = pool(
        draw(st.sampled_from(sorted(SHAPES))),
        kind=kind,
        nodes=nodes,
        whole=draw(st.integers(0, nodes)),
        quota=draw(st.none() | st.integers(0, 8)) if kind is PoolKind.PROVISIONABLE else None,
        price=draw(st.none() | st.sampled_from([-1.0, 0.0, 1.5])),
        key=key,
        taints=draw(st.sampled_from([(), (Taint("sku", "gpu"),), (Taint("x", "y"),)])),
        sharing=draw(st.sampled_from(["none", "none", "none", "mps"])),
        capacity_type=draw(st.sampled_from(["on-demand", "spot"])),
    )
    return replace(made, gpu_memory_mib=draw(st.sampled_from([made.gpu_memory_mib, None])))


@st.composite
def fleets(draw: st.DrawFn) -> list[ClusterFacts]:
    return [
        cluster(
            f"c{number}",
            draw(st.sampled_from(["test", "staging", "production", ""])),
            draw(st.sampled_from(["eastus", "westeurope", ""])),
            draw(st.sampled_from(CAPABILITIES)),
            *[draw(pools(f"p{index}")) for index in range(draw(st.integers(0, 3)))],
            state=draw(st.sampled_from(["ready"] * 5 + ["degraded", "unreachable"])),
            cordon=draw(st.sampled_from(["", "", "", "upgrade"])),
            age=draw(st.sampled_from([5.0, 5.0, 5.0, None, 500.0])),
            teams=draw(st.sampled_from([None, None, frozenset({"assist"}), frozenset({"risk"})])),
            properties=draw(st.sampled_from([{}, {"gpus": 4.0}, {"gpus": 8.0}])),
        )
        for number in range(draw(st.integers(0, 7)))
    ]


SPREADS = st.sampled_from(
    [
        (),
        (SpreadConstraint("environment"),),
        (SpreadConstraint("environment", 1, "DoNotSchedule"),),
        (SpreadConstraint("environment", 2), SpreadConstraint("region", 1, "DoNotSchedule")),
    ]
)
PREFERRED = st.sampled_from(
    [
        (),
        (
            Preference(60, (Requirement("environment", "In", ("test",)),)),
            Preference(-30, property_sorter=("gpus", "Descending")),
        ),
    ]
)


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    kind = draw(st.sampled_from(["PickN", "PickN", "PickAll", "PickFixed"]))
    policy = Policy(
        placement_type=kind,
        number_of_clusters=draw(st.none() | st.integers(0, 4)) if kind == "PickN" else None,
        cluster_names=tuple(draw(st.lists(st.sampled_from(["c0", "c1", "c2"]), max_size=2))),
        preferred=draw(PREFERRED),
        spread=draw(SPREADS),
        max_price_per_hour=draw(st.none() | st.sampled_from([1.0, 50.0])),
        max_nodes_per_replica=draw(st.none() | st.integers(1, 2)),
        scoring=draw(st.sampled_from(["fleetportal", "kubefleet"])),
        headroom=draw(st.sampled_from(["spread", "pack"])),
        regions=draw(st.sampled_from([(), ("eastus", "westeurope")])),
    )
    return Demand(
        model=draw(st.sampled_from([PHI4_MINI, LLAMA_8B])),
        replicas=draw(st.integers(1, 9)),
        max_model_len=draw(st.none() | st.sampled_from([8192, 131072])),
        team="assist",
        policy=policy,
        has_secret=draw(st.booleans()),
    )


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    ids = st.sampled_from(["id-c0", "id-c1", "id-c2"])
    keys = st.tuples(ids, st.sampled_from(["p0", "p1"]))
    return Situation(
        claimed_nodes=draw(st.dictionaries(keys, st.integers(0, 5), max_size=3)),
        running_on=draw(st.frozensets(ids)),
        weights_on=draw(st.frozensets(ids)),
        tokens_per_minute=draw(st.dictionaries(keys, st.floats(0, 1e6), max_size=3)),
        frozen_clusters=draw(st.dictionaries(ids, st.just("holiday"), max_size=1)),
    )


def room(facts: ClusterFacts, key: str, situation: Situation) -> int | None:
    """Whole nodes to be had, counted here once more by hand. None: no quota declared."""
    own = next(p for p in facts.pools if p.key == key)
    claimed = situation.claimed_nodes.get((facts.id, key), 0)
    if facts.capabilities.provisioner is ProvisionerMode.BYO:
        assert own.kind is PoolKind.EXISTING
        return own.whole_free_nodes - claimed
    assert own.kind is PoolKind.PROVISIONABLE
    return None if own.quota_nodes is None else own.quota_nodes - own.nodes - claimed


Option = tuple[bool, bool, float]

CASES = given(demands(), fleets(), situations())


@settings(max_examples=50, deadline=None)
@CASES
def test_the_terms_of_every_score_add_up_to_its_total(
    asked: Demand, fleet: list[ClusterFacts], situation: Situation
) -> None:
    for verdict in place(asked, fleet, situation).verdicts:
        if verdict.total is None:
            assert verdict.scores == ()
            continue
        hundredths = sum(round(term.points * 100) for term in verdict.scores)
        assert hundredths == round(verdict.total * 100)
        for term in verdict.scores:
            assert term.value is not None or (term.weight, term.points) == (0.0, 0.0)


@settings(max_examples=50, deadline=None)
@CASES
def test_rejected_means_a_failed_filter_and_nothing_else_does(
    asked: Demand, fleet: list[ClusterFacts], situation: Situation
) -> None:
    decision = place(asked, fleet, situation)
    assert [v.cluster for v in decision.verdicts] == sorted(c.name for c in fleet)
    for verdict in decision.verdicts:
        failed = [f for f in verdict.filters if f.passed is False]
        assert bool(failed) == (verdict.verdict == "rejected")
        assert verdict.reason
        if failed:
            assert verdict.reason == failed[0].reason
        for one in verdict.filters:
            assert one.passed is not None or one.reason


@settings(max_examples=50, deadline=None)
@CASES
def test_no_plan_exceeds_the_room_net_of_claims(
    asked: Demand, fleet: list[ClusterFacts], situation: Situation
) -> None:
    decision = place(asked, fleet, situation)
    facts = {c.id: c for c in fleet}
    selected = [v for v in decision.verdicts if v.verdict == "selected"]
    for verdict in selected:
        own = facts[verdict.cluster_id]
        left = room(own, verdict.pool, situation)
        assert verdict.nodes_per_replica is not None
        assert left is None or verdict.replicas * verdict.nodes_per_replica <= left
        assert verdict.replicas == 1 or own.capabilities.inference_set_works
    if decision.blocked:
        assert selected == []
    else:
        assert sum(v.replicas for v in selected) == asked.replicas
        assert all(v.replicas >= 1 for v in selected)
        _within_budget(decision, asked)


def _within_budget(decision: Decision, asked: Demand) -> None:
    limit, total = asked.policy.max_price_per_hour, decision.price_per_hour
    assert limit is None or total is None or total <= limit


def _by_hand(asked: Demand, facts: ClusterFacts, situation: Situation) -> list[Option]:
    """Every pool of a cluster that can take one replica, filter by filter: whether its quota is
    undeclared, whether its price is unknown, the price."""
    mode, policy, options = facts.capabilities.provisioner, asked.policy, list[Option]()
    kind = PoolKind.EXISTING if mode is ProvisionerMode.BYO else PoolKind.PROVISIONABLE
    for own in facts.pools:
        shape = shape_of_pool(own)
        if own.kind is not kind or own.sharing != "none" or shape is None:
            continue
        if any(t.key not in ("sku", "nvidia.com/gpu") for t in own.taints):
            continue
        version = facts.capabilities.kaito_version or "0.12.0"
        nodes = estimate(asked.model, shape, asked.max_model_len, version).nodes
        left = room(facts, own.key, situation)
        if nodes is None or (left is not None and left < nodes):
            continue
        price = None if own.price_per_hour is None else own.price_per_hour * nodes
        most, budget = policy.max_nodes_per_replica, policy.max_price_per_hour
        if (most is not None and nodes > most) or (
            budget is not None and price is not None and price > budget
        ):
            continue
        options.append((left is None, price is None, price or 0.0))
    return options


@settings(max_examples=60, deadline=None)
@CASES
def test_the_kernel_finds_what_a_plain_loop_finds(
    asked: Demand, fleet: list[ClusterFacts], situation: Situation
) -> None:
    asked = replace(asked, replicas=1)
    for verdict, facts in zip(
        place(asked, fleet, situation).verdicts, sorted(fleet, key=lambda c: c.name), strict=True
    ):
        options = _by_hand(asked, facts, situation)
        if verdict.verdict == "rejected":
            own = [f.name for f in verdict.filters if f.passed is False]
            assert not options or set(own) - set(POOL_FILTERS)
            continue
        _, unpriced, price = min(options)
        assert verdict.price_per_hour == (None if unpriced else pytest.approx(price))


@settings(max_examples=40, deadline=None)
@given(demands(), fleets(), situations(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(
    asked: Demand, fleet: list[ClusterFacts], situation: Situation, rng: random.Random
) -> None:
    shuffled = [replace(c, pools=tuple(rng.sample(c.pools, len(c.pools)))) for c in fleet]
    rng.shuffle(shuffled)
    one, two = place(asked, fleet, situation), place(asked, shuffled, situation)
    assert one == two
    assert one.digest == two.digest


@settings(max_examples=50, deadline=None)
@CASES
def test_the_same_inputs_give_the_same_digest_and_other_replicas_another(
    asked: Demand, fleet: list[ClusterFacts], situation: Situation
) -> None:
    one = place(asked, fleet, situation)
    assert one.digest == place(asked, list(fleet), situation).digest
    assert one.digest != place(replace(asked, replicas=10), fleet, situation).digest


@settings(max_examples=50, deadline=None)
@CASES
def test_a_hard_spread_is_never_broken(
    asked: Demand, fleet: list[ClusterFacts], situation: Situation
) -> None:
    decision = place(asked, fleet, situation)
    able = {v.cluster_id for v in decision.verdicts if v.verdict != "rejected"}
    chosen = {v.cluster_id for v in decision.verdicts if v.verdict == "selected"}
    if not chosen or asked.policy.placement_type != "PickN":
        return
    for constraint in asked.policy.spread:
        if constraint.when_unsatisfiable != "DoNotSchedule":
            continue
        key = constraint.topology_key
        domains = {c.id: getattr(c, key) for c in fleet if c.id in able and getattr(c, key)}
        counts = Counter(dict.fromkeys(domains.values(), 0))
        counts.update(domain for id_, domain in domains.items() if id_ in chosen)
        if counts:
            assert max(counts.values()) - min(counts.values()) <= constraint.max_skew


@settings(max_examples=50, deadline=None)
@CASES
def test_a_soft_spread_fills_every_environment_before_it_doubles_one(
    asked: Demand, fleet: list[ClusterFacts], situation: Situation
) -> None:
    asked = replace(
        asked, policy=replace(asked.policy, placement_type="PickN", spread=Policy().spread)
    )
    decision = place(asked, fleet, situation)
    if "most room" in decision.summary or "quota not declared" in _values(decision):
        return
    environment = {c.id: c.environment for c in fleet if c.environment}
    able = {
        environment[v.cluster_id]
        for v in decision.verdicts
        if v.verdict != "rejected" and v.cluster_id in environment
    }
    chosen = Counter(
        environment[v.cluster_id]
        for v in decision.verdicts
        if v.verdict == "selected" and v.cluster_id in environment
    )
    if chosen and max(chosen.values()) > 1:
        assert set(chosen) == able


def _values(decision: Decision) -> list[str]:
    return [f.value for v in decision.verdicts for f in v.filters if v.verdict != "rejected"]


@given(st.lists(st.none() | st.integers(0, 6), max_size=6), st.integers(0, 30))
def test_replicas_are_handed_out_within_the_slots(slots: list[int | None], replicas: int) -> None:
    given_out = distribute(slots, replicas)
    room = sum(s for s in slots if s is not None)
    assert all(s is None or n <= s for n, s in zip(given_out, slots, strict=True))
    assert sum(given_out) == (replicas if None in slots else min(replicas, room))
