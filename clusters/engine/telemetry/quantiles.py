"""Quantiles out of buckets, with how much they can be trusted: the bucket that they fall into.

The value is linear inside its bucket, as Prometheus' histogram_quantile: with vLLM's bounds 1 and
2.5 s a true 1.33 s may read 1.89 s. So people see the interval, and decisions use shares.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import NamedTuple

from clusters.engine.telemetry.types import Histogram, Tick


class Quantile(NamedTuple):
    """Seconds. The truth lies in (low, high]; `high` None: above every bound, so is `value`."""

    value: float
    low: float
    high: float | None


class Share(NamedTuple):
    """0..1. low == high: exact, since the limit is a bucket's bound."""

    value: float
    low: float
    high: float


def quantile(histogram: Histogram | None, q: float) -> Quantile | None:
    """The `q` (0 < q < 1) quantile; None when there is no data, or no bucket but infinity."""
    if histogram is None or not histogram.bounds or histogram.count <= 0:
        return None
    rank = q * histogram.count
    below = 0
    for place, held in enumerate(histogram.counts):
        if held and below + held >= rank:
            return _inside(histogram, place, (rank - below) / held)
        below += held
    return _inside(histogram, len(histogram.bounds), 1.0)


def _inside(histogram: Histogram, place: int, part: float) -> Quantile:
    low = histogram.bounds[place - 1] if place else 0.0
    if place == len(histogram.bounds):
        return Quantile(low, low, None)
    high = histogram.bounds[place]
    return Quantile(low + (high - low) * part, low, high)


def share_slower(histogram: Histogram | None, seconds: float) -> Share | None:
    """The share of observations above `seconds`; None when there is no data."""
    if histogram is None or histogram.count <= 0:
        return None
    above = [histogram.count - below for below in accumulate(histogram.counts, initial=0)]
    bounds = (0.0, *histogram.bounds, math.inf)  # `above[i]` were slower than bounds[i]
    place = next(i for i, bound in enumerate(bounds) if bound >= seconds)
    high = above[max(place - 1, 0)] if bounds[place] > seconds else above[place]
    low = above[place]
    value = float(high)
    if high != low and bounds[place] < math.inf:
        width = bounds[place] - bounds[place - 1]
        value = high - (high - low) * (seconds - bounds[place - 1]) / width
    return Share(value / histogram.count, low / histogram.count, high / histogram.count)


def mean(histogram: Histogram | None) -> float | None:
    """Seconds; None when there is no data, or the runtime's sum cannot be read."""
    if histogram is None or histogram.count <= 0 or not math.isfinite(histogram.total):
        return None
    return histogram.total / histogram.count


def mean_of(tick: Tick, signal: str) -> float | None:
    """The mean of a signal in seconds, also where it is known as a mean only.

    TGI's time to the first token is the mean wait in the queue plus the mean prefill.
    """
    if signal in tick.histograms:
        return mean(tick.histograms[signal])
    if signal in tick.means:
        seconds, count = tick.means[signal]
        return seconds / count if count > 0 else None
    if signal == "ttft" and "prefill" in tick.means:
        parts = (mean_of(tick, "queue"), mean_of(tick, "prefill"))
        return None if parts[0] is None or parts[1] is None else parts[0] + parts[1]
    return None
