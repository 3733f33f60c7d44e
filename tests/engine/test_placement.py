"""The verdicts that the demo's story promises, and each filter on its own."""

from __future__ import annotations

import pickle
from dataclasses import asdict, replace

import pytest

from clusters.engine.types import Capabilities, ClusterFacts, Gap, Taint, Toleration
from tests.engine.placement_world import (
    AUTO,
    BYO,
    LLAMA_8B,
    PHI4_MINI,
    auto,
    cluster,
    demand,
    pool,
    story,
)
from workspaces.engine.placement import place
from workspaces.engine.types import (
    Decision,
    Demand,
    Requirement,
    Situation,
    SpreadConstraint,
    Term,
    Verdict,
)

NOTHING = Situation()
ROOMY = cluster("roomy", "test", "eastus", BYO, pool("g6.xlarge", nodes=6, whole=6))


def decide(asked: Demand, *clusters: ClusterFacts, situation: Situation = NOTHING) -> Decision:
    return place(asked, clusters, situation)


def of(decision: Decision, name: str) -> Verdict:
    return next(v for v in decision.verdicts if v.cluster == name)


def only(facts: ClusterFacts, asked: Demand, situation: Situation = NOTHING) -> Verdict:
    return place(asked, [facts], situation).verdicts[0]


def failed(verdict: Verdict) -> list[str]:
    return [f.name for f in verdict.filters if f.passed is False]


def test_the_story_puts_three_replicas_into_three_environments() -> None:
    decision = decide(demand(3), *story())
    assert decision.summary == (
        "3 replicas: test-use1, stg-weu, prod-weu. 3 spare, 3 rejected. $8.15/h."
    )
    assert decision.price_per_hour == pytest.approx(8.1508)
    assert not decision.blocked and not decision.price_is_partial


def test_a_fragmented_cluster_is_rejected_with_the_numbers() -> None:
    verdict = of(decide(demand(3), *story()), "prod-swc")
    assert verdict.verdict == "rejected"
    assert verdict.reason == (
        "19 GPUs free, 0 whole nodes free (needs 1). KAITO takes all 8 GPUs of a node."
    )
    assert failed(verdict) == ["capacity"]


def test_a_spare_cluster_says_what_it_costs_more() -> None:
    verdict = of(decide(demand(3), *story()), "test-weu")
    assert (verdict.verdict, verdict.reason) == ("spare", "Fits, $3.20/h against $0.80/h.")


def test_a_selected_cluster_says_what_it_takes() -> None:
    verdict = of(decide(demand(3), *story()), "prod-weu")
    assert verdict.reason == (
        "1 replica on 1 node of Standard_NC24ads_A100_v4, $3.67/h. "
        "First of 2 that fit in production."
    )


def test_an_unreachable_cluster_says_how_old_its_inventory_is() -> None:
    verdict = of(decide(demand(3), *story()), "prod-euc1")
    assert verdict.reason == (
        "Unreachable, so nobody knows what is free. Last inventory 15 min ago."
    )
    capacity = next(f for f in verdict.filters if f.name == "capacity")
    assert capacity.passed is None


def test_every_cluster_has_a_verdict_in_the_order_of_names() -> None:
    decision = decide(demand(3), *story())
    assert [v.cluster for v in decision.verdicts] == sorted(c.name for c in story())


@pytest.mark.parametrize(
    ("change", "name", "reason"),
    [
        (
            {"cordoned": True, "cordon_reason": "driver upgrade"},
            "cordon",
            "Cordoned: driver upgrade.",
        ),
        (
            {"taints": (Taint("team", "risk"),)},
            "taints",
            "The cluster has the taint team=risk:NoSchedule, without a toleration.",
        ),
        (
            {"teams": frozenset({"risk"})},
            "team",
            "The cluster is not granted to team assist.",
        ),
        ({"age_seconds": 300.0}, "fresh", "Its inventory is 5 min old (limit 90 s)."),
        ({"age_seconds": None}, "fresh", "Its inventory was never seen."),
        ({"state": "draining"}, "reachable", "The cluster is being drained."),
        ({"pools": ()}, "pool", "The cluster has no GPU pool."),
    ],
)
def test_each_fact_of_a_cluster_rejects_it(
    change: dict[str, object], name: str, reason: str
) -> None:
    verdict = only(replace(ROOMY, **change), demand(1))  # type: ignore[arg-type]
    assert (verdict.verdict, verdict.reason) == ("rejected", reason)
    assert failed(verdict) == [name]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"workspace_served": False}, "kaito"),
        ({"workspace_served": None}, "kaito"),
        ({"provisioner": None}, "provisioner"),
        ({"webhook_ready": False}, "permissions"),
        ({"gaps": (Gap("deploy", "create inferencesets.kaito.sh", "no"),)}, "permissions"),
    ],
)
def test_a_cluster_that_cannot_serve_kaito_is_rejected(
    change: dict[str, object], name: str
) -> None:
    able: Capabilities = replace(BYO, **change)  # type: ignore[arg-type]
    verdict = only(replace(ROOMY, capabilities=able), demand(1))
    assert verdict.verdict == "rejected"
    assert failed(verdict)[0] == name


