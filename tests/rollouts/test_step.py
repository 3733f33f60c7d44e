"""Steps of a rollout against the database alone: nothing here reaches a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleetportal.accounts.principal import Principal
from rollouts.models import Rollout
from rollouts.services import control
from rollouts.services.step import rollout_advance
from tests.factories import make_plan, make_rollout
from tests.support import People
from workspaces.models import Plan
from workspaces.services.plans import plan_compute

pytestmark = pytest.mark.usefixtures("fleet")


def test_a_state_and_what_it_waits_for_are_written_at_once(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    control.rollout_pause(principal=Principal(people.engineer), rollout=rollout)
    with CaptureQueriesContext(connection) as asked:
        rollout_advance(str(rollout.pk))
    rollout.refresh_from_db()
    assert rollout.state == "paused" and rollout.waiting_for["kind"] == "paused"
    moves = [
        query["sql"]
        for query in asked.captured_queries
        if query["sql"].startswith('UPDATE "rollouts_rollout" SET "state"')
    ]
    assert moves and all('"waiting_for"' in sql.partition("WHERE")[0] for sql in moves)


def test_an_ended_rollout_waits_for_nothing_and_is_not_looked_at_again(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    control.rollout_abort(principal=Principal(people.engineer), rollout=rollout)
    rollout_advance(str(rollout.pk))
    rollout.refresh_from_db()
    assert rollout.state == "aborted" and rollout.waiting_for == {}
    assert rollout.settled and not Rollout.objects.filter(pk=rollout.pk, settled=False).exists()


def test_a_worker_that_places_a_plan_second_leaves_what_the_first_one_stored(
    people: People,
) -> None:
    plan = make_plan(people.engineer, people.assist)
    Plan.objects.filter(pk=plan.pk).update(state="computing", lease_expires_at=None)

    def somebody_is_faster(execute: Any, sql: str, *rest: Any) -> Any:
        answer = execute(sql, *rest)
        if sql.startswith('UPDATE "workspaces_plan" SET "lease_holder"'):
            Plan.objects.filter(pk=plan.pk).update(state="ready")
        return answer

    with connection.execute_wrapper(somebody_is_faster):
        plan_compute(str(plan.pk))
    again = Plan.objects.get(pk=plan.pk)
    assert (again.state, again.digest) == ("ready", plan.digest)
