from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from fleetportal.pulse import heartbeats, ticker
from fleetportal.pulse.models import Heartbeat, Lease

pytestmark = pytest.mark.django_db


@pytest.fixture
def due() -> Iterator[list[str]]:
    """Rows that a source of this test calls due; `ran` holds what its step was given."""
    rows: list[str] = []
    ticker.register("test.step", lambda now, limit: rows[:limit], ran.append)
    yield rows
    ticker.unregister("test.step")
    ran.clear()


ran: list[str] = []


def test_without_a_broker_the_ticker_runs_the_step_itself(due: list[str]) -> None:
    due.append("7")
    looking = ticker.Ticker()
    assert looking.tick() >= 1
    assert ran == ["7"]
    assert looking.silent


def test_a_row_just_rung_for_is_left_alone_for_a_while(due: list[str]) -> None:
    due.append("7")
    looking = ticker.Ticker()
    looking.tick()
    looking.tick()
    assert ran == ["7"]


def test_a_row_still_due_after_a_while_is_rung_for_again(due: list[str]) -> None:
    due.append("7")
    now = timezone.now()
    looking = ticker.Ticker()
    looking.tick(now)
    looking.tick(now + ticker.RING_AGAIN + timedelta(seconds=1))
    assert ran == ["7", "7"]


def test_a_step_that_fails_stops_neither_the_others_nor_the_ticker(due: list[str]) -> None:
    def fail(pk: str) -> None:
        raise RuntimeError(pk)

    ticker.register("test.bad", lambda now, limit: ["1"], fail)
    try:
        due.append("7")
        ticker.Ticker().tick()
    finally:
        ticker.unregister("test.bad")
    assert ran == ["7"]


def test_a_source_that_fails_does_not_stop_the_others(due: list[str]) -> None:
    def fail(now: datetime, limit: int) -> list[str]:
        raise RuntimeError

    ticker.register("test.before", fail, ran.append)
    ticker.register("test.after", lambda now, limit: ["9"], ran.append)
    try:
        ticker.Ticker().tick()
    finally:
        ticker.unregister("test.before")
        ticker.unregister("test.after")
    assert ran == ["9"]


def test_only_the_holder_of_the_lease_ticks(due: list[str]) -> None:
    until = timezone.now() + timedelta(seconds=60)
    Lease.objects.create(name="ticker", holder="another process", token=1, expires_at=until)
    due.append("7")
    assert ticker.Ticker().tick() == 0
    assert ran == []


def test_a_tick_is_a_sign_of_life_of_the_ticker_but_not_of_the_broker() -> None:
    ticker.Ticker().tick()
    assert heartbeats.alive("ticker")
    assert not heartbeats.alive("worker")


def test_a_sign_of_life_grows_old() -> None:
    assert heartbeats.age("worker") is None
    heartbeats.beat("worker", "a")
    Heartbeat.objects.update(at=timezone.now() - heartbeats.ALIVE_FOR - timedelta(seconds=1))
    assert not heartbeats.alive("worker")
    assert heartbeats.age("worker") == pytest.approx(31, abs=1)
