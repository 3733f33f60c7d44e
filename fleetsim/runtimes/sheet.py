"""From an engine's load to its numbers: requests, tokens, latencies, cache. Pure.

A histogram is a matrix: for each level of load the share of requests below each bound (a log-normal
shape whose median grows with load). Times the requests by level it gives cumulative counts that
only grow, by integer arithmetic, so that every reader gets the same digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from fleetsim.load.demand import LEVELS, PLAIN, Profile
from fleetsim.load.meter import Work
from fleetsim.load.noise import Floats, Ints, keys, uniform
from fleetsim.runtimes.family import Labels, Rows

SHARE = 100_000  # shares are in hundred-thousandths
MILLI = 1000
_SPREAD = 0.6  # sigma of the log-normal shapes
MEAN = math.exp(_SPREAD**2 / 2)  # of the mean over the median
# How latency grows with the level of load, an incident last.
FIRST = (1.0, 1.05, 1.15, 1.3, 1.6, 2.0, 2.8, 5.0, 12.0, 30.0, 8.0)
EACH = (1.0, 1.03, 1.08, 1.15, 1.3, 1.45, 1.6, 1.8, 2.0, 2.2, 2.5)
QUEUED = (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 3.0, 8.0, 20.0, 60.0, 25.0)  # requests
WAIT = (0.01, 0.01, 0.01, 0.015, 0.03, 0.08, 0.25, 0.9, 3.0, 9.0, 2.5)  # seconds, median
FAILED = (30, 30, 40, 50, 80, 120, 250, 600, 1500, 4000, 9000)  # of SHARE
PREEMPTED = (0, 0, 0, 0, 0, 0, 400, 3000, 12000, 40000, 9000)
REFUSED = (300,) * LEVELS  # bad input, of SHARE
LENGTH = (5000,) * LEVELS
ABORTED = (400,) * LEVELS
UNFAILED = tuple(SHARE - each for each in FAILED)
KEPT = tuple(SHARE - each for each in ABORTED)
FINE = tuple(SHARE - sum(each) for each in zip(FAILED, ABORTED, REFUSED, strict=True))
STOPPED = tuple(SHARE - sum(each) for each in zip(FAILED, LENGTH, ABORTED, strict=True))


@dataclass
class Sheet:
    """One engine at T moments."""

    model: str  # the served name
    version: tuple[int, ...]
    profile: Profile
    work: Work

    def share(self, part: tuple[int, ...], extra: int = 0) -> Ints:
        """How many requests had this fate: `part` by level, plus `extra` (1, 0, -1) times the
        knob's errors. Rounded down once, so it never shrinks.
        """
        found = np.zeros(len(self.work.moments), dtype=np.int64)
        for knob, done in self.work.done.items():
            more = extra * round(knob.errors * SHARE)
            found += done @ np.array([max(0, each + more) for each in part], dtype=np.int64)
        return found // (MILLI * SHARE)

    @cached_property
    def failed(self) -> Ints:
        return self.share(FAILED, extra=1) + self.work.failed

    @cached_property
    def requests(self) -> Ints:
        """Every finished request, however it ended."""
        return self._total // MILLI + self.work.requests + self.work.failed

    @cached_property
    def _total(self) -> Ints:
        found: Ints = np.sum([done.sum(axis=1) for done in self.work.done.values()], axis=0)
        return found

    @cached_property
    def prompt(self) -> Ints:
        return self._total * self.profile.prompt // MILLI + self.work.prompt

    @cached_property
    def output(self) -> Ints:
        return self._total * self.profile.output // MILLI + self.work.output

    @cached_property
    def running(self) -> Floats:
        """Requests in flight: arrivals times how long each takes."""
        seconds: Floats = self._of_level(FIRST) * self.profile.ttft
        seconds = seconds + self._of_level(EACH) * self.profile.itl * self.profile.output
        found: Floats = np.ceil(self.work.rate * seconds * self.work.latency)
        return found

    @cached_property
    def waiting(self) -> Floats:
        found: Floats = np.where(self.work.rate > 0, self._of_level(QUEUED), 0.0)
        return found

    @cached_property
    def cache(self) -> Floats:
        """Share of the KV cache in use, 0..1."""
        busy = np.power(self.work.rate / self.profile.capacity, 0.8) * 0.8
        wobble = 0.04 * uniform(keys(self.profile.key), self.work.moments // 15_000)
        used: Floats = np.minimum(busy + np.where(busy > 0, wobble, 0.0), 0.98)
        return used.round(4)

    def _of_level(self, table: tuple[float, ...]) -> Floats:
        found: Floats = np.array(table)[self.work.level]
        return found

    def histogram(self, name: str, labels: Labels, shape: Shape, tokens: bool = False) -> Rows:
        """Buckets, sum and count; with `tokens` one sample for each token after the first."""
        each = self.profile.output - 1 if tokens else 1
        real = (
            np.maximum(self.work.output - self.work.requests, 0) if tokens else self.work.requests
        )
        size = len(self.work.moments)
        counts = np.zeros((size, len(shape.bounds)), dtype=np.int64)
        micro = np.zeros(size, dtype=np.int64)
        for knob, done in self.work.done.items():
            table = done * each
            if knob == PLAIN:
                table = table.copy()
                table[:, 0] += real * MILLI
            counts += table @ below(shape, knob.latency)
            micro += table @ _micros(shape, knob.latency)
        counts //= MILLI * SHARE
        total = self._total * each // MILLI + real
        for number, bound in enumerate(shape.bounds):
            yield f"{name}_bucket", (("le", le(bound)), *labels), counts[:, number]
        yield f"{name}_bucket", (("le", "+Inf"), *labels), total
        yield f"{name}_sum", labels, micro // MILLI / 1e6 * shape.unit
        yield f"{name}_count", labels, total


@dataclass(frozen=True, slots=True)
class Shape:
    """A latency: bucket bounds and the median in seconds by level of load. `unit`: bounds per
    second (1000 for milliseconds).
    """

    bounds: tuple[float, ...]
    medians: tuple[float, ...]
    unit: float = 1.0


def le(bound: float) -> str:
    """A bound as Python's client library prints it."""
    return repr(float(bound))


@lru_cache(maxsize=512)
def below(shape: Shape, latency: float) -> Ints:
    """Share of requests at or below each bound, LEVELS x bounds."""
    rows = [[_share(bound / shape.unit, median * latency) for bound in shape.bounds]
            for median in shape.medians]  # fmt: skip
    return np.array(rows, dtype=np.int64)


def _share(bound: float, median: float) -> int:
    spread = math.log(bound / median) / (_SPREAD * math.sqrt(2))
    return math.floor(SHARE * 0.5 * (1 + math.erf(spread)))


@lru_cache(maxsize=512)
def _micros(shape: Shape, latency: float) -> Ints:
    return np.array([round(median * latency * MEAN * 1e6) for median in shape.medians])


def medians(light: float, growth: tuple[float, ...]) -> tuple[float, ...]:
    """Medians by level from the one of an idle engine."""
    return tuple(light * factor for factor in growth)


def whole(profile: Profile) -> tuple[float, ...]:
    """Medians of a whole request in seconds, by level."""
    first, each = medians(profile.ttft, FIRST), medians(profile.itl * profile.output, EACH)
    return tuple(a + b for a, b in zip(first, each, strict=True))
