"""What nodes cost over time: spans in which they were held, times the price of that moment. Pure.

Time is in seconds since the epoch, money in $. Hours at an unknown price are counted apart, so that
a total can say how much of it is unknown; they never count as free.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import fsum

HOUR = 3600.0
HELD = frozenset(  # from the first to the last of these a workspace holds its nodes
    {
        *("applying", "getting_nodes", "pulling_image", "loading_weights", "benchmarking"),
        *("ready", "not_ready", "stuck", "unknown", "retiring"),
    }
)
# A workspace whose nodes are made for it has none before one of these: a cloud without capacity
# sends no bill.
ARRIVED = frozenset(
    {"pulling_image", "loading_weights", "benchmarking", "ready", "not_ready"},
)


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to `end`, in seconds; `end` None: still."""

    start: float
    end: float | None


@dataclass(frozen=True, slots=True)
class Rate:
    """$/h of one node from `at` on, until the next one. `at` None: since ever; $/h None: unknown
    then."""

    at: float | None
    usd_per_hour: float | None


@dataclass(frozen=True, slots=True)
class Total:
    """A sum with what it leaves out. `unknown`: parts of it (workspaces, kinds of nodes) whose
    figure nobody knows; `known` counts those that are in."""

    usd: float = 0.0
    known: int = 0
    unknown: int = 0

    def __add__(self, other: Total) -> Total:
        return Total(self.usd + other.usd, self.known + other.known, self.unknown + other.unknown)

    @property
    def value(self) -> float | None:
        """The sum of what is known; None when nothing is."""
        return self.usd if self.known else None if self.unknown else 0.0


def total(parts: Iterable[float | None]) -> Total:
    """Of figures of which some may be unknown."""
    values = list(parts)
    known = [value for value in values if value is not None]
    return Total(fsum(known), len(known), len(values) - len(known))


def rate_now(state: str, seen: Collection[str], usd: float | None, *, launched: bool) -> Total:
    """$/h that a workspace costs now. `seen`: states it has been in; `usd`: $/h of all its nodes;
    `launched`: its nodes are made for it, and there are none until a state that needs one."""
    if state not in HELD:
        return Total()
    if not launched or arrived(state, seen):
        return total([usd])
    return Total(unknown=1) if state == "unknown" else Total()


def arrived(state: str, seen: Collection[str]) -> bool:
    """Whether a node of its own has come, by its state and those it has been in."""
    return state in ARRIVED or not ARRIVED.isdisjoint(seen)


def held(moves: Sequence[tuple[float, str]]) -> Span | None:
    """When nodes were held, from a workspace's moves (moment, new state), oldest first.

    None: it never held any. Nodes that are made for it count from the moment they were asked for,
    for they are paid while they boot; whether one ever came is the caller's to know.
    """
    start = next((at for at, state in moves if state in HELD), None)
    if start is None:
        return None
    end = next((at for at, state in moves if state == "retired" and at >= start), None)
    return Span(start, end)


def spent(span: Span, nodes: int, rates: Sequence[Rate], now: float) -> tuple[float, float]:
    """$ of `nodes` over the span, and the node-hours of it at an unknown price.

    `rates`: oldest first, the first one since ever.
    """
    end = now if span.end is None else min(span.end, now)
    dollars, dark = [], []
    for number, rate in enumerate(rates):
        start = span.start if rate.at is None else max(span.start, rate.at)
        after = rates[number + 1].at if number + 1 < len(rates) else None
        until = end if after is None else min(end, after)
        hours = max(0.0, until - start) / HOUR * nodes
        if rate.usd_per_hour is None:
            dark.append(hours)
        else:
            dollars.append(hours * rate.usd_per_hour)
    return fsum(dollars), fsum(dark)


def per_million(usd_per_hour: float | None, tokens_per_minute: float | None) -> float | None:
    """$ for a million tokens at a rate; None: price or rate unknown, or no tokens at all.

    $/h over tokens/h: usd / (tokens/min x 60) x 1e6.
    """
    if usd_per_hour is None or not tokens_per_minute or tokens_per_minute < 0:
        return None
    return usd_per_hour / (tokens_per_minute * 60) * 1e6


def share(node_usd: float | None, gpus_per_node: int) -> float | None:
    """$/h of one GPU of a node."""
    return None if node_usd is None or gpus_per_node < 1 else node_usd / gpus_per_node
