"""Lists and watches for the collector, on asyncio: a thousand watches in one process.

A watch is only a way to hear of changes early. It may end or fall silent at any time; the caller
lists again, and an hourly list finds what a watch missed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from clusters.gateway import kinds
from clusters.gateway.connection import READ_TIMEOUT, Connection
from clusters.gateway.decoding import LineBuffer, WatchEvent, clock_skew, event_of, listing_of
from clusters.gateway.errors import Answer, Gone, Unreachable, error_from
from clusters.gateway.http1 import Exchange
from clusters.gateway.kinds import Kind, with_query

PAGE_SIZE = 500
_LIST_DEADLINE = 30.0  # seconds for one page

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole list. `clock_skew`: seconds that the server's clock is ahead; None: unknown."""

    items: list[Object]
    resource_version: str
    clock_skew: float | None


class StreamClient:
    """One cluster. Lists share one kept connection and take turns; each watch has its own."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._context: ssl.SSLContext | None = None
        self._idle: Exchange | None = None
        self._turn = asyncio.Lock()

    def close(self) -> None:
        """Cut the kept connection. Watches end with their iterators."""
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    async def list_objects(
        self, kind: Kind, *, namespace: str = "", selector: str = "", limit: int = PAGE_SIZE
    ) -> Listing:
        """All objects of a kind. A list that expires between pages is begun again once."""
        path = kind.path(namespace)
        async with self._turn:
            try:
                return await self._pages(path, selector, limit)
            except Gone:
                return await self._pages(path, selector, limit)

    async def watch_objects(
        self,
        kind: Kind,
        resource_version: str,
        *,
        namespace: str = "",
        selector: str = "",
        timeout_seconds: int = 290,
        silence: float = 120.0,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after `resource_version` with bookmarks, until the server ends the watch.

        Raises Gone when the version is too old, Unreachable after `silence` seconds of nothing.
        """
        path = kinds.watch_path(kind, resource_version, namespace, selector, timeout_seconds)
        exchange = await Exchange.open(self.connection, self._tls())
        try:
            answer = await self._ok(exchange, await exchange.get(path))
            buffer = LineBuffer()
            async for piece in exchange.pieces(answer, silence=silence):
                for line in buffer.feed(piece):
                    yield event_of(self.connection.redact(line))
        finally:
            exchange.close()

    async def get_raw(self, path: str, *, deadline: float = READ_TIMEOUT) -> Answer:
        """One GET on the kept connection; raises for every status but 2xx.

        A kept connection may have been closed by the server meanwhile: then a new one is tried.
        """
        kept, self._idle = self._idle, None
        if kept is not None:
            try:
                return await self._exchange(kept, path, deadline)
            except Unreachable:
                if not kept.stale:
                    raise
        fresh = await Exchange.open(self.connection, self._tls())
        return await self._exchange(fresh, path, deadline)

    async def _exchange(self, exchange: Exchange, path: str, deadline: float) -> Answer:
        try:
            head = await self._ok(exchange, await exchange.get(path))
            body = self.connection.redact(await exchange.body(head, deadline=deadline))
        except BaseException:
            exchange.close()
            raise
        if exchange.reusable:
            self._idle = exchange
        else:
            exchange.close()
        return Answer(head.status, head.headers, body)

    async def _pages(self, path: str, selector: str, limit: int) -> Listing:
        items: list[Object] = []
        query: dict[str, str | int] = {"limit": limit, "labelSelector": selector}
        while True:
            answer = await self.get_raw(with_query(path, **query), deadline=_LIST_DEADLINE)
            page = listing_of(answer.body)
            items += page.items
            query["continue"] = page.next_token
            if not page.next_token:
                skew = clock_skew(answer.headers, datetime.now(UTC))
                return Listing(items, page.resource_version, skew)

    async def _ok(self, exchange: Exchange, answer: Answer) -> Answer:
        if answer.status != 200:
            body = await exchange.body(answer, deadline=READ_TIMEOUT)
            raise error_from(Answer(answer.status, answer.headers, self.connection.redact(body)))
        return answer

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self.connection.ssl_context()
        return self._context
