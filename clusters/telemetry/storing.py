"""Scrapes on their way into the database: many clusters in one short transaction.

At most one scrape of each cluster waits; a newer one takes its place, and the next differences
span both. So a slow database costs resolution and never memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import ParamSpec, TypeVar
from uuid import UUID

from django.db import DataError, IntegrityError, close_old_connections, connections
from django.utils import timezone

from clusters.engine.telemetry.types import Scrape
from clusters.services.telemetry import Seen, looks_store
from clusters.services.telemetry_packs import packs_due, span_pack
from clusters.services.telemetry_retention import hours_prune, ticks_prune
from fleetportal.pulse import leases

log = logging.getLogger(__name__)

LONGEST = 0.05  # seconds of a transaction; batches shrink above it
LEAST, MOST = 4, 40  # clusters in one transaction
PAUSE = 0.02  # seconds between two transactions, so that others may write
PRUNE_EVERY = 5.0  # seconds
PRUNES = 8  # steps that delete, at most, each time
PACKS = 10  # transactions that pack ticks of each length, at most, each time
LEASE = 30.0

P = ParamSpec("P")
R = TypeVar("R")


class Storer:
    """One per process. Its database work happens on one thread of its own."""

    def __init__(self, *, prune_every: float = PRUNE_EVERY) -> None:
        self._prune_every = prune_every
        self._waiting: dict[UUID, Seen] = {}
        self._rung = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "telemetry-db")
        self._size = 10
        self.stored = 0  # scrapes
        self.packed = 0  # spans of ticks
        self.lost = 0  # scrapes whose watch was not ours any more
        self.slowest = 0.0  # seconds that the database was held at most

    def put(self, cluster_id: UUID, scrape: Scrape, token: int) -> None:
        """Store it soon. Never waits."""
        self._waiting[cluster_id] = Seen(cluster_id, scrape, token)
        self._rung.set()

    async def run(self) -> None:
        """Until cancelled. What still waits is then lost, as by a crash."""
        pruning = asyncio.create_task(self._prune())
        try:
            while True:
                await self._rung.wait()
                await self._store(self._take())
                await asyncio.sleep(PAUSE)
        finally:
            pruning.cancel()
            self._thread.submit(connections.close_all)
            self._thread.shutdown(wait=True)

    async def call(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run database work on the thread, after what is under way."""

        def guarded() -> R:
            close_old_connections()
            return work(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _take(self) -> list[Seen]:
        keys = list(self._waiting)[: self._size]
        taken = [self._waiting.pop(key) for key in keys]
        if not self._waiting:
            self._rung.clear()
        return taken

    async def _store(self, looks: Sequence[Seen]) -> None:
        try:
            stored = await self.call(looks_store, looks)
        except (DataError, IntegrityError) as error:
            await self._apart(looks, error)
            return
        except Exception:  # a database that is away: the next scrape spans this one
            log.exception("telemetry.store_failed")
            return
        self.stored += len(stored.clusters)
        self.lost += len(looks) - len(stored.clusters)
        self.slowest = max(self.slowest, stored.held)
        long = stored.held > LONGEST
        self._size = max(LEAST, self._size // 2) if long else min(MOST, self._size + 1)

    async def _apart(self, looks: Sequence[Seen], error: Exception) -> None:
        """The database refuses one cluster's values: the others are stored without it."""
        if len(looks) > 1:
            for look in looks:
                await self._store([look])
            return
        log.error("telemetry.refused", extra={"cluster": str(looks[0].cluster_id)}, exc_info=error)

    async def _prune(self) -> None:
        """One process at a time; a step at a time, so that scrapes need not wait."""
        while True:
            await asyncio.sleep(self._prune_every)
            try:
                if await self.call(leases.hold, "telemetry-retention", seconds=LEASE) is not None:
                    await self._tidy(timezone.now())
            except Exception:
                log.exception("telemetry.prune_failed")

    async def _tidy(self, now: datetime) -> None:
        """Delete what is too old, pack what is over."""
        for _ in range(PRUNES):
            gone = await self.call(ticks_prune, now, batches=1)
            if not gone + await self.call(hours_prune, now, batches=1):
                break
            await asyncio.sleep(PAUSE)
        for due in await self.call(packs_due, now, most=PACKS):
            self.slowest = max(self.slowest, await self.call(span_pack, due))
            self.packed += 1
            await asyncio.sleep(PAUSE)
