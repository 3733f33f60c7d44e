"""The words, chips and links that templates make."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.http import HttpRequest, QueryDict
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from fleetportal.kit import format as words
from fleetportal.kit.states import Machine, State
from fleetportal.kit.templatetags import fleet
from workspaces.engine.types import Line

NOW = datetime(2024, 3, 1, 12, 0, 0, tzinfo=UTC)
LIGHT = Machine(
    "light", {"red": State("Red light", "bad"), "green": State("Green", "ok")}, [("red", "green")]
)


@dataclass(frozen=True)
class Term:
    name: str
    weight: float
    value: float | None
    points: float
    explanation: str = ""


def render(source: str, **context: object) -> str:
    return Template("{% load fleet %}" + source).render(Context(context))


def request(query: str) -> HttpRequest:
    return RequestFactory().get(f"/things/?{query}")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.num(131072), "131,072"),
        (words.num(0.25, 2), "0.25"),
        (words.num(12.34), "12.3"),
        (words.num(None), "unknown"),
        (words.gib(14.24), "14.2 GiB"),
        (words.gib(80), "80 GiB"),
        (words.gib_of_bytes(22 << 30), "22 GiB"),
        (words.gib_of_bytes(None), "unknown"),
        (words.gpus(1), "1 GPU"),
        (words.gpus(0), "0 GPUs"),
        (words.gpus(None), "unknown GPUs"),
        (words.money(8.154), "$8.15/h"),
        (words.money(-3.67), "-$3.67/h"),
        (words.money(None), "unknown"),
        (words.percent(0.183), "18 %"),
        (words.duration(45), "45 s"),
        (words.duration(119.6), "2 min"),
        (words.duration(3599.9), "1 h"),
        (words.duration(3900), "1 h 5 min"),
        (words.duration(7199), "1 h 59 min"),
        (words.duration(86399), "23 h 59 min"),
        (words.duration(3 * 86400 + 4 * 3600), "3 d 4 h"),
        (words.duration(None), "unknown"),
        (words.short_digest("sha256:4f2c9a81bb02ff77"), "4f2c9a81bb02"),
        (words.short_digest("4f2c9a81", 4), "4f2c"),
        (words.short_digest(None), "none"),
    ],
)
def test_values_read_as_people_say_them(said: str, expected: str) -> None:
    assert said == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "now"), (12, "12 s ago"), (119, "119 s ago"), (150, "2 min ago"), (90000, "25 h ago")],
)
def test_ages_have_one_unit(seconds: int, expected: str) -> None:
    assert words.ago(NOW - timedelta(seconds=seconds), NOW) == expected


def test_a_time_that_never_was_says_never_and_a_deadline_that_is_not_says_no_limit() -> None:
    assert words.ago(None, NOW) == "never"
    assert words.until(None, NOW) == "no limit"
    assert words.until(NOW - timedelta(seconds=1), NOW) == "due"
    assert words.until(NOW + timedelta(seconds=42), NOW) == "in 42 s"


def test_exact_times_are_in_utc() -> None:
    assert words.exact(NOW) == "2024-03-01 12:00:00 UTC"


@given(st.floats(min_value=0, max_value=1e8))
def test_a_duration_never_shows_a_full_smaller_unit(seconds: float) -> None:
    assert "60 s" not in words.duration(seconds) or seconds < 120
    assert " 60 min" not in words.duration(seconds)


def test_a_state_becomes_its_word_with_the_shape_of_its_tone() -> None:
    html = render("{% state_chip state machine %}", state="red", machine=LIGHT)
    assert html == '<span class="chip tone-bad">Red light</span>'


def test_a_chip_may_name_its_cause_and_is_escaped() -> None:
    html = render("{% state_chip state label=label %}", state=LIGHT.states["green"], label="<b>")
    assert html == '<span class="chip tone-ok">&lt;b&gt;</span>'


def test_a_state_nobody_knows_looks_unknown_rather_than_fine() -> None:
    html = render("{% state_chip state machine %}", state="half_open", machine=LIGHT)
    assert html == '<span class="chip tone-unknown">Half open</span>'


def test_a_chip_refuses_no_tone_but_shows_an_unheard_of_one_as_unknown() -> None:
    assert 'class="chip tone-unknown"' in render('{% chip "Odd" "purple" %}')
    assert 'class="chip tone-bad outline"' in render('{% chip "Overridden" "bad" "outline" %}')


def test_an_age_carries_the_exact_stamp_and_can_be_focused() -> None:
    html = render("{% age moment stale=30 old=300 %}", moment=NOW)
    assert 'tabindex="0"' in html
    assert 'datetime="2024-03-01T12:00:00+00:00"' in html
    assert "2024-03-01 12:00:00 UTC" in html
    assert 'class="age old"' in html


def test_a_countdown_without_deadline_says_so() -> None:
    assert "no limit" in render("{% countdown deadline %}", deadline=None)


def test_links_keep_the_filters_of_the_page() -> None:
    html = render("{% qs page=3 %}", request=request("state=ready&page=2"))
    assert QueryDict(html[1:].replace("&amp;", "&")).dict() == {"state": "ready", "page": "3"}


def test_changing_a_filter_goes_back_to_the_first_page() -> None:
    assert render("{% qs state=None %}", request=request("state=ready&page=2")) == "?"


def test_a_sorted_column_offers_the_other_direction() -> None:
    html = render('{% sort_th "name" "Cluster" %}', request=request("sort=name&page=4"))
    assert 'aria-sort="ascending"' in html
    assert 'href="?sort=-name"' in html


def test_an_unsorted_column_offers_ascending_and_claims_no_order() -> None:
    html = render('{% sort_th "free" "Free" "num" %}', request=request("sort=-name"))
    assert "aria-sort" not in html
    assert 'href="?sort=free"' in html


TERMS = st.lists(
    st.builds(
        Term,
        name=st.just("t"),
        weight=st.floats(0, 100),
        value=st.none(),
        points=st.floats(-100, 100),
    ),
    max_size=9,
)


@given(TERMS)
def test_the_bar_ends_at_the_total(terms: list[Term]) -> None:
    scale = max(sum(t.weight for t in terms), sum(max(t.points, 0) for t in terms)) or 1
    total = sum(t.points for t in terms)
    assert fleet.score_end(terms) == pytest.approx(total / scale * 100, abs=0.01)


def test_terms_lie_end_to_end_without_gaps() -> None:
    bar = fleet.score_segments([Term("a", 30, 0.5, 15.0), Term("b", 70, 0.5, 35.0)])
    assert [(piece.x, piece.width) for piece in bar] == [(0.0, 15.0), (15.0, 35.0)]


def test_a_sum_says_one_node_and_two_nodes() -> None:
    lines = [Line("Nodes", "GPUs needed / 1, rounded up", count, "nodes") for count in (1, 2)]
    text = render_to_string("components/arithmetic.html", {"estimate": {"lines": lines}})
    assert '1<span class="unit">node</span>' in text
    assert '2<span class="unit">nodes</span>' in text


def test_a_sum_never_shortens_the_unit_of_memory() -> None:
    lines = [Line("KV cache per GPU", "2,048 tokens", 1.0, "GiB")]
    text = render_to_string("components/arithmetic.html", {"estimate": {"lines": lines}})
    assert '1.00<span class="unit">GiB</span>' in text
