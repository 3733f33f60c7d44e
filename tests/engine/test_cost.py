from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspaces.engine.cost import HOUR, Rate, Span, Total, held, per_million, share, spent, total

ALWAYS = (Rate(None, 2.0),)


def test_nodes_cost_their_price_for_as_long_as_they_are_held() -> None:
    assert spent(Span(0, 3 * HOUR), 2, ALWAYS, now=10 * HOUR) == (12.0, 0.0)
    assert spent(Span(0, None), 1, ALWAYS, now=HOUR) == (2.0, 0.0)


def test_a_price_counts_from_its_moment_and_unknown_hours_stand_apart() -> None:
    rates = (Rate(None, None), Rate(HOUR, 2.0), Rate(3 * HOUR, 4.0))
    assert spent(Span(0, 4 * HOUR), 1, rates, now=9 * HOUR) == (8.0, 1.0)


def test_a_workspace_holds_nodes_from_its_first_step_until_it_is_retired() -> None:
    moves = [(1.0, "planned"), (2.0, "applying"), (3.0, "ready"), (4.0, "retiring")]
    assert held(moves) == Span(2.0, None)
    assert held([*moves, (5.0, "retired")]) == Span(2.0, 5.0)
    assert held([(1.0, "planned"), (2.0, "retired")]) is None
    assert held([]) is None


def test_a_total_says_what_it_leaves_out() -> None:
    assert total([1.0, None, 2.5]) == Total(3.5, 2, 1)
    assert total([]).value == 0.0
    assert total([None]).value is None
    assert (total([1.0]) + total([None])).value == 1.0


@pytest.mark.parametrize(
    ("dollars", "tokens", "expected"),
    [(3.6, 1_000_000.0, 0.06), (None, 5.0, None), (1.0, None, None), (1.0, 0.0, None)],
)
def test_dollars_per_million_tokens(
    dollars: float | None, tokens: float | None, expected: float | None
) -> None:
    assert per_million(dollars, tokens) == pytest.approx(expected)


def test_a_gpus_share_of_an_unknown_node_is_unknown() -> None:
    assert share(8.0, 8) == 1.0
    assert share(None, 8) is None and share(8.0, 0) is None


times = st.floats(0, 1e6)
prices = st.none() | st.floats(0.01, 200)


@given(
    start=times,
    length=times,
    nodes=st.integers(1, 50),
    first=prices,
    later=st.lists(st.tuples(times, prices), max_size=6),
)
def test_known_and_unknown_hours_make_the_whole_span(
    start: float, length: float, nodes: int, first: float | None, later: list[tuple[float, float]]
) -> None:
    rates = [Rate(None, first), *(Rate(at, usd) for at, usd in sorted(later, key=lambda s: s[0]))]
    ones = [Rate(one.at, None if one.usd_per_hour is None else 1.0) for one in rates]
    known, unknown = spent(Span(start, start + length), nodes, ones, now=3e6)
    assert known + unknown == pytest.approx(length / HOUR * nodes)
