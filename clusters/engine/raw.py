"""Careful access to JSON from clusters that may be broken or hostile. Nothing here raises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from clusters.engine.quantities import parse_count, parse_quantity

MOST_GPUS = 100_000  # per node or pod; a larger figure is a mistake or an attack on our sums
CLOCKS_DIFFER = 5.0  # seconds between a cluster's clock and ours that nobody minds
_LONGEST_TEXT = 253  # the longest name Kubernetes allows


def mapping(value: object) -> Mapping[str, object]:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> list[object]:
    """`value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def mappings(value: object) -> Iterable[Mapping[str, object]]:
    """The JSON objects of an array."""
    return (item for item in sequence(value) if isinstance(item, Mapping))


def text(value: object) -> str:
    """`value` if it is a string of a length that Kubernetes allows for names, else ''."""
    return value if isinstance(value, str) and len(value) <= _LONGEST_TEXT else ""


def word(value: object) -> str:
    """`value` if it is a text of one line that every store takes, of a name's length; else ''."""
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT and value.isprintable():
        return value
    return ""


def moment(value: object) -> float | None:
    """Unix seconds of a Kubernetes timestamp; None where it is none, or does not say its zone."""
    try:
        found = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo else None


def gpu_count(value: object) -> int | None:
    """A number of GPUs, or None where it cannot be read or cannot be true."""
    if not value and value != 0:
        return None
    if isinstance(value, str) and len(value) < 5 and value.isascii() and value.isdecimal():
        return int(value)  # as nearly every cluster writes it
    count = parse_count(value)
    return None if count is None or count > MOST_GPUS else count


def mebibytes(value: object) -> int | None:
    """Memory of a card in MiB from a label that is in MiB; None where it cannot be true."""
    if not value:
        return None
    if isinstance(value, str) and len(value) < 9 and value.isascii() and value.isdecimal():
        return int(value) or None
    number = parse_quantity(value)
    return int(number) if number is not None and 1 <= number < 2**31 else None


def first(labels: Mapping[str, str], keys: Iterable[str]) -> str:
    """The first of these labels that has a value we can keep, else ''."""
    for key in keys:
        value = labels.get(key)
        if value and word(value):
            return value
    return ""
