"""List prices of nodes and how to look one up. No price is ever guessed: unknown is None.

A price is a dated statement of a source. Where only one region was read, the row is provider-wide
and says where it was measured, so that a page can say "eastus list price" beside a figure.
What somebody gave later stands over what is shipped, from that moment on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

ON_DEMAND = "on-demand"
CAPACITY_TYPES = (ON_DEMAND, "spot", "reserved")
FIELDS = {"provider", "region", "measured_in", "source", "as_of", "capacity_type", "prices"}


class PriceError(ValueError):
    """A price document does not fit; the text names the row and the remedy."""


@dataclass(frozen=True, slots=True)
class Price:
    """$/h of one node. An empty `region` stands for every region of the provider; `measured_in` is
    where the figure was read; `as_of` None: the source gives no date."""

    provider: str  # azure | aws | gcp
    region: str
    instance_type: str
    capacity_type: str  # on-demand | spot | reserved
    usd_per_hour: float
    source: str
    as_of: date | None
    measured_in: str


Key = tuple[str, str, str, str]
PriceBook = Mapping[Key, Price]


def book(prices: Iterable[Price]) -> PriceBook:
    """Prices by provider, region, instance type and capacity type; of two, the newer one."""
    found: dict[Key, Price] = {}
    for price in prices:
        key = _key(price.provider, price.region, price.instance_type, price.capacity_type)
        other = found.get(key)
        if other is None or (price.as_of or date.min) >= (other.as_of or date.min):
            found[key] = price
    return found


def price(
    prices: PriceBook, provider: str, region: str, instance_type: str, capacity_type: str
) -> Price | None:
    """The price of the region, else the provider-wide one, else None: unknown. Any letter case."""
    exact = prices.get(_key(provider, region, instance_type, capacity_type))
    return exact or prices.get(_key(provider, "", instance_type, capacity_type))


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody said of a key at `at`. `price` None: what was given before is taken back, and
    the shipped price, if there is one, holds again."""

    at: datetime
    key: Key
    price: Price | None


@dataclass(frozen=True, slots=True)
class Step:
    """A price from `at` on, until the next step. `at` None: since ever. None $/h: unknown."""

    at: datetime | None
    usd_per_hour: float | None


def book_at(shipped: PriceBook, given: Iterable[Given], at: datetime | None = None) -> PriceBook:
    """The book in force at a moment, or after all that was given. `given`: oldest first."""
    found = dict(shipped)
    for one in given:
        if at is None or one.at <= at:
            _put(found, shipped, one)
    return found


def _put(found: dict[Key, Price], shipped: PriceBook, one: Given) -> None:
    now = one.price or shipped.get(one.key)
    if now is None:
        found.pop(one.key, None)
    else:
        found[one.key] = now


def steps(
    shipped: PriceBook,
    given: Iterable[Given],
    provider: str,
    region: str,
    instance_type: str,
    capacity_type: str,
) -> tuple[Step, ...]:
    """How the price of one kind of node went, oldest first; the first step is since ever.

    What was stated later holds later, also where the clock went back between the two.
    """
    keys = {
        _key(provider, region, instance_type, capacity_type),
        _key(provider, "", instance_type, capacity_type),
    }
    book = {key: shipped[key] for key in keys if key in shipped}
    base = dict(book)
    asked = (provider, region, instance_type, capacity_type)
    found = [Step(None, _dollars(book, asked))]
    for one in given:
        if one.key not in keys:
            continue
        _put(book, base, one)
        dollars = _dollars(book, asked)
        if dollars != found[-1].usd_per_hour:
            found.append(Step(max(one.at, found[-1].at or one.at), dollars))
    return tuple(found)


def _dollars(book: PriceBook, asked: Key) -> float | None:
    found = price(book, *asked)
    return None if found is None else found.usd_per_hour


def key_of(provider: str, region: str, instance_type: str, capacity_type: str) -> Key:
    """The key that a price is stored and found under: any letter case."""
    return _key(provider, region, instance_type, capacity_type)


def parse(document: object) -> tuple[Price, ...]:
    """Prices of a loaded document: a list of sections, each one source. Raises PriceError."""
    sections = document.get("sections") if isinstance(document, dict) else None
    if not isinstance(sections, list):
        raise PriceError("prices: sections must be a list of sources with their prices")
    return tuple(row for section in sections for row in _section(section))


def _key(provider: str, region: str, instance_type: str, capacity_type: str) -> Key:
    return provider.lower(), region.lower(), instance_type.lower(), capacity_type.lower()


def _section(raw: object) -> list[Price]:
    if not isinstance(raw, dict) or not isinstance(raw.get("prices"), dict):
        raise PriceError("prices: a section needs a provider, a source and a mapping of prices")
    who = f"prices of {raw.get('provider')}, {raw.get('source')}"
    unknown = sorted(set(raw) - FIELDS)
    if unknown:
        raise PriceError(f"{who}: unknown field {unknown[0]!r}; remove it or correct its name")
    return [_row(raw, who, name, figure) for name, figure in raw["prices"].items()]


def _row(raw: Mapping[str, object], who: str, name: object, figure: object) -> Price:
    if isinstance(figure, bool) or not isinstance(figure, int | float) or not 0 < figure < 1e6:
        raise PriceError(f"{who}: {name} must be a positive number of $/h, not {figure!r}")
    return Price(
        provider=_text(raw, "provider", who),
        region=_text(raw, "region", who, ""),
        instance_type=str(name),
        capacity_type=_capacity(raw, who),
        usd_per_hour=float(figure),
        source=_text(raw, "source", who),
        as_of=_date(raw, who),
        measured_in=_text(raw, "measured_in", who, ""),
    )


def _text(raw: Mapping[str, object], name: str, who: str, default: str | None = None) -> str:
    value = raw.get(name, default)
    if not isinstance(value, str):
        raise PriceError(f"{who}: {name} must be text, not {value!r}")
    return value


def _capacity(raw: Mapping[str, object], who: str) -> str:
    value = _text(raw, "capacity_type", who, ON_DEMAND)
    if value not in CAPACITY_TYPES:
        raise PriceError(f"{who}: capacity_type must be one of {', '.join(CAPACITY_TYPES)}")
    return value


def _date(raw: Mapping[str, object], who: str) -> date | None:
    value = raw.get("as_of")
    if value is not None and not isinstance(value, date):
        raise PriceError(f"{who}: as_of must be a date like 2026-01-31, or null when unknown")
    return value
