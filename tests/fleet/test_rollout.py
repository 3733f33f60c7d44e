"""Rollouts against simulated clusters."""

from __future__ import annotations

from tests.fleet.harness import Portal, mutations


def test_a_rollout_stops_before_production_and_touches_nothing_there(portal: Portal) -> None:
    test, staging, production = portal.three()
    rollout = portal.start([test, staging, production])
    approval = portal.approval(rollout)
    assert approval.digest == rollout.digest
    assert mutations(production) == []
