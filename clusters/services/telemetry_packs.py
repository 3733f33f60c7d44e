"""Ticks of one series into one row: the minutes of an hour, the hours of a day, once it is over.

At every commit a tick is a row or in a pack; while it is both, the row is the newer one. So a kill
in between loses and doubles nothing, and doing it again changes nothing. A tick that comes late is
a row again, and joins its pack the next time.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from clusters.engine.telemetry.packing import pack_ticks, unpack_tick, unpack_ticks
from clusters.engine.telemetry.types import Tick
from clusters.models import ServingPack, ServingTick, Watch
from clusters.models.telemetry import SPANS

log = logging.getLogger(__name__)

SETTLED = timedelta(minutes=15)  # after the end of a span; fresh figures are read from rows alone
SCANNED = 240  # rows that are looked at for what is due, the oldest first
SERIES = 6  # packed in one transaction


class Due(NamedTuple):
    """Series of one cluster that have rows in a span that is over."""

    cluster_id: UUID
    resolution: int
    start: datetime
    subjects: tuple[str, ...]


def packs_due(now: datetime, *, most: int) -> list[Due]:
    """What is to be packed next, the oldest first, at most so many of each length of tick.

    One query each. Empty: all is packed.
    """
    return [due for resolution in SPANS for due in _due(resolution, now - SETTLED)[:most]]


def _due(resolution: int, before: datetime) -> list[Due]:
    rows = ServingTick.objects.filter(
        resolution=resolution, at__lt=start_of(before, resolution)
    ).order_by("at")
    found: dict[tuple[UUID, datetime], dict[str, None]] = defaultdict(dict)
    for cluster_id, subject, at in rows.values_list("cluster_id", "subject", "at")[:SCANNED]:
        found[cluster_id, start_of(at, resolution)][subject] = None
    return [
        Due(cluster_id, resolution, start, tuple(subjects)[first : first + SERIES])
        for (cluster_id, start), subjects in found.items()
        for first in range(0, len(subjects), SERIES)
    ]


def span_pack(due: Due) -> float:
    """Pack what is due. Seconds that the database was held.

    All is made ready before the transaction; where somebody wrote meanwhile it does nothing, and
    the span stays due. Under the watch's lock, as everybody writes ticks; one cluster's, so that
    nobody can wait for us while we wait for them. A series that cannot be read stays as it is.
    """
    held, rows = _packed(due), _rows(due)
    read = {subject: _joined(due, subject, held.get(subject), rows[subject]) for subject in rows}
    packs = _made(due, {subject: ticks for subject, ticks in read.items() if ticks is not None})
    gone = [pk for pack in packs for pk, _, _ in rows[pack.subject]]
    began = time.monotonic()
    with transaction.atomic():
        Watch.objects.select_for_update().filter(cluster_id=due.cluster_id).first()
        if (_packed(due), _rows(due)) == (held, rows):
            _write(packs)
            ServingTick.objects.filter(pk__in=gone).delete()
    return time.monotonic() - began


def ticks_fill(
    cluster_id: UUID, resolution: int, ticks: Mapping[str, Mapping[datetime, Tick]]
) -> None:
    """Put ticks of the past into packs, by subject and start: those of which there are none yet.

    The caller holds the transaction and the watch.
    """
    spans: dict[datetime, dict[str, dict[int, Tick]]] = defaultdict(lambda: defaultdict(dict))
    for subject, held in ticks.items():
        for at, tick in held.items():
            start = start_of(at, resolution)
            spans[start][subject][_place(at, start, resolution)] = tick
    for start, series in spans.items():
        _fill(Due(cluster_id, resolution, start, tuple(series)), series)


def _fill(due: Due, series: Mapping[str, Mapping[int, Tick]]) -> None:
    held, rows = _packed(due), _rows(due)
    packs: dict[str, Mapping[int, Tick]] = {}
    for subject, more in series.items():
        known = _joined(due, subject, held.get(subject), rows[subject])
        if known is not None and not more.keys() <= known.keys():
            packs[subject] = {**more, **known}
    _write(_made(due, packs))


def start_of(at: datetime, resolution: int) -> datetime:
    """Of the span that a tick of so many seconds is in."""
    span = SPANS[resolution]
    return datetime.fromtimestamp(at.timestamp() // span * span, UTC)


def _place(at: datetime, start: datetime, resolution: int) -> int:
    place, rest = divmod(at - start, timedelta(seconds=resolution))
    if rest:
        raise ValueError(f"a tick of {resolution} s cannot begin at {at:%H:%M:%S.%f}")
    return place


def _packed(due: Due) -> dict[str, bytes]:
    rows = ServingPack.objects.filter(
        cluster_id=due.cluster_id,
        subject__in=due.subjects,
        resolution=due.resolution,
        start=due.start,
    )
    return {subject: bytes(packed) for subject, packed in rows.values_list("subject", "packed")}


Row = tuple[int, datetime, bytes]  # number, start, packed


def _rows(due: Due) -> dict[str, list[Row]]:
    rows = ServingTick.objects.filter(
        cluster_id=due.cluster_id,
        subject__in=due.subjects,
        resolution=due.resolution,
        at__gte=due.start,
        at__lt=due.start + timedelta(seconds=SPANS[due.resolution]),
    ).order_by("at")
    found: dict[str, list[Row]] = defaultdict(list)
    for subject, pk, at, packed in rows.values_list("subject", "pk", "at", "packed"):
        found[subject].append((pk, at, bytes(packed)))
    return found


def _joined(
    due: Due, subject: str, packed: bytes | None, rows: Sequence[Row]
) -> dict[int, Tick] | None:
    """By place; None: something in it cannot be read."""
    try:
        held = unpack_ticks(packed) if packed else {}
        new = {_place(at, due.start, due.resolution): unpack_tick(one) for _, at, one in rows}
    except ValueError:
        words = {"cluster": str(due.cluster_id), "subject": subject, "start": str(due.start)}
        log.exception("telemetry.pack_failed", extra=words)
        return None
    return held | new


def _made(due: Due, packs: Mapping[str, Mapping[int, Tick]]) -> list[ServingPack]:
    return [
        ServingPack(
            cluster_id=due.cluster_id,
            subject=subject,
            resolution=due.resolution,
            start=due.start,
            packed=pack_ticks(ticks),
        )
        for subject, ticks in packs.items()
    ]


def _write(packs: Sequence[ServingPack]) -> None:
    ServingPack.objects.bulk_create(
        packs,
        update_conflicts=True,
        unique_fields=["cluster", "subject", "resolution", "start"],
        update_fields=["packed"],
    )
