"""One text and one digest for one value.

A digest is what an approver signs, so two equal values must give the same text: keys are sorted,
sets are ordered, an integral float is written as an integer (databases turn 1.0 into 1), and what
JSON cannot say exactly (NaN, infinity, keys that are not text) is refused, never rounded away.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any


def plain(value: Any, where: str = "value") -> Any:
    """`value` as dicts with text keys, lists, text, numbers, booleans and None.

    Raises ValueError naming the place for a number that is not finite or a key that is not text,
    and TypeError for a type that has no plain form.
    """
    if isinstance(value, Enum):
        return plain(value.value, where)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _number(value, where)
    if isinstance(value, Mapping):
        return {_key(k, where): plain(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, Set):
        return sorted((plain(item, where) for item in value), key=dumps)
    if isinstance(value, Sequence):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name), f"{where}.{f.name}") for f in fields(value)}
    raise TypeError(f"{where}: {type(value).__name__} has no canonical form")


def _number(value: float, where: str) -> int | float:
    if not math.isfinite(value):
        raise ValueError(f"{where}: {value} is not a finite number; use None for unknown")
    return int(value) if value.is_integer() else value


def _key(key: object, where: str) -> str:
    if isinstance(key, Enum):
        key = key.value
    if not isinstance(key, str):
        raise ValueError(f"{where}: the key {key!r} is not text")
    return key


def dumps(value: Any) -> str:
    """Canonical JSON text: sorted keys, no spaces, UTF-8 characters as they are."""
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: Any) -> str:
    """SHA-256 of the canonical text, 64 hexadecimal digits."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()
