"""Lists and watches for the collector, on asyncio: thousands of watches in one process.

A watch is only a way to hear of changes early. It may end or fall silent at any time; the caller
goes on from the last version, and an hourly list finds what a watch missed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from clusters.engine.raw import CLOCKS_DIFFER
from clusters.gateway import kinds
from clusters.gateway.connection import BYTE_CAP, READ_TIMEOUT, Connection
from clusters.gateway.decoding import MOST_PAGES, LineBuffer, bounded, clock_skew, endless
from clusters.gateway.errors import Answer, Gone, TooMany, Unreachable, error_from
from clusters.gateway.http1 import Exchange
from clusters.gateway.kinds import Kind, with_query
from clusters.gateway.pacing import Intake, Pace, Slots
from clusters.gateway.resolving import Resolver
from clusters.gateway.typed import Event, Key, Reader

PAGE_SIZE = 500
CALLS = 2  # at once to one cluster, watches apart
_LIST_DEADLINE = 30.0  # seconds for one page
_RETRY_AFTER = 1.0  # seconds, where a 429 names none

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A whole list."""

    items: list[T]
    resource_version: str
    bodies: Mapping[Key, dict[str, Any]] = field(default_factory=dict)


class WatchBroke(Unreachable):
    """A watch that was open broke or fell silent; another one may go on from where it was."""


class StreamClient:
    """One cluster. CALLS requests at once on kept connections; each watch has its own.

    `pace` says how often it may be asked; `connects` bounds the handshakes of many clients.
    `ahead`: seconds that the cluster's clock is ahead of ours, 0 where they agree.
    """

    def __init__(self, connection: Connection, connects: Slots | None = None) -> None:
        self.connection = connection
        self.pace = Pace()
        self.ahead = 0.0
        self._connects = connects or Slots(CALLS, READ_TIMEOUT)
        self._resolver = Resolver(connection)
        self._context: ssl.SSLContext | None = None
        self._idle: list[Exchange] = []
        self._calls = asyncio.Semaphore(CALLS)
        self._intake = Intake()

    def close(self) -> None:
        """Cut the kept connections. Watches end with their iterators."""
        while self._idle:
            self._idle.pop().close()

    def hear_clock(self, answer: Answer) -> None:
        """What the API server (not a pod behind it) says of the time. It says whole seconds: what
        it stamped must not seem to move with every answer."""
        skew = clock_skew(answer.headers, datetime.now(UTC))
        if skew is not None and abs(skew - self.ahead) > CLOCKS_DIFFER:
            self.ahead = float(round(skew)) if abs(skew) > CLOCKS_DIFFER else 0.0

    async def list_objects(
        self,
        kind: Kind,
        reader: Reader[T],
        *,
        namespace: str = "",
        selector: str = "",
        limit: int = PAGE_SIZE,
    ) -> Listing[T]:
        """All objects of a kind. A list that expires between pages is begun again once."""
        path = kind.path(namespace)
        try:
            return await self._pages(path, reader, selector, limit)
        except Gone:
            return await self._pages(path, reader, selector, limit)

    async def watch_objects(
        self,
        kind: Kind,
        reader: Reader[T],
        resource_version: str,
        *,
        namespace: str = "",
        selector: str = "",
        timeout_seconds: int = 290,
        silence: float = 120.0,
    ) -> AsyncGenerator[Event[T], None]:
        """Events after `resource_version` with bookmarks, until the server ends the watch.

        Raises Gone when the version is too old, and WatchBroke when it was cut off, or after
        `silence` seconds of nothing.
        """
        path = kinds.watch_path(kind, resource_version, namespace, selector, timeout_seconds)
        await self.pace.turn()
        exchange, answer = await self._open(), None
        try:
            answer = await self._ok(exchange, await exchange.get(path))
            buffer = LineBuffer()
            async for piece in exchange.pieces(answer, silence=silence):
                for line in buffer.feed(piece):
                    yield reader.event(self.connection.redact(line))
                await self._intake.take(len(piece))
        except Unreachable as error:
            if answer is None:
                raise
            raise WatchBroke(error.message) from error
        finally:
            exchange.close()

    async def get_raw(
        self, path: str, *, deadline: float = READ_TIMEOUT, cap: int = BYTE_CAP
    ) -> Answer:
        """One GET on a kept connection, of at most `cap` bytes; raises for every status but 200.

        A kept connection may have been closed by the server meanwhile: then a new one is tried.
        """
        async with self._calls:
            await self.pace.turn()
            while self._idle:
                kept = self._idle.pop()
                try:
                    return await self._exchange(kept, path, deadline, cap)
                except Unreachable:
                    if not kept.stale:
                        raise
            return await self._exchange(await self._open(), path, deadline, cap)

    async def _open(self) -> Exchange:
        found = await self._resolver.endpoint(failing=self.pace.slow)
        async with self._connects.slot():
            return await Exchange.open(self.connection, found, self._tls())

    async def _exchange(self, exchange: Exchange, path: str, deadline: float, cap: int) -> Answer:
        try:
            head = await self._ok(exchange, await exchange.get(path))
            body = self.connection.redact(await exchange.body(head, deadline=deadline, cap=cap))
        except BaseException:
            exchange.close()
            raise
        if exchange.reusable:
            self._idle.append(exchange)
        else:
            exchange.close()
        return Answer(head.status, head.headers, body)

    async def _pages(self, path: str, reader: Reader[T], selector: str, limit: int) -> Listing[T]:
        items: list[T] = []
        bodies: dict[Key, dict[str, Any]] = {}
        query: dict[str, str | int] = {"limit": limit, "labelSelector": selector}
        for _ in range(MOST_PAGES):
            answer = await self.get_raw(with_query(path, **query), deadline=_LIST_DEADLINE)
            page = reader.page(answer.body)
            items += page.items
            bodies |= page.bodies
            query["continue"] = page.next_token
            if not page.next_token:
                self.hear_clock(answer)
                return Listing(items, page.resource_version, bodies)
            bounded(items)
        raise endless()

    async def _ok(self, exchange: Exchange, answer: Answer) -> Answer:
        if answer.status == 200:
            return answer
        body = await exchange.body(answer, deadline=READ_TIMEOUT)
        error = error_from(Answer(answer.status, answer.headers, self.connection.redact(body)))
        if isinstance(error, TooMany):
            self.pace.hold(error.delay or _RETRY_AFTER)
        raise error

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self.connection.ssl_context()
        return self._context