def test_a_missing_read_permission_does_not_reject() -> None:
    able = replace(BYO, gaps=(Gap("logs", "get pods/log", "no logs"),))
    assert only(replace(ROOMY, capabilities=able), demand(1)).verdict == "selected"


def test_a_toleration_admits_a_tainted_cluster() -> None:
    tainted = replace(ROOMY, taints=(Taint("team", "risk"),))
    asked = demand(1, tolerations=(Toleration("team", "Exists"),))
    assert only(tainted, asked).verdict == "selected"


def test_a_policy_cannot_tolerate_taints_of_nodes_because_kaito_takes_none() -> None:
    facts = replace(
        ROOMY, pools=(pool("g6.xlarge", nodes=2, whole=2, taints=(Taint("team", "risk"),)),)
    )
    verdict = only(facts, demand(1, tolerations=(Toleration(operator="Exists"),)))
    assert verdict.reason == "KAITO's pods do not tolerate the taint team=risk:NoSchedule."


def test_kaitos_own_tolerations_admit_gpu_nodes() -> None:
    taints = (Taint("nvidia.com/gpu", "present"), Taint("sku", "gpu"))
    facts = replace(ROOMY, pools=(pool("g6.xlarge", nodes=2, whole=2, taints=taints),))
    assert only(facts, demand(1)).verdict == "selected"


def test_shared_gpus_are_not_used() -> None:
    facts = replace(ROOMY, pools=(pool("g6.xlarge", nodes=2, whole=2, sharing="time-slicing"),))
    assert failed(only(facts, demand(1))) == ["pool"]


def test_existing_nodes_are_unusable_where_kaito_makes_its_own() -> None:
    facts = replace(ROOMY, capabilities=AUTO)
    verdict = only(facts, demand(1))
    assert verdict.reason == ("KAITO creates its own nodes here and cannot use existing ones.")


def test_quota_is_no_room_where_kaito_makes_no_nodes() -> None:
    facts = replace(ROOMY, pools=(auto("g6.xlarge", 4),))
    assert failed(only(facts, demand(1))) == ["pool"]


def test_nodes_without_gpu_labels_cannot_be_selected_by_kaito() -> None:
    bare = replace(pool("g6.xlarge", nodes=2, whole=2), selector={})
    assert failed(only(replace(ROOMY, pools=(bare,)), demand(1))) == ["pool"]


def test_claims_of_other_plans_are_not_given_away_twice() -> None:
    claims = Situation(claimed_nodes={(ROOMY.id, "g6.xlarge"): 6})
    verdict = only(ROOMY, demand(1), claims)
    assert verdict.reason == ("6 whole nodes free, 6 promised to other plans (needs 1).")


def test_a_used_up_quota_is_explained() -> None:
    facts = replace(ROOMY, capabilities=AUTO, pools=(auto("g6.xlarge", 2, 2),))
    assert only(facts, demand(1)).reason == (
        "Quota 2 nodes of g6.xlarge, 2 in use: 0 left (needs 1)."
    )


