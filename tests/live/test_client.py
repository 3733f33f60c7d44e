"""What one open page is sent, and when it is sent away. Times are given, in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from fleetportal.live.client import LASTS, PING, SEND_WITHIN, Client
from fleetportal.live.tickets import Ticket

BEGUN = 1_000.0


def with_client(test: Callable[[Client], None]) -> None:
    """A page needs a running loop to be woken in."""

    async def run() -> None:
        test(Client(Ticket(1, "session", "access", frozenset({"fleet"})), BEGUN))

    asyncio.run(run())


def test_names_are_sent_once_and_in_order() -> None:
    def test(client: Client) -> None:
        client.hear({"fleet"})
        client.hear({"clusters", "fleet"})
        assert client.take() == b'event: changed\ndata: ["clusters", "fleet"]\n\n'
        assert client.take() == b""
        assert not client.woken.is_set()

    with_client(test)


def test_a_quiet_page_gets_a_sign_of_life_and_no_second_one_beside_news() -> None:
    def test(client: Client) -> None:
        client.tend(BEGUN + PING - 0.1)
        assert not client.woken.is_set()
        client.tend(BEGUN + PING + 0.1)
        assert client.woken.is_set()
        assert client.take() == b": ping\n\n"
        client.tend(BEGUN + PING + 0.1)
        client.hear({"fleet"})
        assert client.take() == b'event: changed\ndata: ["fleet"]\n\n'

    with_client(test)


def test_a_page_that_listened_for_its_time_has_to_ask_again() -> None:
    def test(client: Client) -> None:
        client.told_at = BEGUN + LASTS
        client.tend(BEGUN + LASTS - 0.1)
        assert not client.over
        client.tend(BEGUN + LASTS + 0.1)
        assert client.take() == b"event: over\ndata: again\n\n"

    with_client(test)


@pytest.mark.parametrize(
    ("sending", "quiet", "ends"),
    [(True, SEND_WITHIN + 1, True), (True, SEND_WITHIN - 1, False), (False, 1000.0, False)],
)
def test_only_a_page_that_takes_nothing_is_given_up(
    sending: bool, quiet: float, ends: bool
) -> None:
    ended: list[bool] = []

    async def run() -> None:
        client = Client(Ticket(1, "session", "access", frozenset()), BEGUN)
        try:
            async with client.patience:
                client.sending = sending
                client.tend(BEGUN + quiet)
                await asyncio.sleep(0.02)
            ended.append(False)
        except TimeoutError:
            ended.append(True)

    asyncio.run(run())
    assert ended == [ends]
