"""All clusters: who is watched, what is stored, and that only one collector does it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from clusters.collector.cache import STORED, Cache
from clusters.collector.member import Member
from clusters.engine.health import Contact
from clusters.models import Check, Cluster
from clusters.services.checks import check_request, checks_prune
from clusters.services.connections import connection_of
from clusters.services.observation import (
    contact_record,
    inventory_store,
    objects_store,
    seen,
    tell,
)
from clusters.services.probing import PROBE_EVERY, TASK
from fleetportal.kit.errors import PortalError
from fleetportal.pulse import heartbeats, leases

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between looks at the list of clusters
PRUNE_EVERY = 720  # beats: once an hour
BEAT = 5.0  # seconds between heartbeats and "still true" stamps
LEASE = 15.0

P = ParamSpec("P")
R = TypeVar("R")
Stamp = tuple[object, ...]


@dataclass
class Watched:
    """A member with what it was started from."""

    member: Member
    task: asyncio.Task[None]
    stamp: Stamp  # changes of it mean a new start
    facts: Stamp  # changes of it mean storing again
    row: Cluster
    cache: Cache = field(repr=False)

    @property
    def current(self) -> bool:
        """What is stored is what the cluster holds: all is watched, nothing left to store."""
        return self.member.alive and not self.cache.dirty


class Fleet:
    """Database work happens on one thread: SQLite has one writer anyway."""

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}
        self._thread = ThreadPoolExecutor(1, "collector-db")

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        beat = asyncio.create_task(self._beat())
        try:
            while not stop.is_set():
                await self._look_safely()
                try:
                    await asyncio.wait_for(stop.wait(), LOOK)
                except TimeoutError:
                    continue
        finally:
            tasks = [beat, *(watched.task for watched in self._watched.values())]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._thread.shutdown(wait=True)

    async def _look_safely(self) -> None:
        """A database that is busy or away for a moment must not end the collector."""
        try:
            await self._look()
        except Exception:
            log.exception("collector.look_failed")

    async def _look(self) -> None:
        """Start members for new clusters, restart changed ones, stop those that left."""
        if not await self._db(_hold):
            self._stop(list(self._watched))
            return
        rows = await self._db(_rows)
        self._stop([pk for pk in self._watched if pk not in rows])
        for pk, (row, stamp, facts) in rows.items():
            watched = self._watched.get(pk)
            if watched is not None and (watched.stamp != stamp or watched.task.done()):
                self._stop([pk])
                watched = None
            if watched is None:
                await self._start(row, stamp, facts)
                continue
            watched.row = row
            if watched.facts != facts:
                watched.facts = facts
                watched.member.touch()

    async def _start(self, row: Cluster, stamp: Stamp, facts: Stamp) -> None:
        pk = str(row.pk)
        try:
            connection = await self._db(connection_of, row)
        except PortalError as error:
            await self._report(pk, Contact.REFUSED, error.message)
            return
        cache = Cache()

        async def report(contact: Contact, reason: str) -> None:
            await self._report(pk, contact, reason)

        async def flush() -> None:
            await self._flush(pk)

        member = Member(connection, row.uid, cache, report, flush)
        task = asyncio.create_task(member.run(), name=f"member-{row.name}")
        self._watched[pk] = Watched(member, task, stamp, facts, row, cache)

    def _stop(self, pks: list[str]) -> None:
        for pk in pks:
            watched = self._watched.pop(pk)
            if watched.task.done() and not watched.task.cancelled():
                name = watched.row.name
                log.error(
                    "member.ended", extra={"cluster": name}, exc_info=watched.task.exception()
                )
            watched.task.cancel()

    async def _report(self, pk: str, contact: Contact, reason: str) -> None:
        """A good contact with a cluster that is fine is not worth a write; `seen` covers it."""
        watched = self._watched.get(pk)
        if watched is not None:
            row = watched.row
            quiet = row.state == "ready" and not row.failures and not row.successes
            if contact is Contact.OK and quiet:
                return
        await self._db(_record, pk, contact, reason)

    async def _flush(self, pk: str) -> None:
        watched = self._watched.get(pk)
        if watched is None:
            return
        dirty = watched.cache.take()
        objects = {kind: watched.cache.objects(kind) for kind in dirty | {"Node", "Pod"}}
        await self._db(_store, pk, dirty, objects)

    async def _beat(self) -> None:
        """Say that we live, and that what is stored of live members is still true."""
        for number in itertools.count():
            alive = [pk for pk, watched in self._watched.items() if watched.current]
            try:
                await self._db(_beat, alive)
                if number % PRUNE_EVERY == 0:
                    await self._db(checks_prune)
            except Exception:
                log.exception("collector.beat_failed")
            await asyncio.sleep(BEAT)

    async def _db(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        def work() -> R:
            close_old_connections()
            return call(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _hold() -> bool:
    return leases.hold("collector", seconds=LEASE) is not None


def _rows() -> dict[str, tuple[Cluster, Stamp, Stamp]]:
    """Clusters to watch: identified ones, with what makes a restart or a fresh write needed."""
    rows = (
        Cluster.objects.managed()
        .exclude(uid="")
        .defer("pools_packed", "nodes_packed")
        .prefetch_related("quotas")
    )
    return {str(row.pk): (row, _stamp(row), _facts(row)) for row in rows}


def _stamp(row: Cluster) -> Stamp:
    return (row.server, row.credential_version, row.uid)


def _facts(row: Cluster) -> Stamp:
    quotas = sorted((q.instance_type, q.nodes, q.capacity_type) for q in row.quotas.all())
    return (row.capabilities.get("provisioner"), row.provider, row.region, *quotas)


def _record(pk: str, contact: Contact, reason: str) -> None:
    cluster = Cluster.objects.filter(pk=pk).first()
    if cluster is not None:
        contact_record(cluster=cluster, contact=contact, reason=reason)


def _store(
    pk: str,
    dirty: set[str],
    objects: dict[str, list[dict[str, object]]],
) -> None:
    cluster = Cluster.objects.prefetch_related("quotas").filter(pk=pk).first()
    if cluster is None:
        return
    changed = False
    if dirty & {"Node", "Pod"}:
        at = timezone.now()
        inventory_store(cluster=cluster, nodes=objects["Node"], pods=objects["Pod"], at=at)
    for kind in dirty & STORED:
        bodies = objects[kind]
        if kind == "Pod":
            bodies = [b for b in bodies if _owned(b)]
        changed |= objects_store(
            cluster=cluster,
            kind=kind,
            bodies=bodies,
            install=settings.INSTALL_ID,
        )
    if changed:
        tell(cluster)


def _owned(body: dict[str, object]) -> bool:
    metadata = body.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    return isinstance(labels, dict) and "kaito.sh/workspace" in labels


def _beat(alive: list[str]) -> None:
    now = timezone.now()
    heartbeats.beat("collector", "collector")
    seen(alive, now)
    due = Cluster.objects.managed().filter(pk__in=alive, probed_at__lt=now - PROBE_EVERY)
    open_checks = Check.objects.filter(kind=TASK, state__in=["pending", "running"])
    for cluster in due.exclude(pk__in=open_checks.values("cluster_id"))[:20]:
        check_request(kind=TASK, cluster=cluster)
