"""Figures are what Plotly takes: its own Python package validates every one."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest

from fleetportal.kit import charts

Y = [1.0, None, 3.0, 2.0]


def coloured(value: Any) -> Any:
    """Tokens as charts.js resolves them."""
    if isinstance(value, dict):
        return {key: coloured(one) for key, one in value.items()}
    if isinstance(value, list):
        return [coloured(one) for one in value]
    if isinstance(value, str) and value.startswith("@"):
        return "Inter" if value == "@font" else "rgb(1, 2, 3)"
    return value


def a_figure() -> dict[str, Any]:
    return charts.lines(
        [charts.Curve("p95", Y), charts.Curve("r1 p95", Y, "second", "dash", ["a", "", "b", "c"])],
        unit="s",
        bands=[charts.Band([0.5, None, 2.5, 1.0], [1.5, None, 5.0, 2.5])],
        marks=[charts.Line(1.8e12, "r2 test started")],
    )


def test_plotly_accepts_every_part_of_a_figure() -> None:
    figure = go.Figure(coloured(a_figure()))
    assert len(figure.data) == 3 and figure.layout.shapes[0].label.text == "r2 test started"


def test_plotly_would_refuse_what_it_does_not_know() -> None:
    wrong = coloured(a_figure())
    wrong["layout"]["no_such_thing"] = 1
    with pytest.raises(ValueError, match="no_such_thing"):
        go.Figure(wrong)


def test_a_band_is_one_closed_shape_for_each_stretch_without_a_gap() -> None:
    band = a_figure()["data"][0]
    assert band["meta"]["at"] == [0, 0, None, 2, 3, 3, 2, None]
    assert band["y"] == [1.5, 0.5, None, 5.0, 2.5, 1.0, 2.5, None]


def test_a_value_between_two_gaps_is_a_dot() -> None:
    assert a_figure()["data"][1]["marker"]["size"] == [4, 0, 0, 0]


def test_a_gap_stays_a_gap_and_one_curve_needs_no_legend() -> None:
    figure = charts.lines([charts.Curve("ended", Y)], unit="per second")
    assert figure["data"][0]["y"] == Y and figure["data"][0]["connectgaps"] is False
    assert figure["layout"]["showlegend"] is False
