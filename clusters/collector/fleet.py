"""All clusters of one collector: which are ours, who is watched, what is stored.

Several collectors share a fleet by leases (services.watches). Work on the database happens on two
threads: one for what keeps us the owner, one for what was seen, so that many stores at once never
cost us a lease. Each cluster has one store under way at a time, so that none pushes others aside.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import ParamSpec, TypeVar

from django.db import Error, InterfaceError, OperationalError, connections

from clusters.collector import stores
from clusters.collector.cache import Cache
from clusters.collector.identity import holder_name
from clusters.collector.limits import files_check
from clusters.collector.member import Companion, Member
from clusters.collector.stores import Row, Seen
from clusters.engine.health import Contact
from clusters.gateway import Connection
from clusters.gateway.pacing import Slots
from clusters.gateway.stream import StreamClient
from clusters.services.watches import LEASE, Fence, FenceLost
from clusters.telemetry.companion import Metrics

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between looks at the list of clusters
BEAT = 5.0  # seconds between heartbeats, renewals and "still true" stamps
PRUNE_EVERY = 720  # beats: once an hour
AGAIN = 2.0  # seconds until a store is tried again that the database had no time for
REFUSED_FOR = 15.0  # seconds until a credential that cannot be opened is tried again
STARTS = 100  # members started at once

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class Watched:
    """A member with what it was started from."""

    row: Row
    fence: Fence
    member: Member
    task: asyncio.Task[None]
    cache: Cache = field(repr=False)
    storing: bool = False

    @property
    def current(self) -> bool:
        """What is stored is what the cluster holds: all is watched, nothing left to store."""
        return self.member.alive and not self.cache.dirty and not self.storing


class Fleet:
    """One collector. `holder` is its name in this run alone, so that no two share leases."""

    def __init__(self, name: str = "") -> None:
        self.holder = holder_name(name)
        self._watched: dict[str, Watched] = {}
        self._owning = ThreadPoolExecutor(1, "collector-leases")
        self._storing = ThreadPoolExecutor(1, "collector-stores")
        self._refused: dict[str, float] = {}  # without a usable credential, until loop time
        self._renewed = -inf  # loop time
        self._connects = Slots(50, 0.5)
        self._lists = Slots(32, 2.0)
        self._metrics = Metrics()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then others may take over at once."""
        beat = asyncio.create_task(self._beat())
        metrics = asyncio.create_task(self._metrics.run())
        try:
            while not stop.is_set():
                await self._look_safely()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK)
        finally:
            tasks = [beat, metrics, *(watched.task for watched in self._watched.values())]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(Error):
                await self._db(self._owning, stores.farewell, self.holder)
            for thread in (self._storing, self._owning):
                thread.submit(connections.close_all)
                thread.shutdown(wait=True)

    async def _look_safely(self) -> None:
        """A database that is busy or away for a moment must not end the collector. When it is away
        for longer than a lease, others may be watching our clusters by now."""
        try:
            await self._look()
        except Exception:
            log.exception("collector.look_failed")
            if _now() - self._renewed > LEASE.total_seconds():
                self._stop(list(self._watched))

    async def _look(self) -> None:
        """Start members for our clusters, restart changed ones, stop those that left."""
        begun, renew = _now(), _now() - self._renewed > BEAT
        self._refused = {pk: until for pk, until in self._refused.items() if until > begun}
        tokens = await self._db(self._owning, stores.keep, self.holder, renew)
        if renew:
            self._renewed = begun
        rows = await self._db(self._owning, stores.rows_of, tokens)
        self._stop([pk for pk in self._watched if self._ended(pk, tokens, rows)])
        surplus = await self._db(self._owning, stores.surplus, tokens, rows)
        self._stop([pk for pk in surplus if pk in self._watched])
        if surplus:
            await self._db(self._owning, stores.release, self.holder, surplus)
        waiting = self._watched.keys() | set(surplus) | self._refused.keys()
        fresh = [pk for pk in rows if pk not in waiting]
        if fresh:
            files_check(len(rows))
        for start in range(0, len(fresh), STARTS):
            await self._start([rows[pk] for pk in fresh[start : start + STARTS]], tokens)
        for pk, watched in self._watched.items():
            changed = watched.row.facts != rows[pk].facts
            watched.row = rows[pk]
            if changed:
                watched.member.touch()

    def _ended(self, pk: str, tokens: Mapping[str, int], rows: Mapping[str, Row]) -> bool:
        """Does this member have to go, or to be started anew?"""
        watched, row = self._watched[pk], rows.get(pk)
        ours = tokens.get(pk) == watched.fence.token
        return not ours or row is None or row.stamp != watched.row.stamp or watched.task.done()

    async def _start(self, rows: Sequence[Row], tokens: Mapping[str, int]) -> None:
        found = await self._db(self._owning, stores.connections_of, [row.pk for row in rows])
        for row in rows:
            fence = Fence(row.pk, self.holder, tokens[row.pk])
            connection = found.get(row.pk)
            if isinstance(connection, Connection):
                self._watched[row.pk] = self._watch(row, fence, connection)
            elif connection is not None:
                self._refused[row.pk] = _now() + REFUSED_FOR
                with suppress(FenceLost):
                    reason = connection.message
                    call = partial(stores.contact_store, fence, Contact.REFUSED, reason)
                    await self._db(self._storing, call)

    def _watch(self, row: Row, fence: Fence, connection: Connection) -> Watched:
        cache, pk = Cache(), row.pk

        async def report(contact: Contact, reason: str) -> None:
            await self._report(pk, contact, reason)

        async def flush() -> None:
            await self._flush(pk)

        client = StreamClient(connection, self._connects)
        companions = self._companions_of(fence, cache)
        member = Member(
            client, row.uid, cache, report, flush, lists=self._lists, companions=companions
        )
        task = asyncio.create_task(member.run(), name=f"member-{row.name}")
        return Watched(row, fence, member, task, cache)

    def _companions_of(self, fence: Fence, cache: Cache) -> Sequence[Companion]:
        """What runs beside the watches of a cluster."""
        return [self._metrics.companion(fence.cluster, fence.token, lambda: cache.pods)]

    def _stop(self, pks: Sequence[str]) -> None:
        for pk in pks:
            watched = self._watched.pop(pk)
            if watched.task.done() and not watched.task.cancelled():
                error = watched.task.exception()
                log.error("member.ended", extra={"cluster": watched.row.name}, exc_info=error)
            watched.task.cancel()

    async def _report(self, pk: str, contact: Contact, reason: str) -> None:
        """A good contact with a cluster that is fine is not worth a write; `seen` covers it."""
        watched = self._watched.get(pk)
        if watched is None or (contact is Contact.OK and watched.row.quiet):
            return
        try:
            await self._db(self._storing, stores.contact_store, watched.fence, contact, reason)
        except FenceLost:
            self._stop([pk])
        except Error:
            log.warning("collector.contact_lost", exc_info=True, extra={"cluster": pk})

    async def _flush(self, pk: str) -> None:
        watched = self._watched.get(pk)
        if watched is None:
            return
        what = Seen.of(watched.cache)
        watched.storing = True
        try:
            await self._db(self._storing, stores.seen_store, watched.fence, what)
        except asyncio.CancelledError:
            watched.cache.dirty |= what.dirty  # the session ended: perhaps it was never begun
            raise
        except FenceLost:
            self._stop([pk])
        except (OperationalError, InterfaceError):
            log.warning("collector.store_delayed", exc_info=True, extra={"cluster": pk})
            watched.cache.dirty |= what.dirty
            await asyncio.sleep(AGAIN)
            watched.member.touch()
        except Error:
            log.exception("collector.store_refused", extra={"cluster": pk})
        finally:
            watched.storing = False

    async def _beat(self) -> None:
        """Say that we live, and that what is stored of live members is still true."""
        for number in itertools.count():
            alive = [pk for pk, watched in self._watched.items() if watched.current]
            try:
                await self._db(self._owning, stores.beat, self.holder, alive)
                if number % PRUNE_EVERY == 0:
                    await self._db(self._owning, stores.prune)
            except Exception:
                log.exception("collector.beat_failed")
            await asyncio.sleep(BEAT)

    async def _db(
        self, thread: ThreadPoolExecutor, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        def work() -> R:
            try:
                return call(*args, **kwargs)
            except Error:  # perhaps the connection is the problem
                connections.close_all()
                raise

        return await asyncio.get_running_loop().run_in_executor(thread, work)


def _now() -> float:
    return asyncio.get_running_loop().time()
