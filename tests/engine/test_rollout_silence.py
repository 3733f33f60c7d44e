"""Missing, stale and late: what holds a rollout without failing it or passing it."""

from __future__ import annotations

from dataclasses import replace

from rollouts.engine import actions as a
from rollouts.engine.types import (
    ApprovalMode,
    ApprovalState,
    Decision,
    GateState,
    RolloutState,
    TargetState,
    Verdict,
)
from rollouts.engine.waiting import WaitKind
from tests.engine.rollout_executor import Play, wishes
from tests.engine.rollout_world import Fault
from tests.engine.test_rollout_paths import at_production, play, rollout, strategy, target, verbs


def stalled(game: Play, kind: type[a.Effect]) -> None:
    """Play until the next action is of `kind`; its process stalls with the request."""
    for _ in range(100):
        action = game.actions()[0]
        if isinstance(action, kind):
            game.executor.perform(action, game.rows.rollout.fence, Fault.STALLED)
            return
        if isinstance(action, a.Wait):
            game.rows.fleet.advance(1)
        game.executor.perform(action, game.rows.rollout.fence)
    raise AssertionError(f"no {kind.__name__} came")


def test_a_delete_waits_until_a_lost_apply_can_no_longer_arrive() -> None:
    game = play(old=True)
    stalled(game, a.Apply)
    wishes(game.rows, "rollback")
    game.later(20)
    assert verbs(game, "t1") == []
    game.rows.late[0].send()
    game.later(60)
    assert verbs(game, "t1") == [("create", "new"), ("delete", "new")]
    assert rollout(game) is RolloutState.ROLLED_BACK


def test_nothing_is_switched_to_a_new_one_that_broke_again() -> None:
    game = play()
    while target(game, "t1") is not TargetState.SWITCHING:
        action = game.actions()[0]
        game.executor.perform(action, 1)
        if isinstance(action, a.Wait):
            game.rows.fleet.advance(1)
    game.rows.fleet.sites["t1"].healthy = False
    game.rows.fleet.advance(1)
    game.later(60)
    assert ("switch", "new") not in verbs(game, "t1")


def test_nothing_is_switched_back_to_an_old_one_that_is_not_ready() -> None:
    game = at_production(old=True)
    site = game.rows.fleet.sites["t1"]
    site.healthy = False
    game.rows.fleet.advance(1)
    wishes(game.rows, "rollback")
    game.later(120)
    assert site.service == "new"
    assert rollout(game) is RolloutState.ROLLING_BACK
    site.healthy = True
    game.later(60)
    assert site.service == "old"


def test_a_soak_does_not_pass_in_silence() -> None:
    game = play(strategy(approval=ApprovalMode.NONE, soak_seconds=300))
    game.later(60)
    game.rows.fleet.sites["p2"].observed = False
    game.later(600, step=20)
    assert game.rows.gates["production/soak"].state is GateState.NO_DATA
    assert game.waits().kind is WaitKind.SOAK
    game.rows.fleet.sites["p2"].observed = True
    game.later(30)
    assert rollout(game) is RolloutState.SUCCEEDED


def test_an_old_verdict_is_no_data() -> None:
    game = play(strategy(approval=ApprovalMode.NONE, analysis=True))
    pk = "production/analysis"
    old = replace(game.rows.gates[pk], verdict=Verdict.PASSED, verdict_age_seconds=91.0)
    game.rows.gates[pk] = old
    game.later(200)
    assert game.rows.gates[pk].state is GateState.NO_DATA


def test_an_approval_that_was_used_stays_approved_whatever_happens_later() -> None:
    game = at_production(plan=strategy(approval_ttl_seconds=300))
    game.vote("approver", Decision.APPROVE)
    game.run()
    game.rows.roles["approver"] = set()
    game.later(900, step=30)
    assert game.rows.approvals["a1"].state is ApprovalState.APPROVED
    assert rollout(game) is RolloutState.SUCCEEDED
