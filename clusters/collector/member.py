"""One cluster under observation: list, watch, ask now and then whether it is still itself.

What is written, and whether it still may be, is the fleet's; here nothing touches the database.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from clusters.collector.cache import WATCHED, Cache, Watching
from clusters.engine.health import Contact
from clusters.gateway import kinds
from clusters.gateway.decoding import json_object
from clusters.gateway.errors import Forbidden, Gone, NotFound, contact_of, reason_of
from clusters.gateway.pacing import Slots
from clusters.gateway.stream import StreamClient, WatchBroke
from fleetportal.kit.errors import Permanent, PortalError, Temporary

log = logging.getLogger(__name__)

HEARTBEAT = 10.0  # seconds between two signs of life
HEARD_WITHIN = 30.0  # seconds; without a sign for longer, what is stored is not called current
SOON = 0.01  # seconds until the first change of a burst is written, with what came beside it
SETTLE = 0.15  # seconds between two writes of a burst
RETRY = (1.0, 30.0)  # seconds, least and most, between two attempts on a failing cluster
LASTING = 30.0  # seconds after which a session or a watch has shown that it works
STRIKES = 3  # watches of a kind that break early, until the session counts as failed
AUDIT = 3600.0  # seconds until a list finds what a watch missed
ASK_AGAIN = 300.0  # seconds until a list is tried again that we may not have

ESSENTIAL = frozenset({"nodes", "pods"})

Companion = Callable[[StreamClient], Coroutine[Any, Any, None]]
Report = Callable[[Contact, str], Awaitable[None]]
Flush = Callable[[], Awaitable[None]]


class OtherCluster(Permanent):
    """The address leads to a cluster that is not the registered one."""


class Member:
    """Runs until cancelled. `report` hears of contacts, `flush` stores what the cache took in.

    `companions` run beside the watches of every session, with the same client; what they raise
    is logged and ends only themselves.
    """

    def __init__(
        self,
        client: StreamClient,
        uid: str,
        cache: Cache,
        report: Report,
        flush: Flush,
        *,
        lists: Slots | None = None,
        companions: Sequence[Companion] = (),
        audit: float = AUDIT,
    ) -> None:
        self.client = client
        self.uid = uid
        self.cache = cache
        self._report = report
        self._flush = flush
        self._lists = lists or Slots(1, LASTING)
        self._companions = companions
        self._audit = audit
        self._watching = False  # everything is listed and watched
        self._heard = 0.0  # the last sign of life, loop time
        self._versions: dict[str, str] = {}  # by kind: from where a watch goes on
        self._missing: set[str] = set()  # plurals of kinds that we may not list
        self._changed = asyncio.Event()

    @property
    def alive(self) -> bool:
        """The inventory is listed and watched, and there was a sign of life lately."""
        blind = self._missing & ESSENTIAL
        return self._watching and not blind and _now() - self._heard < HEARD_WITHIN

    async def run(self) -> None:
        """Sessions, one after the other, with a growing pause after failures."""
        pause = RETRY[0]
        while True:
            begun, asked = _now(), 0.0
            try:
                await self._session()
            except* PortalError as group:
                asked = await self._failed(_first(group))
            except* Exception:
                log.exception("member.failed", extra={"cluster": self.uid})
                self.client.pace.failed()
            finally:
                self._watching = False
                self.client.close()
            if _now() - begun > LASTING:
                pause = RETRY[0]
            else:
                self._versions.clear()
            await asyncio.sleep(max(asked, pause * random.uniform(0.8, 1.2)))  # noqa: S311 - jitter
            pause = min(RETRY[1], pause * 2)

    async def _failed(self, error: PortalError) -> float:
        """Report it. Seconds that the cluster wants to be left alone for."""
        self._watching = False
        self.client.pace.failed()
        if not isinstance(error, OtherCluster):
            await self._report(contact_of(error), reason_of(error))
        return (error.delay if isinstance(error, Temporary) else None) or 0.0

    def touch(self) -> None:
        """Store again although the cluster did not change (a quota was declared)."""
        self.cache.dirty.add("Node")
        self._changed.set()

    async def _session(self) -> None:
        """List what is not known yet, then watch until something fails."""
        await self._identify()
        async with self._lists.slot():
            for watching in WATCHED:
                if not self._versions.get(watching.name):
                    await self._list(watching)
        self.client.close()  # its buffers grew with the lists; signs of life need small ones
        self._changed.set()
        self._watching = True
        await self._say()
        async with asyncio.TaskGroup() as tasks:
            for watching in WATCHED:
                tasks.create_task(self._follow(watching))
            tasks.create_task(self._write())
            tasks.create_task(self._heartbeat())
            for companion in self._companions:
                tasks.create_task(self._accompany(companion))

    async def _identify(self) -> None:
        """The same cluster as ever? Another one at its address is reported, never stored."""
        answer = await self.client.get_raw(kinds.NAMESPACE.object_path("", "kube-system"))
        uid = json_object(answer).get("metadata", {}).get("uid", "")
        if uid != self.uid:
            self._watching = False
            await self._report(Contact.DIFFERENT, "The address answers as another cluster.")
            raise OtherCluster("Another cluster answers.")
        self._heard = _now()
        self.client.hear_clock(answer)
        self.cache.ahead = self.client.ahead

    async def _say(self) -> None:
        missing = f"May not list {', '.join(sorted(self._missing))}." if self._missing else ""
        await self._report(Contact.PARTIAL if missing else Contact.OK, missing)

    async def _list(self, watching: Watching) -> None:
        """What there is of a kind, and the version to watch it from; "" without any.

        A kind that is not served has no objects, but every cluster serves nodes and pods. One that
        we may not list makes the view of the cluster partial, unless the kind is optional.
        """
        kind = watching.kind
        self._versions[kind.name] = ""
        self._missing.discard(kind.plural)
        try:
            found = await self.client.list_objects(kind, watching.reader)
        except NotFound:
            if kind.plural in ESSENTIAL:
                raise
            self.cache.replace(kind, None)
        except Forbidden:
            if not watching.optional:
                self._missing.add(kind.plural)
        else:
            self.cache.replace(kind, found)
            self._versions[kind.name] = found.resource_version

    async def _follow(self, watching: Watching) -> None:
        """Watch one kind, and list it again when the audit is due or the version is too old.

        Audits of kinds and clusters are spread: the first comes at a random moment of the hour.
        """
        due = _now() + self._audit * random.uniform(0.1, 1.0)  # noqa: S311 - spread
        while True:
            try:
                async with asyncio.timeout_at(self._until(watching, due)):
                    await self._watch_on(watching)
            except TimeoutError:
                due = _now() + self._audit
            except Gone:
                self.client.pace.failed()
            await self._list(watching)
            self._changed.set()

    def _until(self, watching: Watching, due: float) -> float:
        return min(due, _now() + ASK_AGAIN) if watching.kind.plural in self._missing else due

    async def _watch_on(self, watching: Watching) -> None:
        """Watches, one after the other, each from where the last one ended, without a list.

        One that breaks early is a failure; after STRIKES of them in a row the session ends.
        """
        strikes = 0
        while self._versions[watching.name]:
            begun = _now()
            try:
                await self._watch(watching)
            except WatchBroke:
                if strikes + 1 >= STRIKES:
                    raise
            lasted = _now() - begun > LASTING
            strikes = 0 if lasted else strikes + 1
            if not lasted:
                self.client.pace.failed()
                await asyncio.sleep(min(RETRY[1], RETRY[0] * 2**strikes))
        await asyncio.Event().wait()  # nothing to watch until the audit

    async def _watch(self, watching: Watching) -> None:
        kind, version = watching.kind, self._versions[watching.name]
        events = self.client.watch_objects(kind, watching.reader, version)
        async with aclosing(events):
            async for event in events:
                self._heard = _now()
                if event.object is not None and self.cache.change(kind, event):
                    self._changed.set()
                if event.resource_version:
                    self._versions[kind.name] = event.resource_version

    async def _write(self) -> None:
        written = -SETTLE
        while True:
            await self._changed.wait()
            await asyncio.sleep(max(SOON, written + SETTLE - _now()))
            self._changed.clear()
            await self._flush()
            written = _now()

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            await self._identify()
            await self._say()

    async def _accompany(self, companion: Companion) -> None:
        try:
            await companion(self.client)
        except Exception:
            log.exception("member.companion_failed", extra={"cluster": self.uid})


def _now() -> float:
    return asyncio.get_running_loop().time()


def _first(group: BaseExceptionGroup[PortalError]) -> PortalError:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return _first(error)
        return error
    raise group
