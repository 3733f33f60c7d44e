"""How many requests reach an engine: a daily curve, weekends, noise, hot hours and bad minutes.

Everything is in whole minutes since 1970 and in thousandths of a request, as integers, so that a
counter can be added up in any order and is the same to the last digit. A minute has one level:
how hard the engine works then; latency and errors follow from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fleetsim.load.noise import Floats, Ints, keys, smooth, uniform

MINUTE_MS, DAY_MS = 60_000, 86_400_000
MINUTES = 1440  # of a day
# Share of capacity where one level ends and the next begins.
_EDGES = np.array([0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0, 1.15])
BROKEN = len(_EDGES) + 1  # the level of an incident
LEVELS = BROKEN + 1
_INCIDENT = 12  # minutes
PROMPT, OUTPUT = 260, 90  # tokens


@dataclass(frozen=True, slots=True)
class Profile:
    """One engine's clients and strength. `mean`: requests per second averaged over a working day;
    `capacity`: what it can serve; `offset`: hours east of UTC; times in seconds when idle.
    """

    key: int
    mean: float
    capacity: float
    offset: int = 0
    weekend: float = 0.5  # of a working day's load
    ttft: float = 0.12
    itl: float = 0.018
    prompt: int = PROMPT  # tokens of a request
    output: int = OUTPUT


@dataclass(frozen=True, slots=True)
class Knob:
    """What a test or a story turns: factors on load and latency, and an extra share of errors."""

    rate: float = 1.0
    latency: float = 1.0
    errors: float = 0.0


PLAIN = Knob()


def _daily() -> Floats:
    """A working day by the minute, local time, with mean 1: two humps at the desk, one at home."""
    hour = np.arange(MINUTES) / 60
    humps = ((10.8, 2.2, 1.0), (15.2, 2.4, 1.1), (20.5, 1.6, 0.45))
    curve = np.full(MINUTES, 0.22)
    for at, width, size in humps:
        curve += size * np.exp(-0.5 * ((hour - at) / width) ** 2)
    found: Floats = curve / curve.mean()
    return found


_DAY = _daily()


def rates(profile: Profile, knob: Knob, minutes: Ints) -> Floats:
    """Requests per second in each of these minutes (since 1970)."""
    seed = keys(profile.key)
    local = minutes + 60 * profile.offset
    weekday = (local // MINUTES + 3) % 7  # 1970 began on a Thursday
    base = profile.mean * _DAY[local % MINUTES] * np.where(weekday >= 5, profile.weekend, 1.0)
    seconds = minutes * 60
    wobble = 1 + 0.18 * smooth(seed, seconds, 5400) + 0.1 * smooth(seed + 1, seconds, 600)
    wobble += 0.12 * (uniform(seed + 2, minutes) - 0.5)
    hot = np.where(uniform(seed + 3, local // 45) > 0.97, 1.7, 1.0)  # three quarters of an hour
    found: Floats = knob.rate * base * wobble * hot
    return found


def levels(profile: Profile, rate: Floats, minutes: Ints) -> NDArray[np.int64]:
    """The level of each minute; now and then something is broken for a dozen of them."""
    seed = keys(profile.key)
    found = np.searchsorted(_EDGES, rate / profile.capacity)
    bad = uniform(seed + 4, minutes // _INCIDENT) > 0.9965
    return np.where(bad, BROKEN, found).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Day:
    """One day: `done[k, level]` thousandths of requests before minute k (1441 x LEVELS)."""

    rate: Floats
    level: Ints
    done: Ints


@lru_cache(maxsize=160)
def day(profile: Profile, knob: Knob, number: int) -> Day:
    """A day by the minute (days since 1970). About 140 kB each."""
    minutes = np.arange(MINUTES, dtype=np.int64) + number * MINUTES
    rate = rates(profile, knob, minutes)
    level = levels(profile, rate, minutes)
    done = np.zeros((MINUTES + 1, LEVELS), dtype=np.int64)
    done[np.arange(1, MINUTES + 1), level] = np.floor(rate * MINUTE_MS).astype(np.int64)
    return Day(rate, level, np.cumsum(done, axis=0))


@lru_cache(maxsize=4096)
def _whole(profile: Profile, knob: Knob, number: int) -> Ints:
    found: Ints = day(profile, knob, number).done[-1].copy()
    return found


def _within(table: Day, passed: Ints) -> Ints:
    """Thousandths of requests by level after `passed` milliseconds of a day (T x LEVELS)."""
    minute = passed // MINUTE_MS
    before = table.done[minute]
    rest = (passed - minute * MINUTE_MS)[:, None]
    found: Ints = before + (table.done[minute + 1] - before) * rest // MINUTE_MS
    return found


def done(profile: Profile, knob: Knob, start: int, moments: Ints) -> Ints:
    """Thousandths of requests by level from `start` to each moment (ms since 1970), T x LEVELS.

    Moments before `start` have none.
    """
    clipped = np.maximum(moments, start)
    found = np.zeros((len(moments), LEVELS), dtype=np.int64)
    days = clipped // DAY_MS
    first = start // DAY_MS
    begin = _within(day(profile, knob, first), np.array([start - first * DAY_MS]))[0]
    wanted = {int(number) for number in np.unique(days)}
    total = -begin
    for number in range(first, max(wanted, default=first) + 1):
        if number in wanted:
            rows = days == number
            passed = clipped[rows] - number * DAY_MS
            found[rows] = total + _within(day(profile, knob, number), passed)
        total = total + _whole(profile, knob, number)
    return found


def state(profile: Profile, knob: Knob, moments: Ints) -> tuple[Floats, Ints]:
    """(requests per second, level) at each moment (ms since 1970)."""
    minutes = moments // MINUTE_MS
    if len(minutes) <= 4:  # a scrape: no need of the whole day
        tables = [day(profile, knob, int(minute) // MINUTES) for minute in minutes]
        at = [int(minute) % MINUTES for minute in minutes]
        rate = np.array([table.rate[k] for table, k in zip(tables, at, strict=True)])
        level = np.array([table.level[k] for table, k in zip(tables, at, strict=True)])
        return rate, level
    rate = rates(profile, knob, minutes)
    return rate, levels(profile, rate, minutes)
