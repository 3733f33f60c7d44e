"""What keeps one cluster from being hammered, and the others from waiting for it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from clusters.collector.identity import holder_name, is_gone
from clusters.collector.limits import PER_CLUSTER, SPARE, files_check, files_raise
from clusters.gateway.errors import Unreachable
from clusters.gateway.pacing import Intake, Pace, Slots
from clusters.gateway.resolving import Resolver
from clusters.gateway.stream import CALLS, StreamClient
from fleetportal.kit.net import Endpoint
from tests.fleet.raw_server import connection_to, raw_server, reply

T = TypeVar("T")


def timed(work: Coroutine[Any, Any, object]) -> float:
    async def measured() -> float:
        begun = time.monotonic()
        await work
        return time.monotonic() - begun

    return asyncio.run(asyncio.wait_for(measured(), 30))


def test_a_healthy_cluster_is_asked_at_once() -> None:
    async def work() -> None:
        pace = Pace()
        for _ in range(50):
            await pace.turn()

    assert timed(work()) < 0.5


def test_a_cluster_that_failed_is_asked_once_a_second_however_many_ask() -> None:
    async def work() -> None:
        pace = Pace()
        pace.failed()
        await asyncio.gather(*(pace.turn() for _ in range(3)))

    assert 2.9 < timed(work()) < 6


def test_a_cluster_that_asks_for_a_pause_gets_it() -> None:
    async def work() -> None:
        pace = Pace()
        pace.hold(2.0)
        await pace.turn()

    assert timed(work()) >= 1.9


def test_a_slot_comes_back_from_a_cluster_that_hangs() -> None:
    async def hang(slots: Slots) -> None:
        async with slots.slot():
            await asyncio.sleep(20)

    async def work() -> None:
        slots = Slots(1, 0.2)
        hanging = asyncio.create_task(hang(slots))
        await asyncio.sleep(0)
        for _ in range(3):
            async with slots.slot():
                pass
        hanging.cancel()

    assert timed(work()) < 5


def test_a_flood_of_events_has_to_wait() -> None:
    async def work() -> None:
        intake = Intake()
        for _ in range(9):
            await intake.take(1 << 20)

    assert 0.5 < timed(work()) < 5


def test_two_calls_at_once_go_to_a_cluster_and_no_more() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def script(_: str) -> list[bytes]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.1)
        with lock:
            now -= 1
        return [reply()]

    with raw_server(script) as server:

        async def work() -> None:
            client = StreamClient(connection_to(server.port))
            await asyncio.gather(*(client.get_raw("/version") for _ in range(8)))
            client.close()

        asyncio.run(work())
    assert most == CALLS
    assert server.connections == CALLS


class SlowName:
    """A connection whose name server does not answer."""

    host = "cluster.example.com"

    def __init__(self) -> None:
        self.asked = 0
        self.answer = threading.Event()

    def resolve(self) -> Endpoint:
        self.asked += 1
        self.answer.wait(20)
        return Endpoint(self.host, 443, "", "192.0.2.1")


def test_a_name_that_does_not_resolve_costs_one_thread_and_no_long_wait() -> None:
    slow = SlowName()

    async def work() -> None:
        resolver = Resolver(slow)  # type: ignore[arg-type]
        for _ in range(2):
            with pytest.raises(Unreachable):
                await resolver.endpoint(failing=True)
        slow.answer.set()
        assert (await resolver.endpoint(failing=True)).ip == "192.0.2.1"

    assert timed(work()) < 15
    assert slow.asked == 1


def test_a_collector_knows_whether_another_one_on_this_machine_is_gone() -> None:
    ours = holder_name("here")
    assert not is_gone(ours)
    machine, pid, rest = ours.rpartition("/")[2].split(".")
    assert pid == str(os.getpid())
    assert is_gone(f"there/{machine}.{2**22 + 1}.{rest}")
    assert not is_gone(f"there/another.{2**22 + 1}.{rest}")
    assert not is_gone("")
    assert not is_gone("no/sense")


def test_too_few_files_are_noticed() -> None:
    limit = files_raise()
    assert files_check(1)
    assert not files_check((limit - SPARE) // PER_CLUSTER + 1)
