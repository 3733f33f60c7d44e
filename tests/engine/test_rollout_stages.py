"""From a strategy and chosen clusters to stages, and the digest that approvals bind to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollouts.engine.stages import ChosenCluster, StrategyError, assign, rollout_digest
from rollouts.engine.types import ApprovalMode, GateKind, Mode, StageSpec, StrategySpec
from workspaces.engine.types import Requirement


def stage(name: str, **fields: object) -> StageSpec:
    spec = StageSpec(name, (Requirement("environment", "In", (name,)),))
    return replace(spec, **fields)  # type: ignore[arg-type]


def cluster(name: str, environment: str) -> ChosenCluster:
    return ChosenCluster(f"uid-{name}", name, {"environment": environment})


STAGED = StrategySpec((stage("test"), stage("staging"), stage("production")))
CLUSTERS = (cluster("t1", "test"), cluster("p1", "production"), cluster("p2", "production"))


def test_every_cluster_lands_in_its_stage_and_an_empty_stage_says_so() -> None:
    stages = assign(STAGED, CLUSTERS)
    assert [[c.name for c in s.clusters] for s in stages] == [["t1"], [], ["p1", "p2"]]
    assert [s.note for s in stages] == ["", "Skipped: no chosen cluster belongs to staging.", ""]


def test_a_cluster_that_no_stage_takes_is_named() -> None:
    with pytest.raises(StrategyError, match="No stage takes the cluster lab1"):
        assign(STAGED, (*CLUSTERS, cluster("lab1", "lab")))


def test_a_cluster_that_two_stages_take_is_named_with_both() -> None:
    plan = StrategySpec((*STAGED.stages, StageSpec("all")))
    with pytest.raises(StrategyError, match="t1 belongs to test and all"):
        assign(plan, CLUSTERS)


@pytest.mark.parametrize(
    ("operator", "values", "taken"),
    [
        ("In", ("test",), True),
        ("NotIn", ("test",), False),
        ("NotIn", ("lab",), True),
        ("Exists", (), True),
        ("DoesNotExist", (), False),
    ],
)
def test_selectors_follow_kubernetes(operator: str, values: tuple[str, ...], taken: bool) -> None:
    spec = StageSpec("one", (Requirement("environment", operator, values),))
    plan = StrategySpec((spec,))
    if taken:
        assert assign(plan, CLUSTERS[:1])[0].clusters == CLUSTERS[:1]
    else:
        with pytest.raises(StrategyError):
            assign(plan, CLUSTERS[:1])


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (StrategySpec(()), "stages"),
        (StrategySpec((stage("a"), stage("a"))), "stages"),
        (StrategySpec((stage("a", max_concurrency=0),)), "max_concurrency"),
        (StrategySpec((stage("a", quorum=0),)), "quorum"),
        (StrategySpec((stage("a"),), keep_old_for_seconds=-1), "keep_old_for_seconds"),
        (StrategySpec((stage("a"),), mode=Mode.SHIFT), "mode"),
    ],
)
def test_a_wrong_strategy_is_refused_by_field(plan: StrategySpec, field: str) -> None:
    with pytest.raises(StrategyError) as error:
        assign(plan, CLUSTERS)
    assert error.value.field == field


def test_a_stage_gets_the_gates_of_its_spec_in_the_order_they_are_asked() -> None:
    spec = stage("test", soak_seconds=1, analysis=True, window=True, approval=ApprovalMode.BEFORE)
    (only,) = assign(StrategySpec((spec,)), CLUSTERS[:1])
    order = [GateKind.WINDOW, GateKind.APPROVAL_BEFORE, GateKind.SOAK, GateKind.ANALYSIS]
    assert list(only.gates) == order


def test_the_digest_changes_with_everything_that_is_approved() -> None:
    stages = assign(STAGED, CLUSTERS)
    base = rollout_digest("plan", STAGED, stages)
    looser = replace(STAGED, stages=(*STAGED.stages[:2], stage("production", max_concurrency=2)))
    others = {
        rollout_digest("other plan", STAGED, stages),
        rollout_digest("plan", replace(STAGED, mode=Mode.RECREATE), stages),
        rollout_digest("plan", replace(STAGED, keep_old_for_seconds=1), stages),
        rollout_digest("plan", looser, assign(looser, CLUSTERS)),
        rollout_digest("plan", STAGED, assign(STAGED, CLUSTERS[:2])),
        rollout_digest("plan", STAGED, assign(STAGED, CLUSTERS[::-1])),
    }
    assert base == rollout_digest("plan", STAGED, assign(STAGED, CLUSTERS))
    assert len(others | {base}) == 7
