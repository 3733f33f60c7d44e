from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine import prices
from clusters.engine.price_sheet import COLUMNS, Wish, read_sheet
from clusters.engine.prices import Given, Price, PriceBook, book_at, key_of, steps

HEAD = ",".join(COLUMNS)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TODAY = NOON.date()


def test_a_sheet_is_read_whatever_the_order_of_its_columns() -> None:
    text = "\ufeffusd_per_hour,instance_type,provider,source\n3.5,Standard_X,Azure,contract\n"
    wishes, problems = read_sheet(text, TODAY)
    assert not problems
    assert wishes == [
        Wish("azure", "", "Standard_X", "on-demand", 3.5, "contract", None),
    ]


def test_the_word_none_takes_a_price_back() -> None:
    [wish], _ = read_sheet(f"{HEAD}\naws,,g6.xlarge,spot,none,ended,2026-01-31\n", TODAY)
    assert wish.usd_per_hour is None
    assert wish.as_of == date(2026, 1, 31)


@pytest.mark.parametrize(
    ("row", "line", "field"),
    [
        ("aws,,g6.xlarge,on-demand,,x,", 2, "usd_per_hour"),
        ("aws,,g6.xlarge,on-demand,0,x,", 2, "usd_per_hour"),
        ("aws,,g6.xlarge,on-demand,nan,x,", 2, "usd_per_hour"),
        ("aws,,g6.xlarge,on-demand,1_0,x,", 2, "usd_per_hour"),
        ("aws,,g6.xlarge,on-demand,1e-300,x,", 2, "usd_per_hour"),
        ("aws,,g6.xlarge,on-demand,1e999,x,", 2, "usd_per_hour"),
        ("aws,,g6.xlarge,on-demand,inf,x,", 2, "usd_per_hour"),
        ("aws,,g6.xlarge,free,1,x,", 2, "capacity_type"),
        ("aws,,g6.xlarge,spot,1,x,yesterday", 2, "as_of"),
        ("aws,,g6.xlarge,spot,1,,", 2, "source"),
        ("aws,,,spot,1,x,", 2, "instance_type"),
        ("aws,,g6 xlarge,spot,1,x,", 2, "instance_type"),
        (f"aws,{'r' * 61},g6.xlarge,spot,1,x,", 2, "region"),
        ("aws,g6.xlarge,1", 2, "csv"),
        ("aws,,g6.xlarge,spot,1,x,\naws,,G6.xlarge,spot,2,x,", 3, "instance_type"),
    ],
)
def test_an_error_names_its_line_and_field_and_nothing_is_taken(
    row: str, line: int, field: str
) -> None:
    wishes, problems = read_sheet(f"{HEAD}\n{row}\n", TODAY)
    assert wishes == []
    assert (problems[0].line, problems[0].field) == (line, field)
    assert problems[0].message and problems[0].remedy


def test_a_price_of_a_day_that_has_not_come_is_refused_since_it_would_hold_from_now() -> None:
    def said(day: date) -> str:
        wishes, problems = read_sheet(f"{HEAD}\naws,,g6.xlarge,spot,1,x,{day}\n", TODAY)
        assert bool(wishes) != bool(problems)
        return " ".join(f"{one.line} {one.field} {one.message} {one.remedy}" for one in problems)

    assert said(TODAY) == said(TODAY + timedelta(days=1)) == "", "where the day begins first"
    later = said(TODAY + timedelta(days=2))
    assert later.startswith("2 as_of 2026-05-03 has not come yet") and "that day" in later


def test_empty_lines_count_but_are_no_prices() -> None:
    wishes, problems = read_sheet(f"{HEAD}\n\naws,,g6.xlarge,spot,x,s,\n", TODAY)
    assert wishes == [] and problems[0].line == 3


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "csv"),
        ("provider,instance_type,source\naws,x,s", "usd_per_hour"),
        (f"{HEAD},colour\n", "colour"),
        (f"{HEAD},source\n", "source"),
        ("\x00", "csv"),
        (f'{HEAD}\n"aws', "csv"),
    ],
)
def test_a_wrong_header_is_named(text: str, field: str) -> None:
    wishes, problems = read_sheet(text, TODAY)
    assert wishes == [] and problems[0].field == field


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_sheet_without_commas_is_told_so_once(sign: str, name: str) -> None:
    sheet = f"{HEAD}\naws,,g6.xlarge,spot,1,x,\n".replace(",", sign)
    wishes, (problem,) = read_sheet(sheet, TODAY)
    assert wishes == [] and (problem.line, problem.field) == (1, "csv")
    assert name in problem.message and "commas" in problem.remedy


@given(st.text(max_size=400) | st.text(alphabet='",\n\rab1.', max_size=400))
def test_no_text_breaks_the_reader(text: str) -> None:
    for full in (text, f"{HEAD}\n{text}"):
        wishes, problems = read_sheet(full, TODAY)
        assert not (wishes and problems)
        assert all(wish.usd_per_hour is None or wish.usd_per_hour > 0 for wish in wishes)


def _price(region: str, dollars: float) -> Price:
    return Price("aws", region, "g6.xlarge", "on-demand", dollars, "test", None, "")


def _given(hours: int, region: str, dollars: float | None) -> Given:
    price = None if dollars is None else _price(region, dollars)
    key = key_of("aws", region, "g6.xlarge", "on-demand")
    return Given(NOON + timedelta(hours=hours), key, price)


SHIPPED: PriceBook = prices.book([_price("", 1.0)])
ASKED = ("aws", "eu-1", "g6.xlarge", "on-demand")


def _in_force(said: list[Given], at: datetime | None = None) -> float | None:
    found = prices.price(book_at(SHIPPED, said, at), *ASKED)
    return None if found is None else found.usd_per_hour


def test_what_was_given_holds_from_its_moment_on() -> None:
    said = [_given(1, "", 2.0), _given(2, "eu-1", 3.0), _given(3, "eu-1", None)]
    moments = [NOON + timedelta(hours=hour) for hour in (0, 1, 2, 3)]
    assert [_in_force(said, at) for at in moments] == [1.0, 2.0, 3.0, 2.0]
    assert _in_force(said) == 2.0


def test_taking_back_leaves_the_shipped_price_or_none() -> None:
    assert _in_force([_given(1, "", 2.0), _given(2, "", None)]) == 1.0
    only_given = [_given(1, "eu-1", 2.0), _given(2, "eu-1", None)]
    assert prices.price(book_at({}, only_given), *ASKED) is None


sayings = st.lists(
    st.tuples(st.sampled_from(["", "eu-1", "us-1"]), st.sampled_from([None, 1.0, 2.0, 3.0])),
    max_size=8,
)


@given(sayings)
def test_the_steps_are_the_book_at_every_moment(said: list[tuple[str, float | None]]) -> None:
    rows = [_given(hour, region, dollars) for hour, (region, dollars) in enumerate(said)]
    found = steps(SHIPPED, rows, *ASKED)
    assert found[0].at is None
    for hour in range(-1, len(rows) + 1):
        at = NOON + timedelta(hours=hour)
        step = [one for one in found if one.at is None or one.at <= at][-1]
        assert step.usd_per_hour == _in_force(rows, at)


def test_no_hour_has_two_prices_where_the_clock_went_back_between_them() -> None:
    said = [_given(5, "", 2.0), _given(3, "", 3.0), _given(6, "", 4.0)]
    moments = [one.at for one in steps(SHIPPED, said, *ASKED)]
    assert moments == [None, *(NOON + timedelta(hours=hour) for hour in (5, 5, 6))]
