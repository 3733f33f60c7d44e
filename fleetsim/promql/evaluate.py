"""Values of PromQL trees at many moments at once. Pure: series come from a function.

A series that has no sample at a moment is NaN there. Counters are differenced as if every moment
had been scraped, so rates need no extrapolation, and restarts are seen through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from fleetsim.load.noise import Floats, Ints
from fleetsim.promql.parse import (
    Aggregate,
    Binary,
    Call,
    Matcher,
    Node,
    Number,
    Refused,
    Selector,
)

Labels: TypeAlias = Mapping[str, str]
Series: TypeAlias = tuple[Labels, Floats]
Vector: TypeAlias = list[Series]
STEP_MS = 15_000  # between two scrapes


@dataclass(frozen=True, slots=True)
class Source:
    """`collect(matchers, moments, whole)`: matching series. With `whole` (ms) counters go on over
    restarts and stay at their last value for so long after their end.
    """

    collect: Callable[[tuple[Matcher, ...], Ints, int], Vector]


def evaluate(node: Node, source: Source, moments: Ints) -> Vector | float:
    """A vector over the moments (ms since 1970), or a scalar. Raises Refused."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _value(node, source, moments)


def _value(node: Node, source: Source, moments: Ints) -> Vector | float:
    match node:
        case Number(value):
            return value
        case Selector(window=0):
            return source.collect(node.matchers, moments, 0)
        case Selector():
            raise Refused("a range vector is only simulated inside a function")
        case Aggregate():
            return _aggregate(node, _vector(node.inner, source, moments))
        case Call():
            return _call(node, source, moments)
        case Binary():
            left, right = _value(node.left, source, moments), _value(node.right, source, moments)
            return _binary(node, left, right)


def _vector(node: Node, source: Source, moments: Ints) -> Vector:
    found = _value(node, source, moments)
    if isinstance(found, float):
        raise Refused("expected an instant vector, got a scalar")
    return found


def _call(node: Call, source: Source, moments: Ints) -> Vector:
    last = node.arguments[-1]
    if isinstance(last, Selector) and last.window:
        if node.name in ("rate", "increase", "irate"):
            return _rate(node.name, last, source, moments)
        return _over_time(node.name, last, source, moments)
    if node.name == "timestamp":
        found = _vector(last, source, moments)
        at = moments / 1000
        return [(_nameless(labels), np.where(np.isnan(v), np.nan, at)) for labels, v in found]
    if node.name == "vector":
        value = _value(last, source, moments)
        if not isinstance(value, float):
            raise Refused("expected a scalar in call to 'vector'")
        return [({}, np.full(len(moments), value))]
    first = _value(node.arguments[0], source, moments)
    if not isinstance(first, float):
        raise Refused(f"expected a scalar in call to {node.name!r}")
    return _quantiles(first, _vector(last, source, moments))


def _nameless(labels: Labels) -> Labels:
    return {key: value for key, value in labels.items() if key != "__name__"}


def _rate(name: str, selector: Selector, source: Source, moments: Ints) -> Vector:
    """Increase over the window, by the second for rate. Two scrapes must lie in the window."""
    window = 2 * STEP_MS if name == "irate" else selector.window
    if window < 2 * STEP_MS:
        return []
    both = np.concatenate([moments, moments - window])
    size, divisor = len(moments), 1.0 if name == "increase" else window / 1000
    found = []
    for labels, values in source.collect(selector.matchers, both, window):
        now, before = values[:size], values[size:]
        value = (now - np.where(np.isnan(before), 0.0, before)) / divisor
        found.append((_nameless(labels), value))
    return found