def test_an_undeclared_quota_passes_unevaluated_but_comes_last() -> None:
    unknown = cluster("cheap", "test", "eastus", AUTO, auto("g6.xlarge", None))
    known = cluster("dear", "test", "eastus", AUTO, auto("Standard_NC40ads_H100_v5", 2))
    decision = decide(demand(1), unknown, known)
    assert (of(decision, "dear").verdict, of(decision, "cheap").verdict) == ("selected", "spare")
    capacity = next(f for f in of(decision, "cheap").filters if f.name == "capacity")
    assert (capacity.passed, capacity.value) == (None, "quota not declared")
    assert "no quota declared" in of(decision, "cheap").reason


def test_the_cheapest_feasible_pool_of_a_cluster_is_used() -> None:
    facts = replace(
        ROOMY,
        pools=(
            pool("p5.48xlarge", nodes=2, whole=2),
            pool("g6.12xlarge", nodes=2, whole=1),
            pool("g6.xlarge", nodes=2, whole=0),
        ),
    )
    assert only(facts, demand(1)).instance_type == "g6.12xlarge"


def test_a_gated_model_needs_the_teams_token() -> None:
    asked = demand(1, LLAMA_8B)
    verdict = only(ROOMY, asked)
    assert "no Hugging Face token" in verdict.reason
    assert only(ROOMY, replace(asked, has_secret=True)).verdict == "selected"


def test_a_card_that_reports_22_gib_needs_two_nodes_for_llama_8b() -> None:
    asked = replace(demand(1, LLAMA_8B), has_secret=True)
    assert only(ROOMY, asked).nodes_per_replica == 2


def test_a_node_limit_rejects_with_both_numbers() -> None:
    asked = replace(demand(1, LLAMA_8B, max_nodes_per_replica=1), has_secret=True)
    verdict = only(ROOMY, asked)
    assert verdict.reason == "One replica would take 2 nodes (your limit is 1)."


def test_a_budget_rejects_a_cluster_that_alone_costs_more() -> None:
    verdict = only(ROOMY, demand(1, max_price_per_hour=0.5))
    assert verdict.reason == "One replica costs $0.80/h (your limit is $0.50/h)."


def test_a_budget_blocks_what_costs_too_much_together() -> None:
    decision = decide(demand(3, max_price_per_hour=5.0), *story())
    assert decision.blocked == "3 replicas would cost $8.15/h together (your limit is $5.00/h)."
    assert all(v.verdict != "selected" for v in decision.verdicts)


def test_a_pool_without_a_price_is_marked_and_makes_the_total_partial() -> None:
    free = cluster("free", "prod", "x", BYO, pool("g6.xlarge", nodes=1, whole=1, price=None))
    decision = decide(demand(2), ROOMY, free)
    assert decision.price_is_partial
    assert decision.summary.endswith("$0.80/h without those of unknown price.")
    price = next(s for s in of(decision, "free").scores if s.name == "price")
    assert (price.weight, price.value, price.points) == (0.0, None, 0.0)


def test_compute_capability_rejects_old_cards_and_passes_unknown_ones_unevaluated() -> None:
    model = replace(PHI4_MINI, min_compute_capability=9.0)
    verdict = only(ROOMY, demand(1, model))
    assert failed(verdict) == ["compute_capability"]
    bare = replace(ROOMY.pools[0], compute_capability=None)
    verdict = only(replace(ROOMY, pools=(bare,)), demand(1, model))
    assert verdict.verdict == "selected"
    assert [f.name for f in verdict.filters if f.passed is None] == ["compute_capability"]


def test_unknown_card_memory_is_never_guessed() -> None:
    bare = replace(ROOMY.pools[0], gpu_memory_mib=None)
    verdict = only(replace(ROOMY, pools=(bare,)), demand(1))
    assert failed(verdict) == ["sizing"]
    assert "unknown" in verdict.reason


def test_a_model_that_does_not_fit_is_rejected_with_the_sizing_reason() -> None:
    asked = replace(demand(1), max_model_len=2_000_000)
    verdict = only(ROOMY, asked)
    assert failed(verdict)[0] == "sizing"
    assert "131,072" in verdict.reason


def test_a_freeze_rejects_with_its_reason() -> None:
    verdict = only(ROOMY, demand(1), Situation(frozen_clusters={ROOMY.id: "year end"}))
    assert (failed(verdict), verdict.reason) == (["freeze"], "Frozen: year end.")


def test_a_region_that_is_not_allowed_rejects() -> None:
    verdict = only(ROOMY, demand(1, regions=("westeurope", "northeurope")))
    assert verdict.reason == "It is in eastus (allowed: westeurope, northeurope)."


