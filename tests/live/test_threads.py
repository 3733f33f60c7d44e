"""Django behind a fixed number of threads."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from fleetportal.live import exchange
from fleetportal.live.exchange import MOST_BODY, Exchange, Held
from fleetportal.live.threads import in_threads

SCOPE = {"type": "http", "path": "/api/v1/prices/", "headers": []}
PART = 1 << 16


async def nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def drop(message: Any) -> None:
    pass


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Reads what was sent, and says how much it was."""
    message = await receive()
    assert not message["more_body"]
    said = str(len(message["body"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": said, "more_body": False})


class Caller:
    """`parts` of a body; `sent`: what came back. `takes` False: it reads no answer."""

    def __init__(self, parts: list[bytes], *, takes: bool = True) -> None:
        self.parts, self.takes = parts, takes
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        part, *self.parts = self.parts
        return {"type": "http.request", "body": part, "more_body": bool(self.parts)}

    async def send(self, message: Any) -> None:
        if not self.takes:
            await asyncio.Event().wait()
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.sent)


def test_many_requests_share_a_few_threads_and_use_the_last_one_first() -> None:
    names: list[str] = []
    most = [0]
    inside = [0]

    async def django(scope: Any, receive: Any, send: Any) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        await asyncio.sleep(0)
        names.append(await sync_to_async(lambda: threading.current_thread().name)())
        inside[0] -= 1

    async def run() -> None:
        application = in_threads(django, most=4)
        for _ in range(3):
            await application(SCOPE, nothing, drop)
        assert len(set(names)) == 1
        await asyncio.gather(*(application(SCOPE, nothing, drop) for _ in range(40)))

    asyncio.run(run())
    assert len(names) == 43
    assert most[0] == 4
    assert len(set(names)) <= 4


def test_a_request_that_fails_gives_its_thread_back() -> None:
    async def django(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("broken")

    async def run() -> None:
        application = in_threads(django, most=1)
        for _ in range(3):
            answers = await asyncio.gather(
                application(SCOPE, nothing, drop), return_exceptions=True
            )
            assert isinstance(answers[0], RuntimeError)

    asyncio.run(run())


def test_callers_that_send_nothing_more_hold_no_thread() -> None:
    async def run() -> None:
        application = in_threads(hello, most=1)
        slow = [asyncio.ensure_future(application(SCOPE, never, drop)) for _ in range(3)]
        await asyncio.sleep(0)
        caller = Caller([b"a" * 70, b"b" * 30])
        async with asyncio.timeout(5):
            await application(SCOPE, caller.receive, caller.send)
        assert (caller.status, caller.body) == (200, b"100")
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    asyncio.run(run())


def test_callers_that_take_nothing_hold_no_thread() -> None:
    async def run() -> None:
        application = in_threads(hello, most=1)
        deaf = [Caller([b""], takes=False) for _ in range(3)]
        slow = [asyncio.ensure_future(application(SCOPE, one.receive, one.send)) for one in deaf]
        await asyncio.sleep(0)
        caller = Caller([b""])
        async with asyncio.timeout(5):
            await application(SCOPE, caller.receive, caller.send)
        assert caller.status == 200
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    asyncio.run(run())


def test_a_body_without_end_is_refused_and_given_to_nobody() -> None:
    async def nobody(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("this is not for Django")

    async def run() -> None:
        announced = SCOPE | {"headers": [(b"content-length", str(MOST_BODY + 1).encode())]}
        for scope, parts in ((announced, []), (SCOPE, [bytes(PART)] * (MOST_BODY // PART + 1))):
            caller = Caller(parts)
            await in_threads(nobody)(scope, caller.receive, caller.send)
            assert caller.status == 413
            assert b'"remedy":"Send at most 4 MiB' in caller.body

    asyncio.run(run())


def test_a_body_that_does_not_come_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BODY_WITHIN", 0.01)

    async def run() -> None:
        caller = Caller([])
        await in_threads(hello)(SCOPE | {"path": "/login/"}, never, caller.send)
        assert caller.status == 408
        assert b"Send it again" in caller.body

    asyncio.run(run())


def test_all_that_waits_in_a_process_is_bounded_and_given_back() -> None:
    async def run() -> None:
        held = Held(most=100)
        first, second = (Caller([bytes(80)]) for _ in range(2))
        one, two = (Exchange(caller.receive, caller.send, held) for caller in (first, second))
        await one.read(SCOPE)
        with pytest.raises(exchange.Unread) as refused:
            await two.read(SCOPE)
        assert refused.value.status == 503
        await one.send({"type": "http.response.body", "body": bytes(30)})
        assert len(first.sent) == 1  # no room to keep it: sent at once
        one.close()
        two.close()
        assert held.bytes == 0

    asyncio.run(run())