def _over_time(name: str, selector: Selector, source: Source, moments: Ints) -> Vector:
    """Over the scrapes in the window; long windows are looked at 240 times."""
    steps = max(1, min(240, selector.window // STEP_MS))
    back = (np.arange(steps, dtype=np.int64) * (selector.window // steps))[:, None]
    if steps * len(moments) > 3_000_000:
        raise Refused("too many samples for this window and step")
    looks = (moments[None, :] - back).ravel()
    reduce = _OVER[name]
    found = []
    for labels, values in source.collect(selector.matchers, looks, 0):
        table = values.reshape(steps, len(moments))
        empty = np.isnan(table).all(axis=0)
        found.append((_nameless(labels), np.where(empty, np.nan, reduce(table))))
    return found


def _last(table: Floats) -> Floats:
    first = np.argmax(~np.isnan(table), axis=0)
    found: Floats = table[first, np.arange(table.shape[1])]
    return found


_OVER: dict[str, Callable[[Floats], Floats]] = {
    "avg_over_time": lambda t: np.nansum(t, axis=0) / (~np.isnan(t)).sum(axis=0),
    "sum_over_time": lambda t: np.nansum(t, axis=0),
    "max_over_time": lambda t: np.fmax.reduce(t, axis=0),
    "min_over_time": lambda t: np.fmin.reduce(t, axis=0),
    "count_over_time": lambda t: (~np.isnan(t)).sum(axis=0).astype(np.float64),
    "last_over_time": _last,
}


def _aggregate(node: Aggregate, inner: Vector) -> Vector:
    groups: dict[tuple[tuple[str, str], ...], list[Floats]] = {}
    for labels, values in inner:
        groups.setdefault(_group(node, labels), []).append(values)
    return [(dict(key), _together(node.name, rows)) for key, rows in groups.items()]


def _group(node: Aggregate, labels: Labels) -> tuple[tuple[str, str], ...]:
    if node.without:
        dropped = {*node.labels, "__name__"}
        return tuple(sorted((k, v) for k, v in labels.items() if k not in dropped))
    return tuple((k, labels[k]) for k in sorted(node.labels) if labels.get(k))


def _together(name: str, rows: list[Floats]) -> Floats:
    table = np.array(rows)
    there = ~np.isnan(table)
    count = there.sum(axis=0)
    if name in ("max", "min"):
        extreme: Floats = (np.fmax if name == "max" else np.fmin).reduce(table, axis=0)
        return extreme
    total = count if name == "count" else np.nansum(table, axis=0)
    total = total / count if name == "avg" else total
    return np.where(count > 0, total, np.nan)


def _quantiles(quantile: float, inner: Vector) -> Vector:
    groups: dict[tuple[tuple[str, str], ...], list[tuple[float, Floats]]] = {}
    for labels, values in inner:
        rest = {k: v for k, v in labels.items() if k not in ("le", "__name__")}
        bound = _bound(labels.get("le", ""))
        if bound is not None:
            groups.setdefault(tuple(sorted(rest.items())), []).append((bound, values))
    return [(dict(key), _quantile(quantile, rows)) for key, rows in groups.items()]


def _bound(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _quantile(quantile: float, rows: list[tuple[float, Floats]]) -> Floats:
    """Prometheus' own: linear inside the bucket; NaN without observations or without +Inf."""
    rows.sort(key=lambda row: row[0])
    bounds = np.array([bound for bound, _ in rows])
    counts = np.maximum.accumulate(np.array([values for _, values in rows]), axis=0)
    total = counts[-1]
    nothing = np.full(counts.shape[1], np.nan)
    if not np.isinf(bounds[-1]) or len(bounds) < 2:
        return nothing
    if quantile < 0 or quantile > 1:
        return np.full(counts.shape[1], -np.inf if quantile < 0 else np.inf)
    rank = quantile * total
    at = np.minimum((counts < rank[None, :]).sum(axis=0), len(bounds) - 1)
    top = np.where(at == len(bounds) - 1, bounds[-2], bounds[at])
    low = np.where(at > 0, bounds[at - 1], 0.0)
    column = np.arange(counts.shape[1])
    under = np.where(at > 0, counts[at - 1, column], 0.0)
    inside = counts[at, column] - under
    value = low + (top - low) * (rank - under) / inside
    value = np.where(at == len(bounds) - 1, bounds[-2], value)
    return np.where(total > 0, value, nothing)


def _binary(node: Binary, left: Vector | float, right: Vector | float) -> Vector | float:
    if node.op == "or":
        return _either(node, left, right)
    operate = _OPERATORS[node.op]
    if isinstance(left, float) and isinstance(right, float):
        return float(operate(np.float64(left), np.float64(right)))
    if isinstance(left, float):
        assert not isinstance(right, float)  # noqa: S101 - for the type checker
        return [(_nameless(labels), operate(left, values)) for labels, values in right]
    if isinstance(right, float):
        return [(_nameless(labels), operate(values, right)) for labels, values in left]
    others = _by_key(node, right)
    mine = _by_key(node, left)
    return [
        (_result(node, labels), operate(values, others[key][1]))
        for key, (labels, values) in mine.items()
        if key in others
    ]


_OPERATORS: dict[str, Callable[..., Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}
Key: TypeAlias = tuple[tuple[str, str], ...]


def _key(node: Binary, labels: Labels) -> Key:
    if node.on is not None:
        return tuple((k, labels.get(k, "")) for k in sorted(node.on))
    dropped = {*node.ignoring, "__name__"}
    return tuple(sorted((k, v) for k, v in labels.items() if k not in dropped))


def _result(node: Binary, labels: Labels) -> Labels:
    return dict(_key(node, labels))


def _by_key(node: Binary, vector: Vector) -> dict[Key, Series]:
    found: dict[Key, Series] = {}
    for labels, values in vector:
        key = _key(node, labels)
        if key in found:
            raise Refused("many-to-many matching not allowed: matching labels must be unique")
        found[key] = (labels, values)
    return found


def _either(node: Binary, left: Vector | float, right: Vector | float) -> Vector:
    """`or`: the left side, and what only the right one has at a moment."""
    if isinstance(left, float) or isinstance(right, float):
        raise Refused("set operator 'or' not allowed in binary scalar expression")
    there: dict[Key, Floats] = {}
    for labels, values in left:
        key = _key(node, labels)
        seen = ~np.isnan(values)
        there[key] = there[key] | seen if key in there else seen
    found = list(left)
    for labels, values in right:
        hidden = there.get(_key(node, labels))
        found.append((labels, values if hidden is None else np.where(hidden, np.nan, values)))
    return found
