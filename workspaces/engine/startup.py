"""How long a start still takes, learned from starts that ended. Pure: the clock is an argument.

A start has five phases: node, image, weights, load, benchmark. Pods tell weights from load only
where their download is measured; then both count as weights. What was never seen stays unknown:
no figure is made up for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

PHASES = ("node", "image", "weights", "load", "benchmark")
# When a phase begins, by the name under which a workspace keeps it (Workspace.phases).
BEGINS = {
    "node": "getting_nodes",
    "image": "pulling_image",
    "weights": "loading_weights",
    "load": "loading",
    "benchmark": "benchmarking",
}
END = "ready"
LAST = 20  # starts that are learned from, the newest first
LONGEST = 24 * 3600.0  # seconds; a start that took longer waited for a person

Times = Mapping[str, datetime]
Spans = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Learned:
    """Medians in seconds. `spans[phase]` where it was seen; `onward[phase]`: from its beginning
    until readiness; `starts`: how many were learned from."""

    starts: int
    onward: Spans
    spans: Spans
    whole: float | None  # from the first phase to readiness


@dataclass(frozen=True, slots=True)
class Estimate:
    """`seconds` until readiness, None where nothing is known; `over`: it takes longer than usual.

    `rest_unknown`: `seconds` covers the weights alone, since nobody has seen what follows them.
    """

    phase: str
    seconds: float | None
    starts: int
    over: bool = False
    usual: float | None = None  # seconds of a whole start
    rest_unknown: bool = False


def spans_of(times: Times) -> dict[str, float] | None:
    """Seconds of each phase of a start that ended, or None where it did not or is no measure.

    A phase that was skipped, or whose beginning nobody saw, is missing: not 0.
    """
    if END not in times:
        return None
    began = [(times[BEGINS[phase]], phase) for phase in PHASES if BEGINS[phase] in times]
    marks = [*began, (times[END], END)]
    found = {phase: (after - at).total_seconds() for (at, phase), (after, _) in pairwise(marks)}
    total = (marks[-1][0] - marks[0][0]).total_seconds()
    if not found or min(found.values()) < 0 or total > LONGEST:
        return None
    return found


def learn(starts: Iterable[Times]) -> Learned:
    """What the newest starts say; those that are no measure are left out."""
    seen = [spans for times in starts if (spans := spans_of(times)) is not None][:LAST]
    onward: dict[str, float] = {}
    single: dict[str, float] = {}
    for phase in PHASES:
        having = [spans for spans in seen if phase in spans]
        if having:
            single[phase] = median(spans[phase] for spans in having)
            onward[phase] = median(_from(spans, phase) for spans in having)
    whole = median(sum(spans.values()) for spans in seen) if seen else None
    return Learned(len(seen), onward, single, whole)


def estimate(
    times: Times, now: datetime, learned: Learned, *, download_left: float | None = None
) -> Estimate | None:
    """For a start under way; None where none is. `download_left`: seconds, as the pods say."""
    phase = current(times)
    if phase is None:
        return None
    elapsed = max(0.0, (now - times[BEGINS[phase]]).total_seconds())
    usual = learned.onward.get(phase)
    if phase == "weights" and download_left is not None:
        return _while_downloading(learned, download_left, usual)
    if usual is None:
        return Estimate(phase, None, learned.starts, usual=learned.whole)
    left = _left(phase, elapsed, learned, usual)
    over = elapsed > usual
    return Estimate(phase, None if over else left, learned.starts, over, learned.whole)


def current(times: Times) -> str | None:
    """The phase that a start is in: the last that began; None before the first and at the end."""
    if END in times:
        return None
    begun = [phase for phase in PHASES if BEGINS[phase] in times]
    return begun[-1] if begun else None


def _left(phase: str, elapsed: float, learned: Learned, usual: float) -> float:
    """Time served in this phase counts only up to its own median: what follows is still to come."""
    own = learned.spans[phase]
    return max(0.0, usual - min(elapsed, own))


def _while_downloading(learned: Learned, left: float, usual: float | None) -> Estimate:
    after = learned.onward.get("load", learned.onward.get("benchmark"))
    if after is None and usual is None:
        return Estimate("weights", left, 0, rest_unknown=True)
    if after is None:
        assert usual is not None  # noqa: S101 - one of the two is known
        after = max(0.0, usual - learned.spans["weights"])
    return Estimate("weights", left + after, learned.starts, usual=learned.whole)


def _from(spans: Spans, phase: str) -> float:
    """From the beginning of `phase` to readiness."""
    later: Sequence[str] = PHASES[PHASES.index(phase) :]
    return sum(spans[name] for name in later if name in spans)
