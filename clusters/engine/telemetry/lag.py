"""Looks that a Prometheus shows late: one of a pair that scrape at different moments. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import msgspec

from clusters.engine.telemetry.differences import restarted
from clusters.engine.telemetry.types import RuntimeReading


def caught_up(
    known: Mapping[str, RuntimeReading], found: Mapping[str, RuntimeReading]
) -> dict[str, RuntimeReading]:
    """By pod: what was found, never behind what is known of the same process; then its gauges
    alone are news.

    The API server's proxy asks any replica of a Prometheus, and the portal's own looks may have
    been fresher than its. Taken for restarts, late looks would count all history again and again.
    """
    return {uid: _caught_up(known.get(uid), now) for uid, now in found.items()}


def _caught_up(before: RuntimeReading | None, now: RuntimeReading) -> RuntimeReading:
    if before is None or not _late(before, now):
        return now
    return msgspec.structs.replace(before, gauges=now.gauges, exported=now.exported)


def _late(before: RuntimeReading, now: RuntimeReading) -> bool:
    """Something fell, and all together by less than half: a new process begins from nothing."""
    if before.runtime != now.runtime or not restarted(before, now):
        return False
    if any(h.bounds != now.histograms.get(name, h).bounds for name, h in before.histograms.items()):
        return False
    return 2 * _events(now) >= _events(before)


def _events(reading: RuntimeReading) -> int:
    return sum(
        chain(
            reading.counters.values(),
            (held.count for held in reading.histograms.values()),
            (count for _, count in reading.means.values()),
        )
    )
