"""A request's body before a thread is taken for it, and its answer after the thread is given back.

Django's own handler reads and writes while it holds its thread: a few dozen callers who send or
take a byte now and then would hold them all, and a body of any size would fill the disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus

import orjson

from fleetportal.live.stream import Message, Receive, Scope, Send

MOST_BODY = 4 << 20  # bytes; a sheet of prices may have 2 MiB, and forms have other fields
BODY_WITHIN = 60.0  # seconds for a whole body
TAKEN_WITHIN = 20.0  # seconds for the next part of an answer; who takes nothing for so long is gone
MOST_HELD = 128 << 20  # bytes of bodies and answers that wait in this process

REMEDIES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"Send at most {MOST_BODY >> 20} MiB at once.",
    HTTPStatus.REQUEST_TIMEOUT: "Send it again, at once.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Send it again in a few seconds.",
}
TYPES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-large",
    HTTPStatus.REQUEST_TIMEOUT: "too-slow",
    HTTPStatus.SERVICE_UNAVAILABLE: "temporary",
}


class Unread(Exception):
    """The body was not read to its end; `status` says why. None: the caller went away."""

    def __init__(self, status: HTTPStatus | None) -> None:
        super().__init__(status)
        self.status = status


class Held:
    """Bytes that wait in this process, whoever they belong to."""

    def __init__(self, most: int = MOST_HELD) -> None:
        self.most, self.bytes = most, 0

    def take(self, count: int) -> bool:
        """Whether there is room for as many more; they count from now on then."""
        if self.bytes + count > self.most:
            return False
        self.bytes += count
        return True

    def give_back(self, count: int) -> None:
        self.bytes -= count


class Exchange:
    """One request and its answer. Close it when both are over."""

    def __init__(self, receive: Receive, send: Send, held: Held) -> None:
        self._receive, self._send, self._held = receive, send, held
        self._body: bytes | None = b""
        self._late: deque[tuple[Message, int]] = deque()
        self._mine = 0
        self._gone = False

    async def read(self, scope: Scope) -> None:
        """The whole body. Raises Unread."""
        if _announced(scope) > MOST_BODY:
            raise Unread(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(BODY_WITHIN):
                while await self._read_part(parts):
                    pass
        except TimeoutError as error:
            raise Unread(HTTPStatus.REQUEST_TIMEOUT) from error
        self._body = b"".join(parts)

    async def _read_part(self, parts: list[bytes]) -> bool:
        """Whether there is more."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Unread(None)
        part = message.get("body", b"")
        if self._mine + len(part) > MOST_BODY:
            raise Unread(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not self._hold(len(part)):
            raise Unread(HTTPStatus.SERVICE_UNAVAILABLE)
        parts.append(part)
        return bool(message.get("more_body", False))

    async def receive(self) -> Message:
        """The body at once; then only that the caller goes away."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Kept for `flush`; where too much is kept already, sent now, as fast as it is taken."""
        size = len(message.get("body", b""))
        if self._hold(size):
            self._late.append((message, size))
            return
        await self.flush()
        await self._pass_on(message)

    async def flush(self) -> None:
        while self._late:
            message, size = self._late.popleft()
            await self._pass_on(message)
            self._held.give_back(size)
            self._mine -= size

    async def refuse(self, scope: Scope, status: HTTPStatus) -> None:
        """A problem document to programs, a line to browsers."""
        problem = {"type": TYPES[status], "title": status.phrase, "status": status.value}
        body, kind = f"{status.phrase}. {REMEDIES[status]}".encode(), b"text/plain"
        if scope["path"].startswith("/api/"):
            body = orjson.dumps(problem | {"remedy": REMEDIES[status]})
            kind = b"application/problem+json"
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", b"default-src 'none'"),
        ]
        start = {"type": "http.response.start", "status": status.value, "headers": headers}
        await self._pass_on(start)
        await self._pass_on({"type": "http.response.body", "body": body})

    def close(self) -> None:
        self._held.give_back(self._mine)
        self._mine = 0
        self._late.clear()

    async def _pass_on(self, message: Message) -> None:
        if self._gone:
            return
        try:
            async with asyncio.timeout(TAKEN_WITHIN):
                await self._send(message)
        except TimeoutError:
            self._gone = True  # the server closes what is left without its end

    def _hold(self, count: int) -> bool:
        if not self._held.take(count):
            return False
        self._mine += count
        return True


def _announced(scope: Scope) -> int:
    """The length that the headers name, or 0."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
