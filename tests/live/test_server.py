"""What uvicorn takes in before any of our code is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from fleetportal.live.server import MOST_HEAD, Protocol

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


class Wire(asyncio.Transport):
    """Where answers go."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def application(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def talk(test: Callable[[Protocol, Wire], Any]) -> None:
    async def run() -> None:
        config = uvicorn.Config(application, http=Protocol, lifespan="off", log_config=None)
        config.load()
        protocol, wire = Protocol(config, ServerState(), {}), Wire()
        protocol.connection_made(wire)
        await test(protocol, wire)
        protocol.connection_lost(None)

    asyncio.run(run())


def test_a_head_that_does_not_end_is_refused() -> None:
    async def test(protocol: Protocol, wire: Wire) -> None:
        protocol.data_received(HEAD)
        for _ in range(MOST_HEAD // 1000 + 2):
            if not wire.closed:
                protocol.data_received(b"X-A: " + b"a" * 995)
        assert wire.sent.startswith(b"HTTP/1.1 400 ")
        assert wire.closed

    talk(test)


def test_what_follows_a_body_without_end_is_refused() -> None:
    async def test(protocol: Protocol, wire: Wire) -> None:
        protocol.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
        for _ in range(MOST_HEAD // 1000 + 2):
            if not wire.closed:
                protocol.data_received(b"X-A: " + b"a" * 993 + b"\r\n")
        assert wire.closed

    talk(test)


def test_a_long_body_and_many_requests_on_one_connection_pass() -> None:
    async def test(protocol: Protocol, wire: Wire) -> None:
        for done in range(1, 4):
            protocol.data_received(HEAD + b"Content-Length: 200000\r\n\r\n")
            for _ in range(200):
                protocol.data_received(bytes(1000))
            for _ in range(50):
                await asyncio.sleep(0)
            assert wire.sent.count(b"HTTP/1.1 204 ") == done
        assert not wire.closed

    talk(test)
