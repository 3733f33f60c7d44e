"""Kubernetes quantities ("8", "16Gi", "250m") to numbers.

Nodes and pods come from clusters that we do not control, so nothing here raises: what cannot be
read is None, which callers show as unknown and never as 0.
"""

from __future__ import annotations

import re
from decimal import ROUND_FLOOR, Decimal

_PATTERN = re.compile(r"([+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30}))([A-Za-z0-9+-]*)")
_EXPONENT = re.compile(r"[eE][+-]?[0-9]{1,2}")
_LONGEST = 80  # characters; no real quantity comes near

_SUFFIXES: dict[str, Decimal] = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
    "Ki": Decimal(1 << 10),
    "Mi": Decimal(1 << 20),
    "Gi": Decimal(1 << 30),
    "Ti": Decimal(1 << 40),
    "Pi": Decimal(1 << 50),
    "Ei": Decimal(1 << 60),
}


def parse_quantity(value: object) -> Decimal | None:
    """The number that a Kubernetes quantity stands for, or None.

    Accepts what JSON can carry: a string by the Kubernetes grammar (sign, decimals, decimal or
    binary suffix, or an exponent) or an integer. Floats are taken by their shortest text.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, int) and value.bit_length() > 128:  # text of huge integers is costly
        return None
    text = str(value).strip()
    match = _PATTERN.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    scale = _scale(match[2])
    return None if scale is None else Decimal(match[1]) * scale


def parse_count(value: object) -> int | None:
    """A quantity as a whole number that is not negative, rounded down; None if it is neither."""
    number = parse_quantity(value)
    if number is None or number < 0:
        return None
    return int(number.to_integral_value(rounding=ROUND_FLOOR))


def _scale(suffix: str) -> Decimal | None:
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    return Decimal(f"1{suffix}") if _EXPONENT.fullmatch(suffix) else None
