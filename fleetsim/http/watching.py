"""Watches: replay from a resourceVersion, live events, bookmarks, timeouts, expiry.

A selector turns an object that leaves into DELETED and one that enters into ADDED.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from fleetsim.errors import ApiError
from fleetsim.faults import Fault
from fleetsim.http.listing import Selection, version_of
from fleetsim.http.messages import Reply, Request, begin, cut, wait_gone
from fleetsim.http.targets import Target
from fleetsim.kinds import Kind
from fleetsim.store import ClusterStore
from fleetsim.table import Change, Record, Table

DEFAULT_TIMEOUT = 1800.0
FINAL = "k8s.io/initial-events-end"


class Watch:
    """One open watch."""

    def __init__(
        self, cluster: ClusterStore, kind: Kind, target: Target, request: Request, pause: float
    ) -> None:
        self.cluster = cluster
        self.kind = kind
        self.table: Table = cluster.table(kind.kind)
        self.request = request
        self.selection = Selection(kind, target, request)
        self.bookmarks = request.truth("allowWatchBookmarks")
        self.since = version_of(request)
        self.timeout = request.number("timeoutSeconds", DEFAULT_TIMEOUT)
        self.pause = pause
        self.queue: asyncio.Queue[Change | None] = asyncio.Queue()

    def _line(self, event: str, body: bytes) -> bytes:
        return b'{"type":"' + event.encode() + b'","object":' + body + b"}\n"

    def _initial(self) -> Iterator[bytes]:
        """What the client must see before live events."""
        streaming = self.request.truth("sendInitialEvents")
        if self.since and self.since < self.table.dropped and not streaming:
            text = f"too old resource version: {self.since} ({self.table.dropped})"
            yield self._line("ERROR", orjson.dumps(ApiError(410, text).status()))
            self.queue.put_nowait(None)
        elif self.since and not streaming:
            for change in self.table.since(self.since):
                yield from self._event(change)
        else:
            for record in self.table.rows(self.selection.namespace):
                if self.selection.takes(record):
                    yield self._line("ADDED", record.full(self.kind))
            if streaming:
                yield self._bookmark({FINAL: "true"})

    def _event(self, change: Change) -> Iterator[bytes]:
        is_in = self.selection.takes(change.new)
        was_in = change.old is not None and self.selection.takes(change.old)
        if change.type == "DELETED":
            if was_in or is_in:
                yield self._line("DELETED", change.new.full(self.kind))
        elif is_in:
            yield self._line("MODIFIED" if was_in else "ADDED", change.new.full(self.kind))
        elif was_in and change.old is not None:
            yield self._line("DELETED", self._left(change.old, change.rv))

    def _left(self, old: Record, rv: int) -> bytes:
        """An object that left the selection: its last selected state, at the change's version."""
        obj = old.load(self.kind)
        obj["metadata"]["resourceVersion"] = str(rv)
        return orjson.dumps(obj)

    def _bookmark(self, annotations: dict[str, str] | None = None) -> bytes:
        meta: dict[str, object] = {
            "resourceVersion": str(self.cluster.rv),
            "creationTimestamp": None,
        }
        if annotations:
            meta["annotations"] = annotations
        body = {"kind": self.kind.kind, "apiVersion": self.kind.api_version, "metadata": meta}
        return self._line("BOOKMARK", orjson.dumps(body))

    async def say(self, body: bytes) -> None:
        """Open, say only this, and end."""
        await begin(self.request, Reply())
        await self.request.send({"type": "http.response.body", "body": body})

    async def run(self, drop: Fault | None = None, stall: Fault | None = None) -> None:
        """Stream until the timeout, the client's departure, an expiry or a fault."""
        await begin(self.request, Reply())
        # No await between the two: nothing may happen after the replay and before the queue is on.
        replay = b"".join(self._initial()) if stall is None else b""
        self.table.watchers.add(self.queue)
        try:
            await self._send(replay)
            gone = asyncio.ensure_future(wait_gone(self.request))
            try:
                await self._live(gone, drop, stall)
            finally:
                gone.cancel()
        finally:
            self.table.watchers.discard(self.queue)

    async def _live(
        self, gone: "asyncio.Future[None]", drop: Fault | None, stall: Fault | None
    ) -> None:
        loop = asyncio.get_running_loop()
        timeout = self.timeout
        end = loop.time() + (min(timeout, drop.seconds) if drop else timeout)
        while loop.time() < end and not gone.done():
            if stall is not None:
                await asyncio.wait({gone}, timeout=end - loop.time())
                continue
            if not await self._turn(gone, min(self.pause, end - loop.time())):
                break
        if gone.done():
            return
        if drop is not None or stall is not None:
            cut(self.request)
            return
        await self._finish()

    async def _finish(self) -> None:
        """The last words. A client goes on from the bookmark: what is queued has to come before."""
        last = self._lines(self._queued()) + (self._bookmark() if self.bookmarks else b"")
        with contextlib.suppress(OSError, RuntimeError):
            await self.request.send({"type": "http.response.body", "body": last})

    async def _turn(self, gone: "asyncio.Future[None]", wait: float) -> bool:
        """Send what is queued, or a bookmark when nothing came in time. False ends the watch."""
        changes = [*await self._first(gone, wait), *self._queued()]
        if changes:
            await self._send(self._lines(changes))
        elif not gone.done() and self.bookmarks and wait >= self.pause:
            await self._send(self._bookmark())
        return not gone.done() and None not in changes

    async def _first(self, gone: "asyncio.Future[None]", wait: float) -> list[Change | None]:
        """Wait for the next change; none when something is queued already or nothing came."""
        if not self.queue.empty():
            return []
        getter = asyncio.ensure_future(self.queue.get())
        both: set[asyncio.Future[Any]] = {getter, gone}
        await asyncio.wait(both, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        if getter.done():
            return [getter.result()]
        getter.cancel()
        return []

    def _queued(self) -> list[Change | None]:
        """Everything that waits to be sent, now. None: the end of the watch."""
        return [self.queue.get_nowait() for _ in range(self.queue.qsize())]

    def _lines(self, changes: Iterable[Change | None]) -> bytes:
        return b"".join(line for change in changes if change for line in self._event(change))

    async def _send(self, body: bytes) -> None:
        if body:
            await self.request.send({"type": "http.response.body", "body": body, "more_body": True})
