from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.quantities import parse_count, parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("8", "8"),
        ("250m", "0.25"),
        ("16Gi", str(16 << 30)),
        ("1.5Gi", str(3 << 29)),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("2E", "2e18"),
        ("-1", "-1"),
        ("+5k", "5000"),
        (".5", "0.5"),
        ("1.", "1"),
        (7, "7"),
        (0.5, "0.5"),
        ("100n", "1e-7"),
    ],
)
def test_every_form_of_the_grammar_is_read(text: object, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        None,
        True,
        "",
        "x",
        "8 Gi",
        "1KI",
        "1e",
        "1e999",
        "NaN",
        "inf",
        float("nan"),
        float("inf"),
        [],
        {},
        "1" * 99,
        10**500,
        "٣",
    ],
)
def test_garbage_is_unknown(text: object) -> None:
    assert parse_quantity(text) is None
    assert parse_count(text) is None


def test_a_count_is_whole_and_never_negative() -> None:
    assert parse_count("2500m") == 2
    assert parse_count("-3") is None


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.binary(), st.booleans()))
def test_nothing_makes_it_raise(value: object) -> None:
    count = parse_count(value)
    assert count is None or count >= 0


@given(st.integers(0, 2**60), st.sampled_from(["", "k", "Ki", "Mi", "Gi"]))
def test_a_larger_figure_is_never_a_smaller_quantity(value: int, suffix: str) -> None:
    one, two = parse_quantity(f"{value}{suffix}"), parse_quantity(f"{value + 1}{suffix}")
    assert one is not None
    assert two is not None
    assert one < two
