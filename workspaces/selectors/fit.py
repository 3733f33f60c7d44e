"""The fit of one model as its page shows it: one row a cluster, the two estimates side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workspaces.engine.fits import FitRow
from workspaces.engine.types import GIB, Estimate, Shape


@dataclass(frozen=True, slots=True)
class SizedShape:
    """The estimate of one node shape, and the clusters that have it."""

    title: str  # instance type
    card: str  # "8 x 80 GiB NVIDIA H100"
    clusters: list[str]
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class ModelView:
    """`rows`: the best pool of every cluster, those that fit first, cheapest first."""

    rows: list[FitRow]
    shapes: list[SizedShape]
    fits: int
    room: int | None  # replicas that fit now over all clusters; None: some quota is not declared
    price_from: float | None


def model_view(rows: Sequence[FitRow]) -> ModelView:
    best = sorted((row for row in rows if row.best), key=_order)
    fitting = [row for row in best if row.fits]
    rooms = [row.room for row in fitting]
    prices = [row.price_per_hour for row in fitting if row.price_per_hour is not None]
    return ModelView(
        rows=best,
        shapes=_shapes(sorted(rows, key=_order)),
        fits=len(fitting),
        room=None if None in rooms else sum(room or 0 for room in rooms),
        price_from=min(prices, default=None),
    )


def shape_words(shape: Shape | None) -> str:
    """ "8 x 80 GiB": GPUs of a node and the memory of each as KAITO counts it."""
    if shape is None:
        return "unknown"
    return f"{shape.gpus} x {shape.gpu_memory_bytes / GIB:g} GiB"


def _order(row: FitRow) -> tuple[bool, float, str]:
    price = row.price_per_hour if row.price_per_hour is not None else 1e9
    return (not row.fits, price if row.fits else 0.0, row.cluster)


def _shapes(rows: Sequence[FitRow]) -> list[SizedShape]:
    """Every distinct shape once, those of fitting pools first."""
    found: dict[tuple[Shape, str], SizedShape] = {}
    for row in rows:
        if row.shape is None or row.estimate is None:
            continue
        key = (row.shape, _version(row.estimate))
        if key not in found:
            card = f"{shape_words(row.shape)} {row.gpu_model.replace('-', ' ')}".strip()
            found[key] = SizedShape(row.instance_type or "existing nodes", card, [], row.estimate)
        if row.cluster not in found[key].clusters:
            found[key].clusters.append(row.cluster)
    return list(found.values())


def _version(estimate: Estimate) -> str:
    """Equal estimates of one shape are one row, whatever KAITO version they come from."""
    return repr((estimate.nodes, estimate.max_context, estimate.corrected_nodes, estimate.reason))
