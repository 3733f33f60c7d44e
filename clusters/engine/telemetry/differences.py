"""What happened between two looks at a pod, as exact integers, and what the pods did together.

A counter that fell has started again with its process: then everything that it shows is new, for
all counters of that process. Rules: Prometheus' counter semantics, without its extrapolation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import accumulate
from typing import NamedTuple

from clusters.engine.telemetry.types import Histogram, PodCount, RuntimeReading, Tick

_SUMS = ("running", "waiting", "download_speed")  # over pods; other gauges are means
_DERIVED = ("errors",)  # put together from what a page has: may fall when its source changes
_LONGEST = ("download_left",)  # the last pod to finish decides


class Difference(NamedTuple):
    """New since the look before. A signal without a value before or now is missing, not 0."""

    counters: Mapping[str, int]
    histograms: Mapping[str, Histogram]
    means: Mapping[str, tuple[float, int]]  # seconds, count
    reset: bool


class PodSpan(NamedTuple):
    """One pod over one span. `first_counts`: without a `before`, all that it shows is new.

    Set it for a pod that appeared while we watched the cluster; not for one that had been running
    when we first looked, whose history would fall into one tick.
    """

    pod: str
    uid: str
    before: RuntimeReading | None
    now: RuntimeReading
    first_counts: bool


def difference(
    before: RuntimeReading | None, now: RuntimeReading, *, first_counts: bool
) -> Difference:
    """Never negative. `before` None and not `first_counts`: nothing is known of this span."""
    if before is None:
        if not first_counts:
            return Difference({}, {}, {}, False)
        return Difference(now.counters, now.histograms, now.means, False)
    if restarted(before, now):
        return Difference(now.counters, now.histograms, now.means, True)
    fell = {name for name, value in now.counters.items() if value < before.counters.get(name, 0)}
    return Difference(
        {
            name: value - before.counters.get(name, 0)
            for name, value in now.counters.items()
            if name not in fell
        },
        {name: _since(before.histograms.get(name), h) for name, h in now.histograms.items()},
        {name: _mean_since(before.means.get(name), m) for name, m in now.means.items()},
        False,
    )


def restarted(before: RuntimeReading, now: RuntimeReading) -> bool:
    """Whether any counter fell, or a histogram has other buckets: another process answers."""
    return (
        before.runtime != now.runtime
        or any(
            now.counters.get(name, value) < value
            for name, value in before.counters.items()
            if name not in _DERIVED
        )
        or any(
            name in now.histograms and _fell(held, now.histograms[name])
            for name, held in before.histograms.items()
        )
        or any(name in now.means and now.means[name][1] < m[1] for name, m in before.means.items())
    )


def base(before: RuntimeReading | None, now: RuntimeReading) -> RuntimeReading:
    """What the next look is compared with: `now`, and what it left out as it was known before.

    Without this a signal that one scrape could not read would come back with its whole history.
    """
    if before is None or restarted(before, now):
        return now
    return RuntimeReading(
        runtime=now.runtime,
        model=now.model or before.model,
        counters={**before.counters, **now.counters},
        histograms={**before.histograms, **now.histograms},
        gauges=now.gauges,
        means={**before.means, **now.means},
        exported=now.exported,
    )


def _fell(before: Histogram, now: Histogram) -> bool:
    """Each bucket counts what is at or below its bound: that is what may never fall."""
    if before.bounds != now.bounds:
        return True
    pairs = zip(accumulate(before.counts), accumulate(now.counts), strict=True)
    return any(new < old for old, new in pairs)


def _since(before: Histogram | None, now: Histogram) -> Histogram:
    """By cumulative counts: one grows no less than the one below it, and no more than all."""
    if before is None:
        return now
    pairs = zip(accumulate(before.counts), accumulate(now.counts), strict=True)
    most = now.count - before.count
    grown = [min(most, lifted) for lifted in accumulate((new - old for old, new in pairs), max)]
    counts = (here - below for here, below in zip(grown, [0, *grown], strict=False))
    return Histogram(now.bounds, tuple(counts), _not_below_0(now.total - before.total))


def _mean_since(before: tuple[float, int] | None, now: tuple[float, int]) -> tuple[float, int]:
    if before is None:
        return now
    return _not_below_0(now[0] - before[0]), now[1] - before[1]


def _not_below_0(seconds: float) -> float:
    """NaN, a sum that is unknown, stays NaN."""
    return 0.0 if seconds < 0 else seconds


# --- pods to a tick, ticks to a longer one ------------------------------------------------------


def tick(spans: Sequence[PodSpan], *, seconds: float, pods_expected: int, road: str) -> Tick:
    """What the pods of one subject did together; `spans` are those that answered."""
    found = [difference(span.before, span.now, first_counts=span.first_counts) for span in spans]
    return Tick(
        seconds=seconds,
        pods_expected=max(pods_expected, len(spans)),
        pods_answered=len(spans),
        counters=_add_counts(part.counters for part in found),
        histograms=_add_histograms(part.histograms for part in found),
        gauges=_gauges_of_pods([span.now.gauges for span in spans]),
        means=_add_means(part.means for part in found),
        exported=_union(span.now.exported for span in spans),
        runtime=_last(span.now.runtime for span in spans),
        road=road,
        pods=tuple(
            PodCount(span.pod, span.uid, part.counters, part.histograms, part.reset)
            for span, part in zip(spans, found, strict=True)
        ),
    )


def merge(ticks: Sequence[Tick]) -> Tick:
    """One tick for the whole span of `ticks` (in order of time, at least one); no pods.

    Counts and histograms add up; gauges and pods are means over time. A gap adds no seconds.
    """
    seconds = math.fsum(part.seconds for part in ticks)
    return Tick(
        seconds=seconds,
        pods_expected=max(part.pods_expected for part in ticks),
        pods_answered=round(_over_time([(t.pods_answered, t.seconds) for t in ticks])),
        counters=_add_counts(part.counters for part in ticks),
        histograms=_add_histograms(part.histograms for part in ticks),
        gauges=_gauges_over_time(ticks),
        means=_add_means(part.means for part in ticks),
        exported=_union(part.exported for part in ticks),
        runtime=_last(part.runtime for part in ticks),
        road=_last(part.road for part in ticks),
    )


def together(ticks: Sequence[Tick]) -> Tick:
    """One tick for several subjects or clusters over the same span; no pods.

    Counts, running and waiting add up; the span is the longest one.
    """
    return Tick(
        seconds=max(part.seconds for part in ticks),
        pods_expected=sum(part.pods_expected for part in ticks),
        pods_answered=sum(part.pods_answered for part in ticks),
        counters=_add_counts(part.counters for part in ticks),
        histograms=_add_histograms(part.histograms for part in ticks),
        gauges=_gauges_of_pods([part.gauges for part in ticks]),
        means=_add_means(part.means for part in ticks),
        exported=_union(part.exported for part in ticks),
        runtime=_last(part.runtime for part in ticks),
        road=_last(part.road for part in ticks),
    )


def merge_histograms(one: Histogram, other: Histogram) -> Histogram:
    """Their sum. With other bounds: on those that both have, where counts are exact."""
    if one.bounds == other.bounds:
        counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
        return Histogram(one.bounds, counts, one.total + other.total)
    shared = sorted(set(one.bounds) & set(other.bounds))
    return merge_histograms(_coarser(one, shared), _coarser(other, shared))


def _coarser(histogram: Histogram, bounds: Sequence[float]) -> Histogram:
    counts = [0] * (len(bounds) + 1)
    at = 0
    for bound, held in zip((*histogram.bounds, math.inf), histogram.counts, strict=True):
        while at < len(bounds) and bounds[at] < bound:
            at += 1
        counts[at] += held
    return Histogram(tuple(bounds), tuple(counts), histogram.total)


def _add_counts(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            sums[name] = sums.get(name, 0) + value
    return sums


def _add_histograms(parts: Iterable[Mapping[str, Histogram]]) -> dict[str, Histogram]:
    held: dict[str, list[Histogram]] = {}
    for part in parts:
        for name, one in part.items():
            held.setdefault(name, []).append(one)
    return {name: _sum(histograms) for name, histograms in held.items()}


def _sum(histograms: Sequence[Histogram]) -> Histogram:
    first = histograms[0]
    if len(histograms) > 1 and all(one.bounds == first.bounds for one in histograms):
        columns = zip(*(one.counts for one in histograms), strict=True)
        total = math.fsum(one.total for one in histograms)
        return Histogram(first.bounds, tuple(map(sum, columns)), total)
    return reduce(merge_histograms, histograms)


def _add_means(parts: Iterable[Mapping[str, tuple[float, int]]]) -> dict[str, tuple[float, int]]:
    sums: dict[str, tuple[float, int]] = {}
    for part in parts:
        for name, (seconds, count) in part.items():
            held = sums.get(name, (0.0, 0))
            sums[name] = held[0] + seconds, held[1] + count
    return sums


def _gauges_of_pods(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for part in parts:
        for name, value in part.items():
            values.setdefault(name, []).append(value)
    return {name: _of_pods(name, held) for name, held in values.items()}


def _of_pods(name: str, values: list[float]) -> float:
    if name in _LONGEST:
        return max(values)
    return math.fsum(values) if name in _SUMS else math.fsum(values) / len(values)


def _gauges_over_time(ticks: Sequence[Tick]) -> dict[str, float]:
    values: dict[str, list[tuple[float, float]]] = {}
    for part in ticks:
        for name, value in part.gauges.items():
            values.setdefault(name, []).append((value, part.seconds))
    return {name: _over_time(held) for name, held in values.items()}


def _over_time(values: Sequence[tuple[float, float]]) -> float:
    """The mean of (value, seconds) by seconds; the plain mean when no time passed."""
    seconds = math.fsum(weight for _, weight in values)
    if seconds <= 0:
        return math.fsum(value for value, _ in values) / len(values)
    return math.fsum(value * weight for value, weight in values) / seconds


def _union(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted(set().union(*parts)))


def _last(words: Iterable[str]) -> str:
    return next((word for word in reversed(list(words)) if word), "")
