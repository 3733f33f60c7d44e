"""What a scrape brought, into rows: counters, ticks, cards and minutes in one transaction.

All is made ready before the transaction begins; inside it the watch's fencing token decides, so
that a collector whose lease went to another one stores nothing. Nothing here calls a cluster.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db import transaction

from clusters.engine.telemetry.looks import (
    NOT_ALLOWED,
    Known,
    Look,
    added,
    look,
    vanished,
)
from clusters.engine.telemetry.minutes import Minute, gathered
from clusters.engine.telemetry.packing import pack_readings, pack_tick, unpack_readings, unpack_tick
from clusters.engine.telemetry.types import Scrape, Tick
from clusters.models import Cluster, GpuHour, ServingTick, Telemetry, Watch
from clusters.selectors.telemetry import decode_samples, decode_serving
from clusters.services.heat import heat_store
from clusters.services.telemetry_hours import HOUR_COLUMNS, minute_closed
from clusters.services.telemetry_rollups import floor, rolled_up
from fleetportal.kit.news import changed

log = logging.getLogger(__name__)

FINE = 15  # seconds of the shortest tick
_encoder = msgspec.msgpack.Encoder()
_minute = msgspec.msgpack.Decoder(Minute)
_COLUMNS = (
    *("road", "at", "problem", "gpus_at"),
    *("gpus_packed", "serving_packed", "counters_packed", "minute_packed"),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One scrape of a cluster, and the fencing token of the watch that it was made under."""

    cluster_id: UUID
    scrape: Scrape
    token: int


class Stored(NamedTuple):
    """Which clusters were stored, and for how many seconds the database was held."""

    clusters: set[UUID]
    held: float


@dataclass(slots=True)
class _Draft:
    """Rows that one scrape becomes."""

    seen: Seen
    row: Telemetry
    ticks: list[ServingTick] = field(default_factory=list)
    hours: list[GpuHour] = field(default_factory=list)
    topics: set[str] = field(default_factory=set)
    heat: bool = False


def telemetry_store(*, cluster: Cluster, scrape: Scrape, token: int) -> bool:
    """Store one scrape. False: the watch is not ours any more, or its numbers cannot be used."""
    return cluster.pk in looks_store([Seen(cluster.pk, scrape, token)]).clusters


def looks_store(looks: Sequence[Seen]) -> Stored:
    """Store scrapes of several clusters in one transaction.

    At most one scrape for each cluster. The base of the next differences and the ticks commit
    together: a crash loses what was not stored yet, and nothing counts twice.
    """
    rows = Telemetry.objects.in_bulk([seen.cluster_id for seen in looks])
    drafts = [_safely(seen, rows.get(seen.cluster_id)) for seen in looks]
    began = time.monotonic()
    with transaction.atomic():
        tokens = dict(
            Watch.objects.select_for_update()
            .filter(cluster_id__in=[seen.cluster_id for seen in looks])
            .values_list("cluster_id", "lease_token")
        )
        ours = [
            draft
            for draft in drafts
            if draft is not None and tokens.get(draft.seen.cluster_id) == draft.seen.token
        ]
        _write(ours)
        changed(*sorted({topic for draft in ours for topic in draft.topics}))
    held = time.monotonic() - began
    for draft in ours:
        if draft.heat:
            heat_store(cluster=Cluster(pk=draft.seen.cluster_id), at=_moment(draft.seen.scrape.at))
    return Stored({draft.seen.cluster_id for draft in ours}, held)


def _write(drafts: Sequence[_Draft]) -> None:
    Telemetry.objects.bulk_create(
        [draft.row for draft in drafts],
        update_conflicts=True,
        unique_fields=["cluster"],
        update_fields=_COLUMNS,
    )
    ticks_write(tick for draft in drafts for tick in draft.ticks)
    GpuHour.objects.bulk_create(
        [hour for draft in drafts for hour in draft.hours],
        update_conflicts=True,
        unique_fields=["cluster", "hour"],
        update_fields=HOUR_COLUMNS,
    )


def ticks_write(ticks: Iterable[ServingTick]) -> None:
    """Write or replace; the caller holds the transaction."""
    ServingTick.objects.bulk_create(
        list(ticks),
        update_conflicts=True,
        unique_fields=["cluster", "subject", "resolution", "at"],
        update_fields=["packed"],
    )


