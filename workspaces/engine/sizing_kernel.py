"""KAITO's node count for thousands of pools in two array operations.

The same integers as `sizing_math`, so the same answers: a property test holds them equal. What does
not depend on the model or the context is computed once per fleet, in `PoolTable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from workspaces.engine.sizing_math import fixed_room, to_bytes
from workspaces.engine.sizing_rules import WEIGHT_PERMILLE, is_a10, rules_for
from workspaces.engine.types import DEFAULT_MAX_MODEL_LEN, ModelSpec, Shape

Int64 = NDArray[np.int64]
REFUSED = -1  # KAITO refuses, or the pool's memory is unknown; never confused with a count


@dataclass(frozen=True, slots=True)
class PoolTable:
    """One row per pool, int64: GPUs per node, bytes per GPU, and 100 x g x (u - base)."""

    gpus: Int64
    card_bytes: Int64
    fixed: Int64


def pool_table(shapes: Sequence[Shape | None], kaito: Sequence[str]) -> PoolTable:
    """Columns for `shapes`, each sized by its own cluster's KAITO version.

    A None shape (unknown memory) becomes a row that every model is refused on. Raises ValueError
    when the two lengths differ.
    """
    rows = [
        (0, 0, 0) if shape is None else (shape.gpus, shape.gpu_memory_bytes, _fixed(shape, version))
        for shape, version in zip(shapes, kaito, strict=True)
    ]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return PoolTable(columns[:, 0].copy(), columns[:, 1].copy(), columns[:, 2].copy())


def nodes_for(model: ModelSpec, pools: PoolTable, max_model_len: int | None) -> Int64:
    """KAITO's nodes per replica in every pool (vLLM runtime), REFUSED where it would refuse."""
    if max_model_len is not None and max_model_len > model.context_limit:
        return np.full(pools.fixed.shape, REFUSED, dtype=np.int64)
    context = DEFAULT_MAX_MODEL_LEN if max_model_len is None else max_model_len
    room = pools.fixed - 100 * context * model.kv_bytes_per_token
    weights = WEIGHT_PERMILLE * to_bytes(model.weights_gib)
    nodes = weights // (10 * np.maximum(room, 1)) + 1
    return np.where(room > 0, nodes, REFUSED)


@lru_cache(maxsize=4096)  # a fleet has few distinct shapes and versions
def _fixed(shape: Shape, kaito: str) -> int:
    rules, _ = rules_for(kaito)
    a10 = is_a10(shape.gpu_model)
    percent, base = rules.sized_percent(a10), rules.base_tenths(a10)
    return fixed_room(shape.gpu_memory_bytes, shape.gpus, percent, base)
