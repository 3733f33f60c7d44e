"""Figures for Plotly in the browser: plain JSON in our own look.

Colours are names of CSS tokens behind "@", which charts.js resolves in the theme of the moment; x
is shared by all figures of a page and added there. Nothing here imports Plotly: its Python
package takes half a second and 35 MB to say the same; tests check every figure with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Values = Sequence[float | None]

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")  # newest revision first
_WEIGHTS = {  # rank of a curve -> token, width in px
    "main": ("@chart-main", 2.0),
    "second": ("@chart-second", 1.4),
    "third": ("@chart-third", 1.2),
}


@dataclass(frozen=True, slots=True)
class Curve:
    """`rank`: main, second or third. `dash`: one of DASHES. `hover`: words for each value.
    `listed`: in the legend."""

    name: str
    y: Values
    rank: str = "main"
    dash: str = "solid"
    hover: Sequence[str] = ()
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Band:
    """Where the truth lies around a curve."""

    low: Values
    high: Values


@dataclass(frozen=True, slots=True)
class Line:
    """A moment: a vertical line with words. `at`: milliseconds since 1970."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Shade:
    """A span of time that the curves know less of. Milliseconds since 1970."""

    start: float
    end: float


def lacking(counted: int, clusters: int) -> str:
    """ ", without 2 of 9 clusters": what a sum has to say of itself; "" for a whole one."""
    return f", without {clusters - counted} of {clusters} clusters" if counted < clusters else ""


def lines(
    curves: Sequence[Curve],
    *,
    unit: str,
    bands: Sequence[Band] = (),
    marks: Sequence[Line] = (),
    shades: Sequence[Shade] = (),
    days: bool = False,
    most: float | None = None,
) -> dict[str, Any]:
    """Curves over time from 0 up, gaps left open. `days`: the axis names days, not hours. `most`:
    where the axis ends, else at the data."""
    layout = _layout(unit, legend=sum(curve.listed for curve in curves) > 1, days=days)
    if most is not None:
        layout["yaxis"]["range"] = [0, most]
    layout["shapes"] = [*map(_shade, shades), *map(_mark, marks)]
    return {"data": [*map(_band, bands), *map(_curve, curves)], "layout": layout}


def _curve(curve: Curve) -> dict[str, Any]:
    colour, width = _WEIGHTS[curve.rank]
    shown: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": curve.name,
        "showlegend": curve.listed,
        "y": list(curve.y),
        "line": {"color": colour, "width": width, "dash": curve.dash},
        "marker": {"color": colour, "size": _alone(curve.y), "line": {"width": 0}},
        "connectgaps": False,
        "cliponaxis": False,
        "hovertemplate": "%{text}" if curve.hover else "%{y:,.4~g}",
    }
    if curve.hover:
        shown["text"] = list(curve.hover)
    return shown


def _alone(y: Values) -> list[int]:
    """Sizes of markers: a value between two gaps would be no line, and not be seen."""
    around = [None, *y, None]
    return [
        4 if here is not None and before is None and after is None else 0
        for before, here, after in zip(around, y, around[2:], strict=False)
    ]


def _band(band: Band) -> dict[str, Any]:
    """One polygon for each stretch without a gap; `meta.at`: which x each corner has."""
    corners: list[int | None] = []
    y: list[float | None] = []
    for stretch in _stretches(band):
        corners += [*stretch, *reversed(stretch), None]
        y += [*(band.high[i] for i in stretch), *(band.low[i] for i in reversed(stretch)), None]
    return {
        "type": "scatter",
        "mode": "lines",
        "y": y,
        "meta": {"at": corners},
        "fill": "toself",
        "fillcolor": "@chart-band",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _stretches(band: Band) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for place, (low, high) in enumerate(zip(band.low, band.high, strict=True)):
        if low is not None and high is not None:
            found[-1].append(place)
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]


def _layout(unit: str, *, legend: bool, days: bool) -> dict[str, Any]:
    axis = {
        "gridcolor": "@line",
        "linecolor": "@line-strong",
        "tickfont": {"size": 11, "color": "@text-3"},
        "zeroline": False,
        "fixedrange": True,
        "automargin": True,
    }
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "@font", "size": 12, "color": "@text-2"},
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "height": 200,
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "@surface", "bordercolor": "@line-strong"},
        "showlegend": legend,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"size": 11},
        },
        "xaxis": axis
        | {
            "type": "date",
            "showgrid": False,
            "nticks": 5,
            "tickformat": "%-d %b" if days else "%H:%M",
            "hoverformat": "%-d %b %H:%M UTC",
        },
        "yaxis": axis | {"rangemode": "tozero", "nticks": 4, "title": {"text": ""}},
        "meta": {"unit": unit},
    }


def _over(start: float, end: float) -> dict[str, Any]:
    """Where a shape stands: this span of time, the whole height."""
    return {"xref": "x", "yref": "paper", "x0": start, "x1": end, "y0": 0, "y1": 1}


def _shade(shade: Shade) -> dict[str, Any]:
    return _over(shade.start, shade.end) | {
        "type": "rect",
        "layer": "below",
        "fillcolor": "@chart-thin",
        "line": {"width": 0},
        "label": {"text": ""},
    }


def _mark(mark: Line) -> dict[str, Any]:
    return _over(mark.at, mark.at) | {
        "type": "line",
        "line": {"color": "@text-3" if mark.text else "@line-strong", "width": 1, "dash": "dot"},
        "label": {
            "text": mark.text,
            "textposition": "end",
            "textangle": -90,
            "xanchor": "right",
            "font": {"size": 10, "color": "@text-3"},
        },
    }
