"""Sums of many rows of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")


def adder(kind: type[Row]) -> Callable[[Iterable[Row]], Row]:
    """Adds dataclasses of numbers up column by column: a thousand sums of two would be slower by
    far. Of none it makes one as its defaults say.
    """
    values = attrgetter(*(field.name for field in fields(kind)))

    def add_up(rows: Iterable[Row]) -> Row:
        return kind(*map(sum, zip(*map(values, rows), strict=True)))

    return add_up
