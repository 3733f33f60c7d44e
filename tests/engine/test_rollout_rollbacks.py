"""The ways back, and what becomes of the old revision."""

from __future__ import annotations

from dataclasses import replace

from rollouts.engine import actions as a
from rollouts.engine.look import readiness
from rollouts.engine.types import Decision, Mode, RollbackReadiness, RolloutState
from rollouts.engine.waiting import WaitKind
from tests.engine.rollout_executor import Play, wishes
from tests.engine.rollout_world import Fault
from tests.engine.test_rollout_paths import at_production, play, rollout, states, strategy, verbs


def test_r0_deletes_a_new_one_that_never_served() -> None:
    game = play(old=True)
    game.run()
    wishes(game.rows, "rollback")
    game.later(60)
    assert rollout(game) is RolloutState.ROLLED_BACK
    assert verbs(game, "t1") == [("create", "new"), ("delete", "new")]
    assert verbs(game, "s1") == []
    assert states(game) == ["rolled_back", "skipped", "skipped", "skipped"]


def test_r1_switches_back_to_the_warm_old_one_in_reverse_stage_order() -> None:
    game = at_production(old=True)
    assert readiness(game.rows.targets["t1"]) is RollbackReadiness.NONE  # never observed here
    assert readiness(game.rows.snapshot().stages[0].targets[0]) is RollbackReadiness.WARM
    wishes(game.rows, "rollback")
    game.later(120)
    assert rollout(game) is RolloutState.ROLLED_BACK
    assert verbs(game, "t1")[2:] == [("switch", "old"), ("delete", "new")]
    order = [r.cluster for r in game.rows.fleet.log if (r.verb, r.role) == ("switch", "old")]
    assert order == ["s1", "t1"]


def retired_before_production() -> Play:
    game = at_production(old=True, plan=strategy(keep_old=0))
    game.later(60)
    assert "old" not in game.rows.fleet.sites["t1"].objects
    return game


def test_r2_builds_the_old_spec_anew_where_the_old_one_is_gone() -> None:
    game = retired_before_production()
    for name in ("t1", "s1"):
        game.rows.targets[name] = replace(game.rows.targets[name], capacity=True)
    wishes(game.rows, "rollback")
    game.later(300)
    assert rollout(game) is RolloutState.ROLLED_BACK
    assert verbs(game, "t1")[-3:] == [
        ("create", "restored"),
        ("switch", "restored"),
        ("delete", "new"),
    ]


def test_r2_without_known_capacity_is_blocked_and_keeps_serving() -> None:
    game = retired_before_production()
    wishes(game.rows, "rollback")
    game.later(300)
    assert rollout(game) is RolloutState.ROLLBACK_BLOCKED
    assert game.rows.fleet.sites["t1"].service == "new"
    assert "new" in game.rows.fleet.sites["t1"].objects


def test_r2_on_some_clusters_only_is_a_partial_roll_back() -> None:
    game = retired_before_production()
    game.rows.targets["s1"] = replace(game.rows.targets["s1"], capacity=True)
    wishes(game.rows, "rollback")
    game.later(300)
    assert rollout(game) is RolloutState.ROLLED_BACK_PARTIALLY
    assert [game.rows.stages[x].state.value for x in ("test", "staging")] == [
        "failed",
        "rolled_back",
    ]


def test_recreate_retires_the_old_one_first_and_says_so_by_order_of_requests() -> None:
    game = play(strategy(mode=Mode.RECREATE), old=True)
    game.later(60)
    assert verbs(game, "t1") == [("delete", "old"), ("create", "new"), ("switch", "new")]


def test_the_old_one_is_kept_then_drained_then_retired() -> None:
    game = at_production(old=True)
    game.vote("approver", Decision.APPROVE)
    game.later(120)
    assert rollout(game) is RolloutState.WAITING
    assert game.waits().kind is WaitKind.OLD
    game.rows.fleet.sites["t1"].objects["old"].busy = 3
    game.later(1200)
    assert "old" in game.rows.fleet.sites["t1"].objects, "it still has requests"
    assert "old" not in game.rows.fleet.sites["s1"].objects
    game.rows.fleet.sites["t1"].objects["old"].busy = 0
    game.later(60)
    assert rollout(game) is RolloutState.SUCCEEDED


def test_an_old_one_without_metrics_is_never_retired_unasked() -> None:
    game = at_production(old=True, plan=strategy(keep_old=0))
    game.rows.fleet.sites["p1"].measured = False
    game.vote("approver", Decision.APPROVE)
    game.later(3600, step=30)
    assert "old" in game.rows.fleet.sites["p1"].objects
    wishes(game.rows, "retire now")
    game.later(60)
    assert rollout(game) is RolloutState.SUCCEEDED


def test_an_undo_waits_until_a_lost_request_can_no_longer_arrive() -> None:
    game = play(old=True)
    game.run()
    game.rows.fleet.advance(1)
    while not isinstance(game.actions()[0], a.SwitchService):
        game.executor.perform(game.actions()[0], 1)
    game.executor.perform(game.actions()[0], 1, Fault.STALLED)
    wishes(game.rows, "rollback")
    game.later(20)
    assert game.rows.fleet.sites["t1"].service == "old"
    game.rows.late[0].send()
    assert game.rows.fleet.sites["t1"].service == "new"
    game.later(60)
    assert game.rows.fleet.sites["t1"].service == "old"
    assert rollout(game) is RolloutState.ROLLED_BACK
