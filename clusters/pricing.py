"""The shipped list prices: a YAML file to be edited by people, and the code that reads it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from clusters.engine import prices
from clusters.engine.prices import Price, PriceBook

FILE = Path(__file__).parent / "data" / "prices.yaml"


@cache
def load_prices() -> tuple[Price, ...]:
    """Every shipped price. Raises PriceError when the file does not fit."""
    return prices.parse(yaml.safe_load(FILE.read_text(encoding="utf-8")))


@cache
def price_book() -> PriceBook:
    return prices.book(load_prices())
