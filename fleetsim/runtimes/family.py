"""Metric families over time: one definition gives the text of a scrape and a Prometheus' past."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Labels: TypeAlias = tuple[tuple[str, str], ...]
Sample: TypeAlias = tuple[str, Labels, NDArray[Any]]  # name with its suffix, labels, T values
Rows: TypeAlias = Iterable[Sample]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: `rows` makes its samples from what `S` knows. `kind` as in a TYPE line."""

    name: str
    kind: str
    rows: Callable[[Any], Rows]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its samples."""
        if self.kind == "histogram":
            return tuple(self.name + end for end in ("_bucket", "_sum", "_count"))
        return (self.name,)


def summed(family: Family, sheets: Sequence[Any]) -> Iterator[Sample]:
    """The family's samples, added up over several sheets of one engine."""
    for rows in zip(*(family.rows(sheet) for sheet in sheets), strict=True):
        name, labels, values = rows[0]
        for _, _, more in rows[1:]:
            values = values + more
        yield name, labels, values


def shown(value: Any) -> str:
    """A value as Python's client library prints it."""
    return repr(float(value))


def text(families: Sequence[Family], sheet: Any) -> str:
    """The exposition: the first moment of every sample that has a value."""
    lines = ["# Simulated load, not measured."]
    for family in families:
        rows = [_line(sample) for sample in family.rows(sheet)]
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines += [row for row in rows if row]
    return "\n".join(lines) + "\n"


def _line(sample: Sample) -> str:
    name, labels, values = sample
    value = values[0]
    if value != value:
        return ""
    inside = ",".join(f'{key}="{escaped(told)}"' for key, told in labels)
    return f"{name}{{{inside}}} {shown(value)}" if inside else f"{name} {shown(value)}"


def escaped(value: str) -> str:
    """A label's value as it stands between quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def constant(value: float, like: NDArray[Any]) -> NDArray[np.float64]:
    """A value at every moment."""
    return np.full(len(like), value, dtype=np.float64)
