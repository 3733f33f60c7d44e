"""How a deployment served over a time: ticks of its workspaces as points of charts. Pure.

A point without a tick is a gap; a signal that is missing from a tick had no data; a signal that
no tick exports is not exported by that runtime. None of these is ever 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from clusters.engine.telemetry.differences import merge, together
from clusters.engine.telemetry.quantiles import Quantile, mean_of, quantile
from clusters.engine.telemetry.types import Tick

QUANTILES = (0.5, 0.95, 0.99)
MINUTE, HOUR, DAY = 60, 3600, 86400


class Range(NamedTuple):
    """How far back (seconds), one point for `step` seconds, out of stored ticks of `source` s."""

    key: str
    label: str
    seconds: int
    step: int
    source: int


RANGES = (
    Range("15m", "15 minutes", 15 * MINUTE, 30, 15),  # scrapes drift: in 30 s there is always one
    Range("1h", "1 hour", HOUR, 30, 15),
    Range("6h", "6 hours", 6 * HOUR, MINUTE, MINUTE),
    Range("24h", "24 hours", DAY, 5 * MINUTE, MINUTE),
    Range("7d", "7 days", 7 * DAY, HOUR, HOUR),
    Range("14d", "14 days", 14 * DAY, HOUR, HOUR),
    Range("30d", "30 days", 30 * DAY, 2 * HOUR, HOUR),
    Range("90d", "90 days", 90 * DAY, 6 * HOUR, HOUR),
)
BY_KEY: Mapping[str, Range] = {one.key: one for one in RANGES}
DEFAULT = BY_KEY["1h"]
EARLIER = 3  # points that tell how many workspaces are read
FINER = {HOUR: MINUTE, MINUTE: 15}  # what the end of a range is read from


class Stored(NamedTuple):
    """One stored tick. `at`: its start, unix seconds. `revision`: whose it is."""

    revision: int
    subject: str  # one workspace: cluster and object
    at: float
    tick: Tick


class Standing(NamedTuple):
    """A workspace that serves now, as far as anybody knows: its numbers are expected since then."""

    revision: int
    subject: str
    since: float  # unix seconds


class Line(NamedTuple):
    """One revision: a tick, or None for a gap, at each time of the chart.

    `counted`: how many of its workspaces are in each tick, and how many served then.
    """

    revision: int
    ticks: tuple[Tick | None, ...]
    counted: tuple[tuple[int, int], ...]

    def lacks(self, place: int) -> int:
        """Workspaces that the sum at this time leaves out; 0 in a gap, which has no sum."""
        measured, served = self.counted[place]
        return served - measured if self.ticks[place] is not None else 0

    @property
    def runtime(self) -> str:
        return next((tick.runtime for tick in reversed(self.ticks) if tick and tick.runtime), "")

    @property
    def exported(self) -> frozenset[str]:
        return frozenset(name for tick in self.ticks if tick for name in tick.exported)


def times(asked: Range, now: float) -> tuple[float, ...]:
    """The starts of the points, unix seconds on whole steps; the last one is in progress."""
    last = now // asked.step * asked.step
    return tuple(last - asked.step * i for i in reversed(range(asked.seconds // asked.step)))


def pieces(asked: Range, now: float) -> list[tuple[int, float, float]]:
    """What to read: (resolution, from, to). The last whole tick may not be rolled up yet."""
    start, found = times(asked, now)[0], []
    resolution = asked.source
    while resolution in FINER:
        end = max(start, (now - resolution) // resolution * resolution)
        found.append((resolution, start, end))
        start, resolution = end, FINER[resolution]
    return [*found, (resolution, start, now + resolution)]


def lines(
    stored: Iterable[Stored], asked: Range, now: float, standing: Iterable[Standing] = ()
) -> list[Line]:
    """One line for each revision, the newest first. Workspaces of one revision add up."""
    starts = times(asked, now)
    bins: Bins = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for one in stored:
        place = int((one.at - starts[0]) // asked.step)
        if 0 <= place < len(starts):
            bins[one.revision][place][one.subject].append(one.tick)
    spans = _spans(bins, starts, asked.step, standing)
    return [
        Line(
            revision,
            tuple(_joined(held.get(place)) for place in range(len(starts))),
            tuple(_counted(spans[revision], place, held) for place in range(len(starts))),
        )
        for revision, held in sorted(_arrived(bins, len(starts)).items(), reverse=True)
    ]


Bins = dict[int, dict[int, dict[str, list[Tick]]]]  # revision -> place -> subject -> ticks
Spans = dict[str, tuple[int, int]]  # subject -> the first and the last place of its life


def _spans(
    bins: Bins, starts: Sequence[float], step: int, standing: Iterable[Standing]
) -> dict[int, Spans]:
    """When each workspace of a revision served: from its first tick to its last; where it stands,
    from when it does, if that was before, to the end of the chart."""
    found: dict[int, Spans] = defaultdict(dict)
    for revision, held in bins.items():
        for place in sorted(held):
            for subject in held[place]:
                first, _ = found[revision].get(subject, (place, place))
                found[revision][subject] = (first, place)
    for one in standing:
        came = max(0, int((one.since - starts[0]) // step) + 1)
        first, _ = found[one.revision].get(one.subject, (came, came))
        found[one.revision][one.subject] = (min(first, came), len(starts) - 1)
    return found


def _counted(spans: Spans, place: int, held: Mapping[int, Mapping[str, object]]) -> tuple[int, int]:
    return len(held.get(place, ())), sum(first <= place <= last for first, last in spans.values())


def _arrived(bins: Bins, count: int) -> Bins:
    """Without the newest points for which not all workspaces have been read: they would dip."""
    for held in bins.values():
        before = range(count - 2 - EARLIER, count - 2)
        most = max((len(held.get(place, ())) for place in before), default=0)
        for place in (count - 1, count - 2):
            if place in held and len(held[place]) < most:
                del held[place]
    return bins


def _joined(subjects: Mapping[str, Sequence[Tick]] | None) -> Tick | None:
    if not subjects:
        return None
    merged = [ticks[0] if len(ticks) == 1 else merge(ticks) for ticks in subjects.values()]
    return merged[0] if len(merged) == 1 else together(merged)


# --- signals of one point -------------------------------------------------------------------------


def rate(tick: Tick | None, signal: str) -> float | None:
    """Per second; None: a gap, or no data."""
    if tick is None or signal not in tick.counters or tick.seconds <= 0:
        return None
    return tick.counters[signal] / tick.seconds


def error_share(tick: Tick | None) -> float | None:
    """0..1 of the requests that ended; None where none ended, or errors are unknown."""
    if tick is None or "errors" not in tick.counters or not tick.counters.get("requests"):
        return None
    return min(1.0, tick.counters["errors"] / tick.counters["requests"])


def gauge(tick: Tick | None, signal: str) -> float | None:
    return None if tick is None else tick.gauges.get(signal)


def latency(tick: Tick | None, signal: str, q: float) -> Quantile | None:
    """Seconds with the bucket's interval."""
    return None if tick is None else quantile(tick.histograms.get(signal), q)


def mean_latency(tick: Tick | None, signal: str) -> float | None:
    """Seconds, where a runtime tells a mean and no distribution."""
    if tick is None or signal in tick.histograms:
        return None
    return mean_of(tick, signal)


def rounded(value: float | None) -> float | None:
    """Four significant digits: what a chart and a table can show."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.4g}")
