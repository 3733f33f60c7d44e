"""A deployment's charts as figures, and the same numbers as rows: what views and CSV show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from clusters.engine.telemetry.promql import signal_text
from clusters.engine.telemetry.quantiles import Quantile
from clusters.engine.telemetry.types import Tick
from fleetportal.kit import charts
from fleetportal.kit.format import duration, exact, num
from workspaces.engine.serving import DAY, Line, rounded
from workspaces.engine.serving_charts import CHARTS, Chart, Curve, curves_of, silence, values
from workspaces.selectors.serving import Serving

BANDED = "p95"  # the quantile whose bucket is drawn


def figures(serving: Serving) -> dict[str, Any]:
    """All charts with one x (milliseconds): each a figure, or the reason why there is none."""
    marks = [charts.Line(mark.at.timestamp() * 1000, mark.short) for mark in serving.marks]
    partial = _partial(serving)
    return {
        "x": [round(at.timestamp() * 1000) for at in serving.times],
        "empty": serving.empty,
        "clusters": serving.clusters,
        "revisions": _legend(serving),
        "note": _note(serving, partial),
        "sources": [
            {
                "cluster": source.cluster,
                "at": source.at and source.at.timestamp() * 1000,
                "problem": source.problem,
            }
            for source in serving.sources
        ],
        "marks": [f"{exact(mark.at)} {mark.text}" for mark in serving.marks],
        "charts": {chart.key: _chart(chart, serving, marks, partial) for chart in CHARTS},
    }


def _note(serving: Serving, partial: Sequence[charts.Shade]) -> str:
    """What a person cannot guess of the drawing."""
    if not serving.lines:
        return ""
    told = f"One point for {duration(serving.asked.step)}. Band: p95 lies somewhere in this bucket."
    return f"{told} Shaded: without some of the clusters." if partial else told


def _legend(serving: Serving) -> str:
    """Which dash is which revision, in words."""
    dashes = zip(serving.lines, charts.DASHES, strict=False)
    words = {"solid": "solid", "dash": "dashed", "dot": "dotted", "dashdot": "dash and dot"}
    return ", ".join(f"r{line.revision} {words.get(dash, 'long dashes')}" for line, dash in dashes)


def _chart(
    chart: Chart,
    serving: Serving,
    marks: Sequence[charts.Line],
    partial: Sequence[charts.Shade],
) -> dict[str, Any]:
    drawn = [(line, curves_of(chart, line)) for line in serving.lines[: len(charts.DASHES)]]
    if not any(curves for _, curves in drawn):
        return {"figure": None, "words": silence(chart, serving.lines)}
    newest, found = next((line, curves) for line, curves in drawn if curves)
    several = sum(1 for _, curves in drawn if curves) > 1
    curves = [
        charts.Curve(
            name=f"r{line.revision} {curve.label}" if several else curve.label,
            y=held,
            rank=curve.rank,
            dash=dash,
            hover=_hover(curve, line, held, chart.unit),
            listed=line is newest,
        )
        for (line, shown), dash in zip(drawn, charts.DASHES, strict=False)
        for curve, held in shown
    ]
    bands = [_band(newest, curve) for curve, _ in found if curve.key == BANDED]
    figure = charts.lines(
        curves,
        unit=chart.unit,
        bands=bands,
        marks=marks,
        shades=partial,
        days=serving.asked.seconds > DAY,
        most=100 if chart.unit == "%" else None,
    )
    return {"figure": figure, "words": _now(chart, newest, found)}


def _partial(serving: Serving) -> list[charts.Shade]:
    """Where a line lacks clusters that served then."""
    step = serving.asked.step * 1000
    return [
        charts.Shade(at.timestamp() * 1000, at.timestamp() * 1000 + step)
        for place, at in enumerate(serving.times)
        if any(line.lacks(place) for line in serving.lines[: len(charts.DASHES)])
    ]


def _lacking(line: Line, place: int) -> str:
    """ ", without 1 of 3 clusters"; "" for a whole sum."""
    _, served = line.counted[place]
    return charts.lacking(served - line.lacks(place), served)


def _band(line: Line, curve: Curve) -> charts.Band:
    """Above every bound nobody knows how far: the band stops at the last one."""
    held = [curve.interval(tick) for tick in line.ticks] if curve.interval else []
    return charts.Band(
        [one and rounded(one.low) for one in held],
        [one and rounded(one.low if one.high is None else one.high) for one in held],
    )


def _hover(curve: Curve, line: Line, held: Sequence[float | None], unit: str) -> list[str]:
    """ "0.82 s (0.75 to 1 s)": the bucket only where it says more than the value."""
    intervals = [curve.interval(tick) if curve.interval else None for tick in line.ticks]
    return [
        f"{words(value, unit)}{f' ({_bucket(one)})' if one else ''}{_lacking(line, place)}"
        for place, (value, one) in enumerate(zip(held, intervals, strict=True))
    ]


def _bucket(one: Quantile) -> str:
    if one.high is None:
        return f"more than {one.low:g} s"
    return f"{one.low:g} to {one.high:g} s"


def words(value: float | None, unit: str) -> str:
    """ "0.82 s", "12 %", "3.1 per second"; no data says so."""
    if value is None:
        return "no data"
    sign = {"% of requests": "%"}.get(unit, unit)
    return f"{num(value, 0) if value >= 1000 else f'{value:.3g}'} {sign}"


def _now(chart: Chart, line: Line, found: Sequence[tuple[Curve, list[float | None]]]) -> str:
    """The last value of the main curve, which always has one."""
    curve, held = found[0]
    place = max(place for place, value in enumerate(held) if value is not None)
    label = f"{curve.label} " if len(chart.curves) > 1 else ""
    counted = f", {_counted(line, place)} clusters" if line.lacks(place) else ""
    return f"{label}{words(held[place], chart.unit)}{counted}"


def promql(serving: Serving, chart: Chart) -> list[str]:
    """What to ask a Prometheus of one's own for finer or older numbers than are kept here."""
    if not serving.lines:
        return []
    names = sorted({subject.partition("/")[2] for subject in serving.subjects})
    spaces = sorted({subject.partition("/")[0] for subject in serving.subjects})
    matchers = 'namespace=~"{}",pod=~"({})-.*"'.format("|".join(spaces), "|".join(names))
    window = "1h" if serving.asked.seconds > DAY else "5m"
    runtime = serving.lines[0].runtime
    texts = (
        signal_text(runtime, signal, window=window, matchers=matchers) for signal in chart.signals
    )
    return [text for text in texts if text]


