"""How many nodes KAITO's estimator asks for, and how it starts the engine on them.

Written from the description of pkg/workspace/estimator/nodesestimator and pkg/model at v0.12.0,
with the constants of the release after it. Pure; the portal's own sizing is separate code, so
each checks the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

GIB = 1 << 30
DEFAULT_CONTEXT = 2048


class SizingError(ValueError):
    """The estimator gives up; the text is what KAITO reports."""


@dataclass(frozen=True, slots=True)
class Constants:
    """`utilisation` of GPU memory, `overhead` in GiB; the second pair is for the NVIDIA A10."""

    utilisation: float
    overhead: float
    a10_utilisation: float
    a10_overhead: float


_V0_12 = Constants(0.84, 2.3, 0.84, 2.3)
_LATER = Constants(0.92, 2.4, 0.82, 1.5)


def constants(version: str) -> Constants:
    """The estimator's constants in a KAITO version such as `0.12.0`; they changed after 0.12.0."""
    parts = tuple(int(part) for part in version.lstrip("v").split("-")[0].split("."))
    return _LATER if parts > (0, 12, 0) else _V0_12


@dataclass(frozen=True, slots=True)
class Shape:
    """One node: `gpus` cards of `gib` GiB each."""

    gpus: int
    gib: int
    a10: bool = False


@dataclass(frozen=True, slots=True)
class Parallelism:
    """What the engine is started with on `nodes` nodes."""

    tensor: int
    pipeline: int
    data: int


def nodes_needed(
    shape: Shape, weights_gib: float, kv_bytes: int, context: int, version: str
) -> int:
    """Nodes for one replica. Raises SizingError when a card cannot even hold the reservations."""
    rule = constants(version)
    utilisation = rule.a10_utilisation if shape.a10 else rule.utilisation
    overhead = rule.a10_overhead if shape.a10 else rule.overhead
    usable = utilisation * shape.gib * GIB
    reserve = overhead * GIB + context * kv_bytes / shape.gpus
    if usable <= reserve:
        needs, has = reserve / GIB, usable / GIB
        raise SizingError(
            f"GPU memory {has:.2f}GiB is too small, needs more than {needs:.2f}GiB "
            "for overhead and KV cache"
        )
    room = (usable - reserve) / 1.05
    gpus = math.floor(1.02 * math.ceil(weights_gib * GIB) / room) + 1
    return max(1, math.ceil(gpus / shape.gpus))


def parallelism(shape: Shape, weights_gib: float, nodes: int) -> Parallelism:
    """Tensor and pipeline parallel over nodes; data parallel when half a card holds the weights."""
    if nodes > 1:
        return Parallelism(shape.gpus, nodes, 1)
    if shape.gpus > 1 and weights_gib < 0.5 * shape.gib:
        return Parallelism(1, 1, shape.gpus)
    return Parallelism(shape.gpus, 1, 1)
