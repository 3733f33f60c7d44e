from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from fleetportal.pulse import heartbeats, ticker
from fleetportal.pulse.models import Heartbeat, Lease

pytestmark = pytest.mark.django_db


class Rows:
    """A source of this test: what is due, and what its step was given."""

    def __init__(self, *due: str) -> None:
        self.due = list(due)
        self.ran: list[str] = []

    def source(self) -> tuple[ticker.Due, ticker.Step]:
        return lambda now, limit: self.due[:limit], self.ran.append

    def ticker(self, **others: tuple[ticker.Due, ticker.Step]) -> ticker.Ticker:
        """Others look first."""
        return ticker.Ticker({**others, "test.step": self.source()})


def test_without_a_broker_the_ticker_runs_the_step_itself() -> None:
    rows = Rows("7")
    looking = rows.ticker()
    assert looking.tick() == 1
    assert rows.ran == ["7"]
    assert looking.silent


def test_a_row_just_rung_for_is_left_alone_for_a_while() -> None:
    rows = Rows("7")
    looking = rows.ticker()
    looking.tick()
    looking.tick()
    assert rows.ran == ["7"]


def test_a_row_still_due_after_a_while_is_rung_for_again() -> None:
    rows, now = Rows("7"), timezone.now()
    looking = rows.ticker()
    looking.tick(now)
    looking.tick(now + ticker.RING_AGAIN + timedelta(seconds=1))
    assert rows.ran == ["7", "7"]


def test_a_step_that_fails_stops_neither_the_others_nor_the_ticker() -> None:
    def fail(pk: str) -> None:
        raise RuntimeError(pk)

    rows = Rows("7")
    rows.ticker(bad=(lambda now, limit: ["1"], fail)).tick()
    assert rows.ran == ["7"]


def test_a_source_that_fails_does_not_stop_the_others() -> None:
    def fail(now: datetime, limit: int) -> list[str]:
        raise RuntimeError

    rows = Rows("9")
    rows.ticker(bad=(fail, rows.ran.append)).tick()
    assert rows.ran == ["9"]


def test_what_apps_registered_is_looked_at() -> None:
    assert ticker.Ticker().tick() >= 1  # pulse.beat is always due


def test_only_the_holder_of_the_lease_ticks() -> None:
    until = timezone.now() + timedelta(seconds=60)
    Lease.objects.create(name="ticker", holder="another process", token=1, expires_at=until)
    rows = Rows("7")
    assert rows.ticker().tick() == 0
    assert rows.ran == []


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
