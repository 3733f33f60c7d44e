"""`/live/stream?ticket=`: a raw ASGI application ahead of Django, since a Django view would hold a
thread for each open page. It asks no database and renders nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings

from fleetportal.live.client import Client
from fleetportal.live.hub import Hub, hub
from fleetportal.live.tickets import BadTicket, read

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]  # Django and servers type these differently

PATH = "/live/stream"
RETRY = b"retry: 3000\n\n"
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'"),
]


def with_streams(django: App, to: Hub = hub) -> App:
    """`django` with the stream ahead of it."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH:
            await _answer(scope, receive, send, to)
        else:
            await django(scope, receive, send)

    return application


async def _answer(scope: Scope, receive: Receive, send: Send, to: Hub) -> None:
    if scope["method"] != "GET":
        return await _refuse(send, 405)
    if to.closing:
        return await _refuse(send, 503)
    try:
        ticket = read(_query(scope), session_of(scope))
    except BadTicket:
        return await _refuse(send, 403)
    client = to.join(ticket)
    if client is None:
        return await _refuse(send, 429)
    try:
        await _stream(client, receive, send)
    finally:
        to.leave(client)
    return None


async def _stream(client: Client, receive: Receive, send: Send) -> None:
    """Until the page goes, its time is over, or it is sent away."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    gone = asyncio.ensure_future(_gone(receive))
    gone.add_done_callback(lambda _: client.woken.set())
    try:
        with suppress(TimeoutError, OSError):
            async with client.patience:
                await _send(client, send, RETRY)
                await _tell(client, gone, send)
                await _send(client, send, b"", last=True)
    finally:
        gone.cancel()


async def _tell(client: Client, gone: asyncio.Future[None], send: Send) -> None:
    while not gone.done():
        await client.woken.wait()
        if gone.done():
            return
        if data := client.take():
            await _send(client, send, data)
        if client.over:
            return


async def _send(client: Client, send: Send, data: bytes, *, last: bool = False) -> None:
    client.told_at, client.sending = time.monotonic(), True
    await send({"type": "http.response.body", "body": data, "more_body": not last})
    client.sending = False


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send, status: int) -> None:
    headers = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _query(scope: Scope) -> str:
    try:
        found = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=4)
    except ValueError:  # more fields than any page sends
        return ""
    return str(found.get("ticket", [""])[0])


def session_of(scope: Scope) -> str:
    """The session's key out of the cookies, or ""."""
    jar = SimpleCookie()
    for name, value in scope["headers"]:
        if name == b"cookie":
            with suppress(CookieError):
                jar.load(value.decode("latin-1"))
    held = jar.get(settings.SESSION_COOKIE_NAME)
    return str(held.value) if held else ""
