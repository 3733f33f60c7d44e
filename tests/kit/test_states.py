from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from django.db import transaction

from clusters.models import Check
from clusters.states import CHECK
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.kit.errors import Refused, Stale
from fleetportal.kit.states import Machine, State, move
from fleetportal.web.management.commands.states import machines
from tests.support import People, race

MACHINES = list(machines())


def make_check() -> Check:
    """One that a person asked for: the portal's own probes leave no rows."""
    asker = User.objects.get_or_create(username="asker")[0]
    return Check.objects.create(kind="clusters.connection", requested_by=asker)


@pytest.mark.django_db
def test_a_probe_that_nobody_asked_for_leaves_no_row() -> None:
    move(Check.objects.create(kind="clusters.connection"), "running", machine=CHECK)
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_a_move_writes_the_state_and_one_journal_row(people: People) -> None:
    check = make_check()
    actor = Principal(people.operator)
    move(check, "running", machine=CHECK, actor=actor, reason="asked", attempts=3)
    check.refresh_from_db()
    assert (check.state, check.attempts) == ("running", 3)
    event = Event.objects.get()
    assert (event.actor, event.action, event.reason) == (people.operator, "check.running", "asked")
    assert event.before == {"state": "pending", "attempts": 0}
    assert event.after == {"state": "running", "attempts": 3}


@pytest.mark.django_db
def test_a_move_that_is_not_in_the_table_is_refused_and_writes_nothing() -> None:
    check = make_check()
    with pytest.raises(Refused, match="'Pending'"):
        move(check, "done", machine=CHECK)
    check.refresh_from_db()
    assert check.state == "pending"
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_a_row_that_changed_since_it_was_read_is_stale() -> None:
    first = make_check()
    second = Check.objects.get(pk=first.pk)
    move(first, "running", machine=CHECK)
    with pytest.raises(Stale):
        move(second, "failed", machine=CHECK)
    assert Check.objects.get(pk=first.pk).state == "running"
    assert Event.objects.count() == 1


@pytest.mark.django_db
def test_an_expected_column_that_moved_on_makes_the_move_stale() -> None:
    check = make_check()
    with pytest.raises(Stale):
        move(check, "running", machine=CHECK, expect={"lease_token": check.lease_token + 1})
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_state_and_journal_row_are_undone_together() -> None:
    check = make_check()
    with pytest.raises(RuntimeError), transaction.atomic():
        move(check, "running", machine=CHECK)
        raise RuntimeError
    assert Check.objects.get(pk=check.pk).state == "pending"
    assert not Event.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_moves_at_once_exactly_one_wins() -> None:
    check = make_check()

    def try_move(number: int) -> str:
        row = Check.objects.get(pk=check.pk)
        if row.state != "pending":
            raise Stale("read too late to race")
        move(row, ("running", "failed")[number % 2], machine=CHECK)
        return row.state

    results = race(try_move, 4)
    won = [result for result in results if isinstance(result, str)]
    assert len(won) == 1
    assert all(isinstance(result, Stale) for result in results if result not in won)
    assert Check.objects.get(pk=check.pk).state == won[0]
    assert Event.objects.count() == 1


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: str(machine.name))
def test_terminal_states_lead_nowhere_and_every_state_is_reached(machine: Machine) -> None:
    reached = {target for _, target in machine.moves}
    for name, state in machine.states.items():
        leaves = {target for source, target in machine.moves if source == name}
        assert not (state.terminal and leaves)
        assert leaves or name in reached, f"{name} stands alone"


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: str(machine.name))
def test_every_pair_outside_the_table_is_refused(machine: Machine) -> None:
    class Row:
        _meta: Any = None

        def __init__(self, state: str) -> None:
            self.state = state

    for source, target in product(machine.states, repeat=2):
        if not machine.allows(source, target):
            with pytest.raises(Refused):
                move(Row(source), target, machine=machine)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("states", "moves", "message"),
    [
        ({"a": State("A", "ok")}, {("a", "b")}, "unknown state"),
        ({"a": State("A", "ok", terminal=True), "b": State("B", "ok")}, {("a", "b")}, "terminal"),
        ({"a": State("A", "pink")}, set(), "unknown tone"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(
    states: dict[str, State], moves: set[tuple[str, str]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Machine("thing", states, moves)
