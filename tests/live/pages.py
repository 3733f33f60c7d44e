"""An open page as the stream sees it: a raw ASGI client in this event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.test import Client

from fleetportal.accounts.models import User
from fleetportal.live.hub import Hub
from fleetportal.live.stream import PATH, with_streams

SOON = 5.0


def signed_in(user: User) -> tuple[Client, str]:
    """A browser and its session's key."""
    client = Client()
    client.force_login(user)
    return client, client.session.session_key or ""


def ticket_of(client: Client, *topics: str) -> dict[str, Any]:
    answer = client.get("/live/ticket/", {"topics": ",".join(topics)})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("this is not for Django")


@dataclass
class Page:
    """One stream. `status` is None until it was answered; `text` all that was sent."""

    hub: Hub
    ticket: str
    session: str
    method: str = "GET"
    status: int | None = None
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    over: bool = False
    _leave: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Future[None] | None = None
    stuck: asyncio.Event | None = None  # a page that takes nothing until it is set

    async def open(self) -> Page:
        scope = {
            "type": "http",
            "method": self.method,
            "path": PATH,
            "query_string": f"ticket={self.ticket}".encode(),
            "headers": [(b"cookie", f"{settings.SESSION_COOKIE_NAME}={self.session}".encode())],
        }
        application = with_streams(nobody, self.hub)
        self._task = asyncio.ensure_future(application(scope, self._receive, self._send))
        await self.until(lambda: self.status is not None)
        return self

    async def until(self, condition: Callable[[], bool], seconds: float = SOON) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def hears(self, words: str, seconds: float = SOON) -> None:
        await self.until(lambda: words in self.text, seconds)

    async def close(self) -> None:
        self._leave.set()
        assert self._task is not None
        await asyncio.wait_for(self._task, SOON)

    async def _receive(self) -> dict[str, Any]:
        await self._leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            return
        if self.stuck is not None:
            await self.stuck.wait()
        self.text += message["body"].decode()
        self.over = not message.get("more_body", False)