# --- the same as a table --------------------------------------------------------------------------


def columns(serving: Serving, chart: Chart) -> list[Curve]:
    """The curves of a table, p50 before p95; a mean only where a runtime tells nothing better."""
    drawn = {curve.key for line in serving.lines for curve, _ in curves_of(chart, line)}
    shown = [curve for curve in chart.curves if curve.key != "mean" or curve.key in drawn]
    quantiles = [curve for curve in shown if curve.interval]
    return sorted(quantiles, key=lambda curve: curve.key) + [c for c in shown if not c.interval]


def rows(
    serving: Serving, chart: Chart, curves: Sequence[Curve]
) -> Iterator[tuple[datetime, int, list[tuple[str, str]], str]]:
    """(time, revision, [(value or why there is none, bucket)], "2 of 3" clusters) of every point
    that was measured, the newest first."""
    for line in serving.lines:
        why = "no data" if set(chart.signals) & line.exported else "not exported"
        for place, tick in reversed([*enumerate(line.ticks)]):
            if tick is not None:
                cells = [_cell(curve, tick, why) for curve in curves]
                yield serving.times[place], line.revision, cells, _counted(line, place)


def _counted(line: Line, place: int) -> str:
    """How many of the clusters that served then are in the sum."""
    measured, served = line.counted[place]
    return f"{measured} of {served}"


def _cell(curve: Curve, tick: Tick, why: str) -> tuple[str, str]:
    value = rounded(curve.value(tick))
    one = curve.interval(tick) if curve.interval else None
    return (why if value is None else f"{value:g}", _bucket(one) if one else "")


def csv_rows(serving: Serving) -> Iterator[list[str]]:
    """One row for each revision and time; an empty cell is no data."""
    named = [(chart, curve) for chart in CHARTS for curve in chart.curves]
    signals = (f"{c.key}_{curve.key} ({c.unit})" for c, curve in named)
    yield ["time", "revision", "clusters_measured", "clusters_serving", *signals]
    for line in serving.lines:
        table = [values(line, curve) for _, curve in named]
        for place, at in enumerate(serving.times):
            if line.ticks[place] is not None:
                cells = ("" if row[place] is None else f"{row[place]:g}" for row in table)
                counted = map(str, line.counted[place])
                yield [at.isoformat(), f"r{line.revision}", *counted, *cells]
