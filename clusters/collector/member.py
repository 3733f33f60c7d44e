"""One cluster under observation: list, watch, ask now and then whether it is still itself."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from clusters.collector.cache import WATCHED, Cache
from clusters.engine.health import Contact
from clusters.gateway import Connection, Kind, kinds
from clusters.gateway.decoding import json_object
from clusters.gateway.errors import Forbidden, Gone, NotFound, contact_of
from clusters.gateway.stream import StreamClient
from fleetportal.kit.errors import Permanent, PortalError

log = logging.getLogger(__name__)

HEARTBEAT = 10.0  # seconds between two signs of life
SETTLE = 0.15  # seconds of quiet that let a burst of events become one write
RETRY = (1.0, 30.0)  # seconds, least and most, between two attempts on a failing cluster
AUDIT = 3600.0  # seconds until a list finds what the watches missed


class OtherCluster(Permanent):
    """The address leads to a cluster that is not the registered one."""


Report = Callable[[Contact, str], Awaitable[None]]
Flush = Callable[[], Awaitable[None]]


class Member:
    """Runs until cancelled. `report` hears of contacts, `flush` stores what the cache took in."""

    def __init__(
        self, connection: Connection, uid: str, cache: Cache, report: Report, flush: Flush
    ) -> None:
        self.client = StreamClient(connection)
        self.uid = uid
        self.cache = cache
        self.alive = False  # everything is listed and watched, and the last sign of life was good
        self._report = report
        self._flush = flush
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Sessions, one after the other, with a growing pause after failures."""
        pause = RETRY[0]
        while True:
            try:
                await self._session()
                pause = RETRY[0]
            except* PortalError as group:
                pause = RETRY[0] if self.alive else pause
                self.alive = False
                error = _first(group)
                if not isinstance(error, OtherCluster):
                    await self._report(contact_of(error), error.message)
            finally:
                self.alive = False
                self.client.close()
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            pause = min(RETRY[1], pause * 2)

    def touch(self) -> None:
        """Store again although the cluster did not change (a quota was declared)."""
        self.cache.dirty.add("Node")
        self._changed.set()

    async def _session(self) -> None:
        """List everything, then watch until something fails or the audit is due."""
        await self._identify()
        versions = {kind: await self._list(kind) for kind in WATCHED}
        self._changed.set()
        partial = [kind.plural for kind, version in versions.items() if version is None]
        await self._say(partial)
        try:
            async with asyncio.timeout(AUDIT * random.uniform(0.9, 1.1)):  # noqa: S311 - jitter
                async with asyncio.TaskGroup() as tasks:
                    for kind, version in versions.items():
                        if version is not None:
                            tasks.create_task(self._watch(kind, version))
                    tasks.create_task(self._write())
                    tasks.create_task(self._heartbeat(partial))
        except TimeoutError:
            return

    async def _identify(self) -> None:
        """The same cluster as ever? Another one at its address is reported, never stored."""
        answer = await self.client.get_raw(kinds.NAMESPACE.object_path("", "kube-system"))
        uid = json_object(answer).get("metadata", {}).get("uid", "")
        if uid != self.uid:
            self.alive = False
            await self._report(Contact.DIFFERENT, "The address answers as another cluster.")
            raise OtherCluster("Another cluster answers.")

    async def _say(self, partial: list[str]) -> None:
        self.alive = True
        missing = f"May not list {', '.join(partial)}." if partial else ""
        await self._report(Contact.PARTIAL if partial else Contact.OK, missing)

    async def _list(self, kind: Kind) -> str | None:
        """The resourceVersion to watch from; None where we may not look; a kind that is not served
        has no objects and is looked at again by the audit."""
        try:
            found = await self.client.list_objects(kind)
        except NotFound:
            self.cache.replace(kind.name, [])
            return ""
        except Forbidden:
            return None
        for body in found.items:
            body.setdefault("kind", kind.name)
            body.setdefault("apiVersion", kind.api_version)
        self.cache.replace(kind.name, found.items)
        return found.resource_version

    async def _watch(self, kind: Kind, version: str) -> None:
        """Follow one kind; a version that is too old means listing it again."""
        while version:
            try:
                async for event in self.client.watch_objects(kind, version):
                    version = event.resource_version or version
                    if event.type in ("ADDED", "MODIFIED", "DELETED"):
                        self.cache.change(kind.name, event.type, event.object)
                        self._changed.set()
            except Gone:
                version = await self._list(kind) or ""
                self._changed.set()

    async def _write(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLE)
            self._changed.clear()
            await self._flush()

    async def _heartbeat(self, partial: list[str]) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            await self._identify()
            await self._say(partial)


def _first(group: BaseExceptionGroup[PortalError]) -> PortalError:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return _first(error)
        return error
    raise group