def test_required_labels_and_properties_reject_what_does_not_match() -> None:
    term = Term(
        (
            Requirement("tier", "In", ("gold",)),
            Requirement("kubernetes-fleet.io/node-count", "Ge", ("4",), is_property=True),
        )
    )
    asked = demand(1, required=(term,))
    verdict = only(ROOMY, asked)
    assert verdict.reason == (
        "Does not match: tier = gold and kubernetes-fleet.io/node-count >= 4."
    )
    fit = replace(ROOMY, labels={"tier": "gold"}, properties={"kubernetes-fleet.io/node-count": 6})
    assert only(fit, asked).verdict == "selected"


def test_without_inference_set_a_cluster_takes_one_replica() -> None:
    facts = replace(ROOMY, capabilities=replace(BYO, inference_set_works=False))
    decision = decide(demand(2), facts)
    assert decision.blocked == "2 replicas asked, 1 fit: room on roomy 1."
    assert only(facts, demand(1)).replicas == 1


def test_replicas_are_shared_out_evenly_within_the_room() -> None:
    small = cluster("small", "prod", "x", BYO, pool("g6.xlarge", nodes=1, whole=1))
    decision = decide(demand(5, number_of_clusters=2), ROOMY, small)
    assert {v.cluster: v.replicas for v in decision.verdicts} == {"roomy": 4, "small": 1}
    assert decision.summary.startswith("5 replicas: roomy \u00d7 4, small.")


def test_clusters_with_room_are_taken_when_the_best_ones_cannot_hold_all() -> None:
    cheap = cluster("cheap", "test", "x", BYO, pool("g6.xlarge", nodes=1, whole=1))
    big = cluster("big", "test", "x", BYO, pool("g6.12xlarge", nodes=6, whole=6))
    decision = decide(demand(4, number_of_clusters=1), cheap, big)
    assert of(decision, "big").replicas == 4
    assert "most room" in decision.summary


def test_what_does_not_fit_anywhere_is_blocked_with_the_room_of_each() -> None:
    decision = decide(demand(20), ROOMY)
    assert decision.blocked == "20 replicas asked, 6 fit: room on roomy 6."
    assert decision.price_per_hour is None


def test_pick_all_takes_every_eligible_cluster() -> None:
    decision = decide(demand(6, placement_type="PickAll"), *story())
    assert sum(v.verdict == "selected" for v in decision.verdicts) == 6
    short = decide(demand(3, placement_type="PickAll"), *story())
    assert "6 clusters" in short.blocked


def test_pick_fixed_takes_the_named_clusters_whatever_their_taints_and_labels() -> None:
    tainted = replace(ROOMY, taints=(Taint("team", "risk"),))
    asked = demand(
        1,
        placement_type="PickFixed",
        cluster_names=("roomy",),
        required=(Term((Requirement("tier", "Exists"),)),),
    )
    verdict = only(tainted, asked)
    assert verdict.verdict == "selected"
    assert {f.name for f in verdict.filters if f.passed is None} == {"taints", "affinity"}


def test_pick_fixed_is_blocked_by_a_missing_and_by_an_unfit_cluster() -> None:
    missing = decide(demand(1, placement_type="PickFixed", cluster_names=("nowhere",)), ROOMY)
    assert missing.blocked == "There is no cluster named nowhere."
    unfit = decide(demand(1, placement_type="PickFixed", cluster_names=("prod-swc",)), *story())
    assert unfit.blocked.startswith("prod-swc cannot take it: 19 GPUs free, 0 whole nodes")
    assert failed(of(unfit, "test-weu")) == ["named"]


def test_more_clusters_than_replicas_is_refused() -> None:
    decision = decide(demand(2, number_of_clusters=3), *story())
    assert decision.blocked.startswith("PickN asks for 3 clusters, but 2 replicas")


def test_a_hard_spread_that_nobody_can_keep_is_blocked() -> None:
    hard = SpreadConstraint("environment", 1, "DoNotSchedule")
    one = [replace(ROOMY, name=f"c{i}", id=str(i), environment="test") for i in range(3)]
    other = replace(ROOMY, name="p", id="p", environment="production")
    decision = decide(demand(4, number_of_clusters=4, spread=(hard,)), *one, other)
    assert decision.blocked.startswith("The spread allows only 3 of 4 clusters")


