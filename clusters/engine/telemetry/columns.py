"""Ticks of one series, column by column: what one tick after another repeats stands once.

Names, bounds and what is exported hardly ever change within an hour; a bucket's counts resemble
their neighbours in time more than the next bucket's. Nothing is rounded: every integer and every
float comes back as it was. Structs are stored as arrays: add fields at the end, with a default.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from clusters.engine.telemetry.types import Histogram, PodCount, Tick


class Form(msgspec.Struct, frozen=True, array_like=True):
    """What ticks have in common. `histograms`: name, bounds, number of counts; names are sorted."""

    counters: tuple[str, ...]
    histograms: tuple[tuple[str, tuple[float, ...], int], ...]
    gauges: tuple[str, ...]
    means: tuple[str, ...]
    exported: tuple[str, ...]
    runtime: str
    road: str


class Columns(msgspec.Struct, frozen=True, array_like=True):
    """Ticks of one form. Each column has a value for each of `places`, in that order."""

    form: Form
    places: tuple[int, ...]  # of the ticks within the span: its n-th minute, its n-th hour
    integers: tuple[tuple[int, ...], ...]
    floats: tuple[tuple[float, ...], ...]
    pods: tuple[tuple[PodCount, ...], ...]


def columns_of(ticks: Mapping[int, Tick]) -> list[Columns]:
    """By place; one item for each form that occurs."""
    places: dict[Form, list[int]] = defaultdict(list)
    for place, tick in sorted(ticks.items()):
        places[_form(tick)].append(place)
    return [_columns(form, held, [ticks[at] for at in held]) for form, held in places.items()]


def ticks_of(columns: Iterable[Columns]) -> dict[int, Tick]:
    """By place. Raises ValueError where columns do not fit their form."""
    return {place: tick for one in columns for place, tick in _ticks(one)}


def _form(tick: Tick) -> Form:
    return Form(
        counters=tuple(sorted(tick.counters)),
        histograms=tuple(
            (name, held.bounds, len(held.counts)) for name, held in sorted(tick.histograms.items())
        ),
        gauges=tuple(sorted(tick.gauges)),
        means=tuple(sorted(tick.means)),
        exported=tick.exported,
        runtime=tick.runtime,
        road=tick.road,
    )


def _columns(form: Form, places: Sequence[int], ticks: Sequence[Tick]) -> Columns:
    return Columns(
        form=form,
        places=tuple(places),
        integers=tuple(zip(*(_integers(form, tick) for tick in ticks), strict=True)),
        floats=tuple(zip(*(_floats(form, tick) for tick in ticks), strict=True)),
        pods=tuple(tick.pods for tick in ticks),
    )


def _integers(form: Form, tick: Tick) -> list[int]:
    """In the order in which _tick takes them."""
    found = [tick.pods_expected, tick.pods_answered]
    found += (tick.counters[name] for name in form.counters)
    for name, _, _ in form.histograms:
        found += tick.histograms[name].counts
    return found + [tick.means[name][1] for name in form.means]


def _floats(form: Form, tick: Tick) -> list[float]:
    """In the order in which _tick takes them."""
    return [
        tick.seconds,
        *(tick.histograms[name].total for name, _, _ in form.histograms),
        *(tick.gauges[name] for name in form.gauges),
        *(tick.means[name][0] for name in form.means),
    ]


def _ticks(one: Columns) -> Iterator[tuple[int, Tick]]:
    form = one.form
    integers = 2 + len(form.counters) + sum(size for _, _, size in form.histograms)
    floats = 1 + len(form.histograms) + len(form.gauges)
    more = len(form.means)
    if (len(one.integers), len(one.floats)) != (integers + more, floats + more):
        raise ValueError("columns do not fit their form")
    rows = zip(
        one.places,
        zip(*one.integers, strict=True),
        zip(*one.floats, strict=True),
        one.pods,
        strict=True,
    )
    for place, whole, parts, pods in rows:
        yield place, _tick(form, iter(whole), iter(parts), pods)


def _tick(
    form: Form, whole: Iterator[int], parts: Iterator[float], pods: tuple[PodCount, ...]
) -> Tick:
    return Tick(
        seconds=next(parts),
        pods_expected=next(whole),
        pods_answered=next(whole),
        counters={name: next(whole) for name in form.counters},
        histograms={
            name: Histogram(bounds, tuple(islice(whole, size)), next(parts))
            for name, bounds, size in form.histograms
        },
        gauges={name: next(parts) for name in form.gauges},
        means={name: (next(parts), next(whole)) for name in form.means},
        exported=form.exported,
        runtime=form.runtime,
        road=form.road,
        pods=pods,
    )
