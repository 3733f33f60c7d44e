"""Prices as a CSV sheet: read with every error named by line and field, or not at all. Pure.

The first line names the columns, in any order. Whoever leaves `usd_per_hour` empty has made a slip
more often than not, so a price is taken back by the word `none`. A price holds from the moment when
it is stated until the next one: a date that has not come is refused, for it would hold before.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from clusters.engine.prices import CAPACITY_TYPES, ON_DEMAND, Key, key_of

COLUMNS = (
    *("provider", "region", "instance_type", "capacity_type"),
    *("usd_per_hour", "source", "as_of"),
)
NEEDED = ("provider", "instance_type", "usd_per_hour", "source")  # columns
FILLED = ("instance_type", "source")  # no provider: clusters that name none
LONGEST = {"provider": 20, "region": 60, "instance_type": 80, "source": 200}
MOST_LINES = 5_000
MOST_PROBLEMS = 50
LEAST_DOLLARS, MOST_DOLLARS = 0.01, 1e6  # what is less would be shown as $0.00
NONE = "none"
SOMEWHERE = timedelta(days=1)  # on earth it is that day already
_FILL = {"instance_type": "Name the instance type.", "source": "Say who states the price."}
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


@dataclass(frozen=True, slots=True)
class Wish:
    """A price as somebody wants it. `usd_per_hour` None: take back what was given."""

    provider: str
    region: str
    instance_type: str
    capacity_type: str
    usd_per_hour: float | None
    source: str
    as_of: date | None

    @property
    def key(self) -> Key:
        return key_of(self.provider, self.region, self.instance_type, self.capacity_type)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place. `line` counts from 1, the header included; 0: the whole text."""

    line: int
    field: str
    message: str
    remedy: str


def read_sheet(text: str, today: date) -> tuple[list[Wish], list[Problem]]:
    """All wishes and no problem, or no wish and every problem (at most MOST_PROBLEMS). `today`: in
    UTC."""
    if "\x00" in text:
        return [], [Problem(0, "csv", "It holds a NUL character.", "Save it as plain text.")]
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff")), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        said = str(error).rstrip(".")
        return [], [Problem(reader.line_num, "csv", f"It is no CSV: {said}.", "Check the quotes.")]
    if not rows:
        return [], [Problem(0, "csv", "It is empty.", f"Start with {','.join(COLUMNS)}.")]
    header = [cell.strip().lower() for cell in rows[0][1]]
    problems = _other_signs(rows[0]) or list(_header_problems(rows[0][0], header))
    if not problems and len(rows) - 1 > MOST_LINES:
        problems = [Problem(0, "csv", f"It has over {MOST_LINES:,} lines.", "Send it in parts.")]
    return ([], problems) if problems else _read_rows(header, rows[1:], today)


def _other_signs(first: tuple[int, list[str]]) -> list[Problem]:
    """Spreadsheets of half the world part columns by semicolons, and write 3,67 for 3.67."""
    line, cells = first
    found = [name for sign, name in ((";", "semicolons"), ("\t", "tabs")) if sign in cells[0]]
    remedy = "Save it with commas between columns and points in numbers."
    return [Problem(line, "csv", f"Its columns are parted by {name}.", remedy) for name in found]


def _header_problems(line: int, header: list[str]) -> Iterator[Problem]:
    for name in header:
        if name not in COLUMNS:
            yield Problem(line, name[:40], "It is no column.", f"Use {', '.join(COLUMNS)}.")
        elif header.count(name) > 1:
            yield Problem(line, name, "The column is there twice.", "Leave one of them out.")
    for name in NEEDED:
        if name not in header:
            yield Problem(line, name, "The column is missing.", "Name it in the first line.")


def _read_rows(
    header: list[str], rows: list[tuple[int, list[str]]], today: date
) -> tuple[list[Wish], list[Problem]]:
    wishes: list[Wish] = []
    problems: list[Problem] = []
    seen: dict[Key, int] = {}
    for line, cells in rows:
        if len(cells) != len(header):
            remedy = f"The header has {len(header)}."
            problems.append(Problem(line, "csv", f"The line has {len(cells)} fields.", remedy))
            continue
        found = read_wish(dict(zip(header, cells, strict=True)), today, line)
        if isinstance(found, Wish):
            first = seen.setdefault(found.key, line)
            if first != line:
                words = f"The same price is on line {first}."
                problems.append(Problem(line, "instance_type", words, "Leave one out."))
            wishes.append(found)
        else:
            problems.extend(found)
    return ([], problems[:MOST_PROBLEMS]) if problems else (wishes, [])


def read_wish(raw: Mapping[str, str], today: date, line: int = 0) -> Wish | list[Problem]:
    """One price from its fields as typed; a list of what is wrong with them instead."""
    cells = {name: raw.get(name, "").strip() for name in COLUMNS}
    problems = [Problem(line, *found) for found in _text_problems(cells)]
    capacity = cells["capacity_type"].lower() or ON_DEMAND
    if capacity not in CAPACITY_TYPES:
        words = f"{capacity[:40]!r} is no capacity type."
        problems.append(Problem(line, "capacity_type", words, f"Use {', '.join(CAPACITY_TYPES)}."))
    dollars = _dollars(cells["usd_per_hour"])
    if isinstance(dollars, str):
        remedy = f"Write the $/h of one node, or {NONE} to take the price back."
        problems.append(Problem(line, "usd_per_hour", dollars, remedy))
    as_of = _day(cells["as_of"])
    if isinstance(as_of, str):
        problems.append(Problem(line, "as_of", as_of, "Write it as 2026-01-31, or leave it empty."))
    elif as_of is not None and as_of > today + SOMEWHERE:
        words = f"{as_of} has not come yet, and a price holds from when it is stated."
        problems.append(Problem(line, "as_of", words, "State it on that day."))
    if problems or isinstance(dollars, str) or isinstance(as_of, str):
        return problems
    return Wish(
        provider=cells["provider"].lower(),
        region=cells["region"].lower(),
        instance_type=cells["instance_type"],
        capacity_type=capacity,
        usd_per_hour=dollars,
        source=cells["source"],
        as_of=as_of,
    )


def _text_problems(cells: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, longest in LONGEST.items():
        text = cells[name]
        if len(text) > longest:
            yield name, "It is too long.", f"At most {longest} characters."
        elif not text and name in FILLED:
            yield name, "It is empty.", _FILL[name]
        elif text and name != "source" and not _WORD.fullmatch(text):
            yield name, f"{text[:40]!r} holds characters that no such name has.", "Check it."
        elif not text.isprintable():
            yield name, "It holds characters that cannot be printed.", "Retype it."


def _dollars(text: str) -> float | str | None:
    """A figure, None for `none`, or what is wrong."""
    if text.lower() == NONE:
        return None
    try:
        plain = text.isascii() and "_" not in text  # Python reads 1_0 as ten
        value = float(text.removeprefix("$")) if plain else math.nan
    except ValueError:
        value = math.nan
    if not text:
        return "It is empty."
    if not LEAST_DOLLARS <= value < MOST_DOLLARS:
        return f"{text[:40]!r} is no price from {LEAST_DOLLARS} to below {MOST_DOLLARS:,.0f}."
    return value


def _day(text: str) -> date | str | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return f"{text[:40]!r} is no date."
