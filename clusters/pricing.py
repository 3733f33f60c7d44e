"""The price book: shipped list prices, and over them what people gave. One query for each use.

Rows of PriceEntry are never changed, so their number and the newest one are a version: what was
built from them can be kept until it differs. Nothing here writes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path

import yaml
from django.db.models import Count, Max

from clusters.engine import prices
from clusters.engine.prices import Given, Price, PriceBook, Step
from clusters.engine.types import PoolFacts
from clusters.models import Cluster, PriceEntry

Version = tuple[int, int | None, datetime | None]
FILE = Path(__file__).parent / "data" / "prices.yaml"


@cache
def load_prices() -> tuple[Price, ...]:
    """Every shipped price. Raises PriceError when the file does not fit."""
    return prices.parse(yaml.safe_load(FILE.read_text(encoding="utf-8")))


@cache
def shipped_book() -> PriceBook:
    return prices.book(load_prices())


def price_book(at: datetime | None = None) -> PriceBook:
    """The prices in force now, or at a moment."""
    version = newest()
    return _book(version) if at is None else prices.book_at(shipped_book(), given(version), at)


def price_steps(
    version: Version, provider: str, region: str, instance_type: str, capacity_type: str
) -> tuple[Step, ...]:
    """How the price of one kind of node went, up to a version of the book (see `newest`)."""
    asked = (provider, region, instance_type, capacity_type)
    return prices.steps(shipped_book(), given(version), *asked)


def pool_priced(cluster: Cluster, pool: PoolFacts, book: PriceBook) -> PoolFacts:
    """The pool with the price in force; None where the book knows none."""
    asked = (cluster.provider, cluster.region, pool.instance_type, pool.capacity_type)
    found = prices.price(book, *asked)
    return replace(pool, price_per_hour=None if found is None else found.usd_per_hour)


def newest() -> Version:
    """What the book is built from (one query)."""
    found = PriceEntry.objects.aggregate(rows=Count("id"), last=Max("id"), at=Max("created_at"))
    return found["rows"], found["last"], found["at"]


@lru_cache(maxsize=4)
def given(version: Version) -> tuple[Given, ...]:
    """All that people gave up to a version, oldest first."""
    return tuple(_given(row) for row in PriceEntry.objects.order_by("id"))


@lru_cache(maxsize=4)
def _book(version: Version) -> PriceBook:
    return prices.book_at(shipped_book(), given(version))


def _given(row: PriceEntry) -> Given:
    key = prices.key_of(row.provider, row.region, row.instance_type, row.capacity_type)
    if row.usd_per_hour is None:
        return Given(row.created_at, key, None)
    price = Price(
        provider=row.provider,
        region=row.region,
        instance_type=row.instance_type,
        capacity_type=row.capacity_type,
        usd_per_hour=row.usd_per_hour,
        source=row.source,
        as_of=row.as_of,
        measured_in=row.region,
    )
    return Given(row.created_at, key, price)
