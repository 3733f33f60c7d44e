"""Two at the same moment: one of them has an effect, the other an answer that says why not."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from clusters.models import Check, Pool
from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.kit.errors import PortalError, Refused, Stale
from fleetportal.kit.states import move
from fleetportal.pulse import leases
from rollouts.models import Approval, Rollout, Vote
from rollouts.services import control
from rollouts.services.approvals import vote_cast
from rollouts.services.deletion import deployment_delete
from rollouts.services.start import rollout_start
from rollouts.services.step import rollout_advance
from rollouts.states import ROLLOUT
from tests import factories
from tests.support import People, make_people, race
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import Claim, Deployment, Plan, Workspace
from workspaces.services.claims import NoRoom, claims_take

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

ROUNDS = range(5)


@pytest.fixture
def everybody() -> People:
    people = make_people()
    make_fleet()
    return people


def outcomes(results: list[Any]) -> tuple[int, list[Any]]:
    """How many had an effect, and the errors of the others; anything unexpected is raised."""
    errors = [found for found in results if isinstance(found, Exception)]
    for error in errors:
        if not isinstance(error, PortalError):
            raise error
    return len(results) - len(errors), errors


@pytest.mark.parametrize("round_", ROUNDS)
def test_of_two_starts_of_one_plan_one_starts(everybody: People, round_: int) -> None:
    plan = factories.make_plan(everybody.engineer, everybody.assist)
    principal = Principal(everybody.engineer)

    def start(_: int) -> Rollout:
        mine = Plan.objects.select_related("team", "model", "deployment").get(pk=plan.pk)
        return rollout_start(principal=principal, plan=mine, digest=plan.digest)

    won, lost = outcomes(race(start))
    assert won == 1 and isinstance(lost[0], Refused)
    assert Rollout.objects.count() == 1 and Deployment.objects.count() == 1
    assert Workspace.objects.count() == 3
    assert Claim.objects.filter(released_at=None).count() == 3


@pytest.mark.parametrize("round_", ROUNDS)
def test_of_two_starts_of_two_plans_for_one_deployment_one_starts(
    everybody: People, round_: int
) -> None:
    plans = [factories.make_plan(everybody.engineer, everybody.assist) for _ in range(2)]
    principal = Principal(everybody.engineer)

    def start(number: int) -> Rollout:
        rows = Plan.objects.select_related("team", "model", "deployment")
        mine = rows.get(pk=plans[number].pk)
        return rollout_start(principal=principal, plan=mine, digest=mine.digest)

    won, lost = outcomes(race(start))
    assert won == 1 and isinstance(lost[0], Refused)
    assert Rollout.objects.count() == 1


@pytest.mark.parametrize("round_", ROUNDS)
def test_claims_taken_at_once_never_promise_a_node_twice(everybody: People, round_: int) -> None:
    factories.make_rollout(everybody.engineer, everybody.assist)
    workspace = Workspace.objects.first()
    assert workspace is not None
    pool = Pool.objects.create(
        cluster=workspace.cluster, key="race", kind="existing", gpu_model="L4", slots=5
    )

    def take(_: int) -> int:
        mine = Pool.objects.select_related("cluster").get(pk=pool.pk)
        return len(claims_take(workspace=workspace, pool=mine, nodes=2))

    won, lost = outcomes(race(take, runners=4))
    slots = list(Claim.objects.filter(pool=pool).values_list("slot", flat=True))
    assert won == 2 and all(isinstance(error, NoRoom) for error in lost)
    assert sorted(slots) == [0, 1, 2, 3]


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_person_who_clicks_twice_votes_once(everybody: People, round_: int) -> None:
    approval = factories.make_waiting(everybody.engineer, everybody.assist)
    principal = Principal(everybody.approver)

    def vote(_: int) -> Vote:
        mine = Approval.objects.select_related("rollout").get(pk=approval.pk)
        return vote_cast(
            principal=principal,
            approval=mine,
            decision="reject",
            digest=mine.digest,
            comment="No.",
        )

    won, lost = outcomes(race(vote))
    assert won == 1 and lost[0].type == "already-decided"
    assert Vote.objects.count() == 1
    assert Event.objects.filter(action="approval.vote_reject").count() == 1


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_vote_and_an_abort_at_once_end_in_an_abort_or_a_rejection(
    everybody: People, round_: int
) -> None:
    approval = factories.make_waiting(everybody.engineer, everybody.assist)

    def act(number: int) -> object:
        mine = Approval.objects.select_related("rollout").get(pk=approval.pk)
        if number:
            rollout = Rollout.objects.get(pk=mine.rollout_id)
            control.rollout_abort(principal=Principal(everybody.engineer), rollout=rollout)
            return rollout
        return vote_cast(
            principal=Principal(everybody.approver),
            approval=mine,
            decision="reject",
            digest=mine.digest,
            comment="No.",
        )

    outcomes(race(act))
    rollout_advance(str(approval.rollout_id))
    rollout = Rollout.objects.get(pk=approval.rollout_id)
    assert rollout.state == "aborted" and rollout.abort
    approval.refresh_from_db()
    assert approval.state in ("withdrawn", "rejected")


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_lease_is_claimed_by_one_of_many(round_: int) -> None:
    pk = Check.objects.create(kind="race").pk
    results = race(lambda _: leases.claim(Check.objects.get(pk=pk), seconds=60), runners=6)
    assert sorted(map(bool, results)) == [False] * 5 + [True]
    assert Check.objects.get(pk=pk).lease_token == 1


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_row_moves_once_and_the_journal_says_so_once(everybody: People, round_: int) -> None:
    rollout = factories.make_rollout(everybody.engineer, everybody.assist)
    wanted = ["running", "paused", "failed", "aborted"]

    def act(number: int) -> None:
        row = rows[number]
        move(row, wanted[number], machine=ROLLOUT, reason="race")

    rows = [Rollout.objects.select_related("deployment").get(pk=rollout.pk) for _ in wanted]
    won, lost = outcomes(race(act, runners=4))
    assert won == 1 and all(isinstance(error, Stale) for error in lost)
    assert Event.objects.filter(reason="race").count() == 1
    assert Rollout.objects.get(pk=rollout.pk).version == rollout.version + 1


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_deployment_is_not_deleted_and_given_a_rollout_at_once(
    everybody: People, round_: int
) -> None:
    deployment = factories.make_served(everybody.engineer, everybody.assist)
    plan = factories.make_plan(everybody.engineer, everybody.assist)
    principal = Principal(everybody.engineer)

    def act(number: int) -> object:
        if number:
            mine = Deployment.objects.select_related("team").get(pk=deployment.pk)
            deployment_delete(principal=principal, deployment=mine, confirm=mine.name)
            return mine
        row = Plan.objects.select_related("team", "model", "deployment").get(pk=plan.pk)
        return rollout_start(principal=principal, plan=row, digest=row.digest)

    won, _ = outcomes(race(act))
    deployment.refresh_from_db()
    active = Rollout.objects.active().filter(deployment=deployment).exists()
    assert won == 1
    assert active == (deployment.state == "active")


@pytest.mark.parametrize("round_", ROUNDS)
def test_steps_of_one_rollout_at_once_leave_one_row_of_everything(
    everybody: People, round_: int
) -> None:
    rollout = factories.make_rollout(everybody.engineer, everybody.assist)
    Rollout.objects.filter(pk=rollout.pk).update(abort=True)
    outcomes(race(lambda _: rollout_advance(str(rollout.pk)), runners=4))
    rollout_advance(str(rollout.pk))
    rollout.refresh_from_db()
    assert rollout.state == "aborted" and rollout.ended_at is not None
    ended = Event.objects.filter(object_id=str(rollout.pk), action="rollout.aborted")
    assert ended.count() == 1
    assert not Claim.objects.filter(released_at=None, created_at__lte=timezone.now()).exists()
