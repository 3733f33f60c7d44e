"""Measuring product against floor in one process, and the table that says how it went.

Both alternate, so that both meet the same noise; the least of each counts. CPU time, because a
shared machine stretches wall time; a request's own target is in wall time and so is its line.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Least:
    """Least milliseconds of one call, as wall time and as CPU time of this process."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; `target` None: reported, not judged."""

    what: str
    product: str
    floor: str
    ratio: float | None
    target: str
    passed: bool | None


def least(work: Work, so_far: Least | None = None) -> Least:
    """One more call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    spent = Least((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3)
    best = so_far or Least(inf, inf)
    return Least(min(best.wall, spent.wall), min(best.cpu, spent.cpu))


def pair(ours: Work, theirs: Work, rounds: int, inner: int = 1) -> tuple[Least, Least]:
    """Alternating; one warm-up each. `theirs` runs `inner` times a round."""
    ours(), theirs()
    gc.collect()
    a = b = Least(inf, inf)
    for _ in range(rounds):
        a = least(ours, a)
        for _ in range(inner):
            b = least(theirs, b)
    return a, b


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def quantile_line(
    what: str, ours: Sequence[float], floor: Sequence[float], share: float, most: float | None
) -> Line:
    """One quantile of two samples in ms. `most` None: reported, not judged."""
    a, b = quantile(ours, share), quantile(floor, share)
    target = "reported" if most is None else f"<= {most:g} ms"
    return Line(what, ms(a), ms(b), a / b, target, None if most is None else a <= most)


def ms(value: float) -> str:
    return f"{value:,.2f} ms" if value < 10 else f"{value:,.0f} ms"


def table(lines: Sequence[Line]) -> str:
    """what | product | floor | ratio | target | pass"""
    rows = [("what", "product", "floor", "ratio", "target", "pass")]
    rows += [
        (
            line.what,
            line.product,
            line.floor,
            "" if line.ratio is None else f"{line.ratio:.2f}x",
            line.target,
            {True: "yes", False: "NO", None: ""}[line.passed],
        )
        for line in lines
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
