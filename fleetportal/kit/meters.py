"""Counters and gauges of this process for /metrics. No names of teams, clusters or people."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator

Labels = tuple[tuple[str, str], ...]

_lock = threading.Lock()
_counts: dict[str, Counter[Labels]] = {}
_texts: dict[str, str] = {}
_gauges: dict[str, Callable[[], float]] = {}


def describe(name: str, text: str, gauge: Callable[[], float] | None = None) -> None:
    """Name a counter, or with `gauge` a value that is asked for when it is read."""
    _texts[name] = text
    if gauge is None:
        _counts.setdefault(name, Counter())
    else:
        _gauges[name] = gauge


def add(name: str, **labels: str) -> None:
    """Count one. `name` has been described."""
    with _lock:
        _counts[name][tuple(sorted(labels.items()))] += 1


def count(name: str, **labels: str) -> int:
    """How often so far, in this process."""
    return _counts[name][tuple(sorted(labels.items()))]


def lines() -> Iterator[tuple[str, str, str, list[tuple[dict[str, str], float]]]]:
    """(name, "counter" or "gauge", text, [(labels, value)]) of each."""
    with _lock:
        found = {name: dict(values) for name, values in _counts.items()}
    for name, values in found.items():
        yield name, "counter", _texts[name], [(dict(k), float(v)) for k, v in values.items()]
    for name, ask in _gauges.items():
        yield name, "gauge", _texts[name], [({}, ask())]
