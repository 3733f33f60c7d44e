"""The record of one engine: when it lived, when clients reached it, and what it did by any moment.

Appended to and never changed, so that an answer about a moment is the same whenever it is asked.
A life is one run of the process: its counters begin at nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fleetsim.load import demand
from fleetsim.load.demand import LEVELS, PLAIN, Knob, Profile
from fleetsim.load.noise import Floats, Ints

KEEP_MS = 15_000  # clients that keep their connection stay so long


@dataclass(slots=True)
class Span:
    """Clients came from `start` to `end` (ms since 1970; None: still)."""

    start: int
    end: int | None
    knob: Knob = PLAIN


@dataclass(slots=True)
class Life:
    """One run of the process. `asked` are real requests: (ms, requests, prompt tokens, output
    tokens, failed), each row the sum so far.
    """

    start: int
    end: int | None = None
    spans: list[Span] = field(default_factory=list)
    asked: list[tuple[int, int, int, int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Work:
    """What an engine has done in its life, and does, at T moments.

    `done`: thousandths of requests by level (T x LEVELS) for each knob that was turned.
    """

    moments: Ints  # ms since 1970
    alive: NDArray[np.bool_]
    lived: Ints  # ms that the process has run
    done: dict[Knob, Ints]
    requests: Ints  # real ones that were answered, T
    failed: Ints  # real ones that were not
    prompt: Ints  # tokens of real ones
    output: Ints
    rate: Floats  # requests per second now
    level: Ints
    latency: Floats  # factor now


@dataclass(slots=True)
class Meter:
    """One engine and its lives."""

    profile: Profile
    lives: list[Life] = field(default_factory=list)

    def begin(self, now: int, past: int | None = None, busy: bool = True) -> None:
        """The process starts to serve; `past`: and it had lived since then before, with clients if
        `busy`.
        """
        self.stop(now)
        if past is not None and past < now and not self.lives:
            self.lives.append(Life(past, now, [Span(past, now)] if busy else []))
        self.lives.append(Life(now))

    def stop(self, now: int) -> None:
        """The process is gone."""
        if self.lives and self.lives[-1].end is None:
            self.send(False, now)
            self.lives[-1].end = now

    def send(self, on: bool, now: int, knob: Knob = PLAIN) -> None:
        """Clients are sent here, or no longer; another knob starts another span."""
        life = self.current
        if life is None:
            return
        last = life.spans[-1] if life.spans and life.spans[-1].end is None else None
        if last is not None and (not on or last.knob != knob):
            last.end = now
        if on and (last is None or last.end is not None):
            life.spans.append(Span(now, None, knob))

    @property
    def current(self) -> Life | None:
        """The life that goes on."""
        return self.lives[-1] if self.lives and self.lives[-1].end is None else None

    def count(self, now: int, prompt: int, output: int, failed: int = 0) -> int:
        """One real request ended; returns how many so far in this life."""
        life = self.current
        if life is None:
            return 0
        _, fine, before, made, bad = life.asked[-1] if life.asked else (0, 0, 0, 0, 0)
        row = (now, fine + 1 - failed, before + prompt, made + output, bad + failed)
        life.asked.append(row)
        return row[1] + row[4]

    def resets(self) -> list[int]:
        """When counters began again, oldest first."""
        return [life.start for life in self.lives[1:]]

    def work(self, moments: Ints, only: Life | None = None) -> Work:
        """The state at these moments (ms since 1970); outside of every life not alive.

        Of `only` one life: nothing before it, and its last values after it.
        """
        found = _nothing(moments)
        for life in self.lives if only is None else [only]:
            rows = moments >= life.start
            inside = rows if life.end is None else rows & (moments < life.end)
            found.alive |= inside
            if rows.any():
                self._fill(found, life, inside if only is None else rows)
                self._now(found, life, inside)
        return found

    def pressure(self, moments: Ints) -> Floats:
        """Share of its capacity that the engine runs at, 0 without clients."""
        found = _nothing(moments)
        for life in self.lives:
            rows = moments >= life.start
            self._now(found, life, rows if life.end is None else rows & (moments < life.end))
        return found.rate / self.profile.capacity

    def _now(self, found: Work, life: Life, rows: NDArray[np.bool_]) -> None:
        for span in life.spans:
            _now(self.profile, span, found, rows)

    def _fill(self, found: Work, life: Life, rows: NDArray[np.bool_]) -> None:
        moments = found.moments[rows]
        if life.end is not None:
            moments = np.minimum(moments, life.end)
        found.lived[rows] += moments - life.start
        for span in life.spans:
            until = moments if span.end is None else np.minimum(moments, span.end)
            done = found.done.setdefault(span.knob, _table(len(rows)))
            done[rows] += demand.done(self.profile, span.knob, span.start, until)
        if life.asked:
            times = [row[0] for row in life.asked]
            at = [bisect_right(times, int(moment)) for moment in moments]
            sums = np.array([(0, 0, 0, 0), *(row[1:] for row in life.asked)], dtype=np.int64)[at]
            found.requests[rows] += sums[:, 0]
            found.prompt[rows] += sums[:, 1]
            found.output[rows] += sums[:, 2]
            found.failed[rows] += sums[:, 3]


def _table(size: int) -> Ints:
    return np.zeros((size, LEVELS), dtype=np.int64)


def _nothing(moments: Ints) -> Work:
    size = len(moments)
    lived, requests, failed, prompt, output, level = np.zeros((6, size), dtype=np.int64)
    alive, rate = np.zeros(size, dtype=np.bool_), np.zeros(size)
    done = {PLAIN: _table(size)}
    return Work(
        moments, alive, lived, done, requests, failed, prompt, output, rate, level, np.ones(size)
    )


def _now(profile: Profile, span: Span, found: Work, lived: NDArray[np.bool_]) -> None:
    """Write what goes on in a span; after its end clients fade away."""
    rows = lived & (found.moments >= span.start)
    if span.end is not None:
        rows &= found.moments < span.end + KEEP_MS
    if not rows.any():
        return
    moments = found.moments[rows]
    fade = np.ones(len(moments))
    if span.end is not None:
        fade = np.clip(1 - (moments - span.end) / KEEP_MS, 0.0, 1.0)
    rate, level = demand.state(profile, span.knob, moments)
    found.rate[rows], found.level[rows] = rate * fade, level
    found.latency[rows] = span.knob.latency
