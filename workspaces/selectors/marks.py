"""Moments that explain a chart: when stages of rollouts started, passed or were undone.

Rollouts stand above this app, so they name their reader here at start-up (`told_by`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Mark:
    at: datetime
    text: str  # "r3 staging started"
    short: str  # "r3 staging": what a chart has room for; "" draws a line alone


Reader = Callable[[UUID, datetime], Sequence[Mark]]
_readers: list[Reader] = []


def told_by(reader: Reader) -> None:
    """`reader` gives the marks of a deployment since a moment, in order of time."""
    _readers[:] = [reader]


def marks(deployment: UUID, since: datetime) -> list[Mark]:
    return [mark for reader in _readers for mark in reader(deployment, since)]
