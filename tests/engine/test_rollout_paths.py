"""Every path of a rollout as a short story, played against a toy fleet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollouts.engine import actions as a
from rollouts.engine.types import (
    ApprovalMode,
    ApprovalState,
    Decision,
    GateState,
    Mode,
    OnDeadline,
    RolloutState,
    StageSpec,
    StageState,
    StrategySpec,
    TargetState,
    Verdict,
)
from rollouts.engine.waiting import WaitKind
from tests.engine.rollout_executor import Play, wishes
from tests.engine.rollout_world import Rows

CLUSTERS = {"test": ["t1"], "staging": ["s1"], "production": ["p1", "p2"]}


def strategy(
    keep_old: int = 600, mode: Mode = Mode.BLUE_GREEN, **production: object
) -> StrategySpec:
    last = StageSpec("production", approval=ApprovalMode.BEFORE, soak_seconds=10)
    stages = (StageSpec("test"), StageSpec("staging"), replace(last, **production))  # type: ignore[arg-type]
    return StrategySpec(stages, keep_old_for_seconds=keep_old, mode=mode)


def play(plan: StrategySpec | None = None, *, old: bool = False) -> Play:
    rows = Rows(plan or strategy(), CLUSTERS, old=old)
    rows.roles = {"approver": {"approver"}, "second": {"approver"}, "engineer": {"approver"}}
    return Play(rows)


def at_production(*, old: bool = False, plan: StrategySpec | None = None) -> Play:
    game = play(plan, old=old)
    game.later(60)
    assert stage(game, "production") is StageState.WAITING
    return game


def verbs(game: Play, cluster: str) -> list[tuple[str, str]]:
    return [(r.verb, r.role) for r in game.rows.fleet.log if r.cluster == cluster]


def rollout(game: Play) -> RolloutState:
    return game.rows.rollout.state


def stage(game: Play, name: str) -> StageState:
    return game.rows.stages[name].state


def target(game: Play, name: str) -> TargetState:
    return game.rows.targets[name].state


def approval(game: Play) -> ApprovalState:
    return game.rows.approvals["a1"].state


def states(game: Play) -> list[str]:
    return [x.state.value for x in game.rows.targets.values()]


def test_three_stages_with_an_approval_before_production_succeed() -> None:
    game = at_production()
    assert rollout(game) is RolloutState.WAITING
    assert game.waits().kind is WaitKind.APPROVAL
    assert verbs(game, "p1") == []
    assert game.vote("approver", Decision.APPROVE) == ""
    game.later(120)
    assert rollout(game) is RolloutState.SUCCEEDED
    assert states(game) == ["succeeded"] * 4
    assert verbs(game, "p1") == [("create", "new"), ("switch", "new")]
    assert all(x.slot is None for x in game.rows.targets.values())


def test_the_requester_cannot_approve() -> None:
    game = at_production()
    assert "someone else decides" in game.vote("engineer", Decision.APPROVE)
    game.later(120)
    assert stage(game, "production") is StageState.WAITING


def test_two_people_are_needed_where_the_quorum_is_two() -> None:
    game = at_production(plan=strategy(quorum=2))
    game.vote("approver", Decision.APPROVE)
    assert "already" in game.vote("approver", Decision.APPROVE)
    game.later(60)
    assert verbs(game, "p1") == []
    game.vote("second", Decision.APPROVE)
    game.later(120)
    assert rollout(game) is RolloutState.SUCCEEDED


def test_an_approver_who_lost_the_role_does_not_count_when_the_stage_opens() -> None:
    game = at_production()
    wishes(game.rows, "pause")
    game.run()
    game.vote("approver", Decision.APPROVE)
    game.run()
    assert approval(game) is ApprovalState.APPROVED
    game.rows.roles["approver"] = set()
    wishes(game.rows, "resume")
    game.later(60)
    assert verbs(game, "p1") == []
    assert approval(game) is ApprovalState.WAITING


def test_a_rejection_ends_the_rollout_and_leaves_the_earlier_stages_as_they_are() -> None:
    game = at_production()
    game.vote("approver", Decision.REJECT)
    game.run()
    assert rollout(game) is RolloutState.REJECTED
    assert any(isinstance(x, a.MoveRollout) and x.quarantine for x in game.done)
    assert states(game) == ["succeeded", "succeeded", "skipped", "skipped"]
    assert game.rows.fleet.sites["t1"].service == "new"
    assert verbs(game, "p1") == []


def test_a_rejection_with_the_wish_to_roll_back_takes_the_earlier_stages_back() -> None:
    game = at_production(old=True)
    game.vote("approver", Decision.REJECT)
    wishes(game.rows, "rollback")
    game.later(120)
    assert rollout(game) is RolloutState.ROLLED_BACK
    assert game.rows.fleet.sites["t1"].service == "old"


def test_an_expired_approval_waits_until_it_is_asked_for_again() -> None:
    game = at_production(plan=strategy(approval_ttl_seconds=300))
    game.later(600)
    assert approval(game) is ApprovalState.EXPIRED
    assert game.waits().kind is WaitKind.APPROVAL_EXPIRED
    game.rows.ask_again()
    game.run()
    game.vote("approver", Decision.APPROVE)
    game.later(120)
    assert rollout(game) is RolloutState.SUCCEEDED


def test_an_approval_after_the_soak_holds_the_stage_back() -> None:
    game = play(strategy(approval=ApprovalMode.AFTER))
    game.later(200)
    assert stage(game, "production") is StageState.WAITING
    assert game.rows.fleet.sites["p2"].service == "new"
    game.vote("approver", Decision.APPROVE)
    game.later(10)
    assert rollout(game) is RolloutState.SUCCEEDED


def test_a_changed_plan_voids_the_approval_and_stops_the_rollout() -> None:
    game = at_production()
    wishes(game.rows, "edit the plan")
    game.later(60)
    assert approval(game) is ApprovalState.VOID
    assert rollout(game) is RolloutState.FAILED
    assert game.waits().kind is WaitKind.DECISION
    wishes(game.rows, "abort")
    game.run()
    assert rollout(game) is RolloutState.ABORTED
    assert verbs(game, "p1") == []


def test_pause_lets_what_is_in_flight_finish_and_begins_nothing_new() -> None:
    game = play()
    game.run()
    assert target(game, "t1") is TargetState.STARTING
    wishes(game.rows, "pause")
    game.later(120)
    assert rollout(game) is RolloutState.PAUSED
    assert target(game, "t1") is TargetState.SUCCEEDED
    assert verbs(game, "s1") == []
    wishes(game.rows, "resume")
    game.later(60)
    assert target(game, "s1") is TargetState.SUCCEEDED


def test_abort_takes_away_what_does_not_serve_and_keeps_what_does() -> None:
    game = at_production(old=True)
    game.vote("approver", Decision.APPROVE)
    game.run()
    assert target(game, "p1") is TargetState.STARTING
    wishes(game.rows, "abort")
    game.later(60)
    assert rollout(game) is RolloutState.ABORTED
    assert states(game) == ["succeeded", "succeeded", "rolled_back", "skipped"]
    assert verbs(game, "p1") == [("create", "new"), ("delete", "new")]
    assert verbs(game, "p2") == []
    game.later(900)
    assert ("delete", "old") in verbs(game, "t1"), "what was replaced is still retired"


def test_max_concurrency_bounds_how_many_clusters_change_at_once() -> None:
    game = at_production()
    game.vote("approver", Decision.APPROVE)
    game.rows.fleet.sites["p1"].healthy = False
    game.later(600)
    assert verbs(game, "p2") == []
    game.rows.fleet.sites["p1"].healthy = True
    game.later(60)
    assert target(game, "p2") is TargetState.SUCCEEDED


def stuck(on_deadline: OnDeadline) -> Play:
    plan = strategy()
    stages = (replace(plan.stages[0], on_deadline=on_deadline, deadline_seconds=600),)
    game = play(replace(plan, stages=stages + plan.stages[1:]), old=True)
    game.rows.fleet.sites["t1"].healthy = False
    return game


def test_a_missed_deadline_stops_and_asks_and_a_retry_goes_on() -> None:
    game = stuck(OnDeadline.PAUSE)
    game.later(700, step=30)
    assert rollout(game) is RolloutState.FAILED
    assert game.rows.targets["t1"].slot == 0, "a failed target keeps its slot"
    assert "Retry, abort or roll back" in game.waits().text
    game.rows.fleet.sites["t1"].healthy = True
    game.rows.fleet.advance(5)
    wishes(game.rows, "retry")
    game.later(60)
    assert game.rows.targets["t1"].attempt == 2
    assert target(game, "t1") is TargetState.SUCCEEDED
    assert rollout(game) is RolloutState.WAITING


def test_a_missed_deadline_rolls_back_where_the_strategy_says_so() -> None:
    game = stuck(OnDeadline.ROLLBACK)
    game.later(800, step=30)
    assert rollout(game) is RolloutState.ROLLED_BACK
    assert game.rows.fleet.sites["t1"].service == "old"


def test_silence_is_no_failure_even_beyond_the_deadline() -> None:
    game = stuck(OnDeadline.ROLLBACK)
    game.run()
    game.rows.fleet.sites["t1"].observed = False
    game.later(3600, step=100)
    assert target(game, "t1") is TargetState.STARTING


def test_a_cluster_that_is_away_is_waited_for() -> None:
    game = play()
    game.run()
    game.rows.fleet.sites["t1"].reachable = False
    game.later(7200, step=300)
    assert target(game, "t1") is TargetState.CLUSTER_AWAY
    assert game.waits().kind is WaitKind.CLUSTER
    game.rows.fleet.sites["t1"].reachable = True
    game.later(60)
    assert target(game, "t1") is TargetState.SUCCEEDED


def test_a_cluster_that_left_the_portal_is_skipped() -> None:
    game = at_production()
    found = game.rows.targets["p1"]
    game.rows.targets["p1"] = replace(found, cluster=replace(found.cluster, state="retired"))
    game.vote("approver", Decision.APPROVE)
    game.later(120)
    assert states(game)[2:] == ["skipped", "succeeded"]
    assert rollout(game) is RolloutState.SUCCEEDED


def test_a_field_conflict_waits_for_a_person() -> None:
    game = play()
    game.rows.fleet.sites["t1"].conflicted = True
    game.later(30)
    assert target(game, "t1") is TargetState.CONFLICT
    assert "belongs to kubectl" in game.waits().text
    game.rows.fleet.sites["t1"].conflicted = False
    wishes(game.rows, "retry")
    game.later(60)
    assert target(game, "t1") is TargetState.SUCCEEDED


def test_a_refused_preflight_changes_nothing_and_gives_the_slot_back() -> None:
    game = play()
    game.rows.fleet.sites["t1"].admits = False
    game.later(30)
    assert target(game, "t1") is TargetState.FAILED
    assert game.rows.targets["t1"].slot is None
    assert game.rows.fleet.log == []


def test_an_empty_stage_is_skipped_and_says_so() -> None:
    rows = Rows(strategy(), CLUSTERS | {"staging": []}, old=False)
    game = Play(rows)
    game.later(60)
    assert rows.stages["staging"].state is StageState.SKIPPED
    assert "No chosen cluster belongs to it." in [
        x.reason for x in game.done if isinstance(x, a.MoveStage)
    ]
    assert rows.stages["production"].state is StageState.WAITING


@pytest.mark.parametrize(
    ("verdict", "gate", "end"),
    [
        (None, GateState.NO_DATA, RolloutState.WAITING),
        (Verdict.INCONCLUSIVE, GateState.INCONCLUSIVE, RolloutState.WAITING),
        (Verdict.PASSED, GateState.PASSED, RolloutState.SUCCEEDED),
        (Verdict.FAILED, GateState.FAILED, RolloutState.ROLLED_BACK),
    ],
)
def test_an_analysis_passes_rolls_back_or_holds_and_no_data_only_holds(
    verdict: Verdict | None, gate: GateState, end: RolloutState
) -> None:
    game = play(strategy(approval=ApprovalMode.NONE, analysis=True), old=True)
    pk = "production/analysis"
    age = None if verdict is None else 5.0
    game.rows.gates[pk] = replace(game.rows.gates[pk], verdict=verdict, verdict_age_seconds=age)
    game.later(1800, step=20)
    assert (game.rows.gates[pk].state, game.rows.rollout.state) == (gate, end)


def test_a_failed_benchmark_stops_and_asks() -> None:
    game = play(strategy(approval=ApprovalMode.NONE, benchmark=True))
    pk = "production/benchmark"
    failed = replace(game.rows.gates[pk], verdict=Verdict.FAILED, verdict_age_seconds=5.0)
    game.rows.gates[pk] = failed
    game.later(200)
    assert rollout(game) is RolloutState.FAILED
    game.rows.gates[pk] = replace(game.rows.gates[pk], verdict=Verdict.PASSED)
    wishes(game.rows, "retry")
    game.later(30)
    assert rollout(game) is RolloutState.SUCCEEDED


def test_a_closed_window_holds_the_stage_until_it_opens() -> None:
    game = play(strategy(approval=ApprovalMode.NONE, window=True))
    pk = "production/window"
    shut = replace(game.rows.gates[pk], verdict=Verdict.FAILED, verdict_age_seconds=1.0)
    game.rows.gates[pk] = shut
    game.later(120)
    assert game.waits().kind is WaitKind.WINDOW
    game.rows.gates[pk] = replace(game.rows.gates[pk], verdict=Verdict.PASSED)
    game.later(120)
    assert rollout(game) is RolloutState.SUCCEEDED


def test_a_break_in_readiness_starts_the_soak_again() -> None:
    game = play(strategy(approval=ApprovalMode.NONE, soak_seconds=100))
    game.later(60)
    assert stage(game, "production") is StageState.SOAKING
    game.rows.fleet.sites["p1"].healthy = False
    game.later(60)
    game.rows.fleet.sites["p1"].healthy = True
    game.later(60)
    assert stage(game, "production") is StageState.SOAKING
    game.later(60)
    assert rollout(game) is RolloutState.SUCCEEDED


def test_a_frozen_cluster_is_not_begun_and_the_others_are() -> None:
    game = play(strategy(approval=ApprovalMode.NONE))
    found = game.rows.targets["p1"]
    frozen = replace(found.cluster, frozen="p1 is cordoned: KAITO upgrade")
    game.rows.targets["p1"] = replace(found, cluster=frozen)
    game.later(300)
    assert states(game)[2:] == ["queued", "succeeded"]
    assert "cordoned" in game.waits().text


def test_a_held_deployment_starts_nothing() -> None:
    game = play()
    wishes(game.rows, "hold")
    game.later(60)
    assert rollout(game) is RolloutState.PENDING
    assert game.waits().kind is WaitKind.HELD


def test_a_run_ended_by_the_hub_is_final() -> None:
    game = play()
    game.run()
    game.rows.rollout = replace(game.rows.rollout, ended_outside="another update run")
    game.later(60)
    assert rollout(game) is RolloutState.ABORTED_OUTSIDE