def _safely(seen: Seen, row: Telemetry | None) -> _Draft | None:
    """One cluster's nonsense must not cost the others their scrape.

    Where the stored base cannot be read, this look becomes the first one.
    """
    new = Telemetry(cluster_id=seen.cluster_id)
    for base in (row or new, new):
        try:
            return _draft(seen, base)
        except (ValueError, OverflowError, msgspec.MsgspecError):
            log.exception("telemetry.draft_failed", extra={"cluster": str(seen.cluster_id)})
    return None


def _draft(seen: Seen, row: Telemetry) -> _Draft:
    scrape = seen.scrape
    draft = _Draft(seen, row)
    row.road, row.problem = scrape.road, _problem(scrape)
    if scrape.problem and not scrape.readings and not scrape.gpus:
        draft.topics = {f"heat:{seen.cluster_id}"}
        return draft
    known = _known(row)
    found = look(known, scrape)
    _past(draft, known, found)
    _present(draft, known, found)
    return draft


def _past(draft: _Draft, known: Known, found: Look) -> None:
    """What is complete since the look before: minutes, hours, objects that are gone."""
    at, pk = draft.seen.scrape.at, draft.seen.cluster_id
    if known.at is None or at <= known.at:
        return
    turned = at // 60 != known.at // 60
    ended = (
        {pod.subject for pod in known.serving} if turned else vanished(known.serving, found.serving)
    )
    if ended:
        hour = at // 3600 != known.at // 3600
        gone = vanished(known.serving, found.serving)
        draft.ticks += rolled_up(pk, ended, known.at, hours=ended if hour else gone)
    if turned:
        minute = _minute_of(draft.row)
        draft.hours += minute_closed(pk, known.at, minute, known.gpus)


def _present(draft: _Draft, known: Known, found: Look) -> None:
    row, at = draft.row, draft.seen.scrape.at
    start = _moment(floor(at, FINE))
    draft.ticks += [
        ServingTick(
            cluster_id=row.pk,
            subject=subject,
            resolution=FINE,
            at=start,
            packed=pack_tick(tick),
        )
        for subject, tick in _joined(row, known, found, start).items()
    ]
    if found.gpus is not None:
        minute = gathered(_minute_of(row), known.gpus, found.gpus, at)
        row.minute_packed = _encoder.encode(minute)
        row.gpus_packed = _encoder.encode(found.gpus)
        row.gpus_at = _moment(at)
        draft.heat = True
    row.at = _moment(at)
    row.serving_packed = _encoder.encode(found.serving)
    row.counters_packed = pack_readings(found.readings)
    subjects = {f"serving:{row.pk}:{pod.subject}" for pod in found.serving}
    draft.topics = {f"heat:{row.pk}", "fleet", *subjects}


def _joined(row: Telemetry, known: Known, found: Look, start: datetime) -> dict[str, Tick]:
    """The ticks, each with what was stored for the same 15 s before (a restart in between)."""
    ticks = dict(found.ticks)
    if known.at is None or floor(known.at, FINE) != start.timestamp():
        return ticks
    stored = ServingTick.objects.filter(
        cluster_id=row.pk, subject__in=list(ticks), resolution=FINE, at=start
    )
    for subject, packed in stored.values_list("subject", "packed"):
        ticks[subject] = added(unpack_tick(bytes(packed)), ticks[subject])
    return ticks


def _known(row: Telemetry) -> Known:
    return Known(
        at=row.at.timestamp() if row.at else None,
        readings=unpack_readings(bytes(row.counters_packed)),
        gpus=decode_samples(row.gpus_packed),
        serving=decode_serving(row.serving_packed),
    )


def _minute_of(row: Telemetry) -> Minute | None:
    return _minute.decode(row.minute_packed) if row.minute_packed else None


def _problem(scrape: Scrape) -> str:
    """Why there is nothing; else what is missing for want of a permission."""
    missing = (words for words in scrape.problems.values() if words.startswith(NOT_ALLOWED))
    return scrape.problem or next(missing, "")


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