def test_points_of_all_terms_and_their_weights_can_be_set() -> None:
    decision = decide(demand(1, weights={"price": 0.0, "headroom": 50.0}), *story())
    scores = {s.name: s for s in of(decision, "prod-weu").scores}
    assert scores["price"].points == 0.0
    assert scores["headroom"].weight == 50.0


@pytest.mark.parametrize(
    "asked",
    [
        demand(1, weights={"beauty": 1.0}),
        demand(1, weights={"price": -1.0}),
        demand(1, required=(Term((Requirement("a", "Like", ("b",)),)),)),
    ],
)
def test_a_policy_that_makes_no_sense_is_an_error(asked: Demand) -> None:
    with pytest.raises(ValueError, match=r"weights|unknown operator"):
        place(asked, [ROOMY], NOTHING)


def test_running_weights_and_measured_speed_earn_points() -> None:
    twin = replace(ROOMY, name="twin", id="twin")
    situation = Situation(
        running_on=frozenset({"twin"}),
        weights_on=frozenset({"twin"}),
        tokens_per_minute={("twin", "g6.xlarge"): 40_000.0, (ROOMY.id, "g6.xlarge"): 20_000.0},
    )
    decision = decide(demand(1), ROOMY, twin, situation=situation)
    points = {s.name: s.points for s in of(decision, "twin").scores}
    assert of(decision, "twin").verdict == "selected"
    assert (points["stability"], points["weights"], points["throughput"]) == (10.0, 5.0, 5.0)
    assert {s.name: s.points for s in of(decision, "roomy").scores}["throughput"] == 2.5


def test_spot_capacity_and_packing_change_the_choice() -> None:
    spot = replace(
        ROOMY, name="spot", id="s", pools=(replace(ROOMY.pools[0], capacity_type="spot"),)
    )
    assert of(decide(demand(1), ROOMY, spot), "roomy").verdict == "selected"
    half = replace(ROOMY, name="half", id="h", pools=(pool("g6.xlarge", nodes=6, whole=2),))
    assert of(decide(demand(1, headroom="pack"), ROOMY, half), "half").verdict == "selected"
    assert of(decide(demand(1), ROOMY, half), "roomy").verdict == "selected"


def test_a_verdict_can_be_copied_pickled_and_compared() -> None:
    verdict = of(decide(demand(3), *story()), "prod-weu")
    again = of(decide(demand(3), *story()), "prod-weu")
    assert verdict == again
    assert pickle.loads(pickle.dumps(verdict)).scores == verdict.scores  # noqa: S301
    assert replace(verdict, replicas=2).reason == verdict.reason
    assert asdict(verdict)["filters"][0]["name"] == "named"


def test_the_age_of_an_inventory_does_not_change_the_digest() -> None:
    later = [replace(c, age_seconds=6.0) if c.age_seconds == 5.0 else c for c in story()]
    assert decide(demand(3), *story()).digest == decide(demand(3), *later).digest


def test_no_cluster_at_all_is_a_blocked_decision() -> None:
    decision = decide(demand(1))
    assert decision.blocked == "There is no cluster in the fleet."
    assert decision.verdicts == ()


def test_when_nobody_can_take_it_the_closest_cluster_is_named() -> None:
    full = cluster("full", "test", "x", BYO, pool("g6.xlarge", nodes=2, whole=0))
    away = replace(full, name="away", id="away", state="unreachable", age_seconds=None)
    assert decide(demand(1), away, full).blocked == (
        "None of 2 clusters can take it. "
        "Closest is full: 0 GPUs free, 0 whole nodes free (needs 1)."
    )


def test_a_bigger_pool_is_taken_when_the_cheapest_cannot_hold_all_replicas() -> None:
    cheap, big = pool("g6.xlarge", nodes=1, whole=1), pool("g6.12xlarge", nodes=9, whole=9)
    facts = cluster("both", "test", "x", BYO, cheap, big)
    assert only(facts, demand(1)).instance_type == "g6.xlarge"
    verdict = only(facts, demand(4))
    assert (verdict.instance_type, verdict.replicas) == ("g6.12xlarge", 4)
