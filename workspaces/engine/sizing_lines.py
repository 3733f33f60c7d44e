"""The arithmetic of an estimate as lines a page can show, numbers filled in.

Only formats what `sizing_math` counted; the rounding here is for reading, never for deciding.
"""

from __future__ import annotations

from collections.abc import Iterator

from workspaces.engine.sizing_caveats import Sized, gpus_text, nodes_text
from workspaces.engine.sizing_math import (
    Parallelism,
    gpu_count,
    kv_shards,
    parallelism,
    to_bytes,
)
from workspaces.engine.sizing_rules import is_a10
from workspaces.engine.types import GIB, Line


def arithmetic(sized: Sized) -> tuple[Line, ...]:
    """KAITO's steps in its order, then ours."""
    return tuple(_kaito(sized)) + tuple(_ours(sized))


def _kaito(sized: Sized) -> Iterator[Line]:
    model, gpus = sized.model, sized.shape.gpus
    a10 = is_a10(sized.shape.gpu_model)
    card = sized.shape.gpu_memory_bytes / GIB
    share, base = sized.rules.sized_percent(a10) / 100, sized.rules.base_tenths(a10) / 10
    kv = sized.kv_bytes / gpus / GIB
    usable, reserve = share * card, base + kv
    yield Line("Usable per GPU", f"{share:.2f} x {card:.2f} GiB", usable, "GiB")
    yield Line(
        "KV cache per GPU",
        f"{sized.context:,} tokens x {model.kv_bytes_per_token:,} B / {gpus}",
        kv,
        "GiB",
    )
    yield Line("Reserve per GPU", f"{base:.1f} GiB overhead + {kv:.2f} GiB", reserve, "GiB")
    if sized.launched is None:
        return
    room = (usable - reserve) / 1.05
    yield Line("Room for weights per GPU", f"({usable:.2f} - {reserve:.2f}) / 1.05", room, "GiB")
    yield from _counts(sized.launched, sized, room)
    yield Line(
        "Largest context", f"at {nodes_text(sized.launched.pipeline)}", sized.longest, "tokens"
    )


def _counts(launched: Parallelism, sized: Sized, room: float) -> Iterator[Line]:
    gpus, nodes = sized.shape.gpus, launched.pipeline
    least = f"floor(1.02 x {sized.model.weights_gib:.2f} / {room:.2f}) + 1"
    counted = gpu_count(to_bytes(sized.model.weights_gib), gpus, sized.room)
    yield Line("GPUs needed", least, counted, "GPUs")
    yield Line("Nodes", f"GPUs needed / {gpus}, rounded up", nodes, "nodes")
    yield Line(
        "Launch",
        f"tensor {launched.tensor} x pipeline {nodes} x data {launched.data}",
        launched.tensor * nodes * launched.data,
        "GPUs",
    )


def _ours(sized: Sized) -> Iterator[Line]:
    count = sized.corrected
    per_gpu = float(count.per_gpu) / GIB
    share = sized.rules.launched_percent(is_a10(sized.shape.gpu_model)) / 100
    card = sized.shape.gpu_memory_bytes / GIB
    yield Line(
        "Corrected: usable per GPU",
        f"{share:.2f} x {card:.2f} GiB - overhead",
        per_gpu,
        "GiB",
    )
    if sized.corrected_nodes is not None:
        yield _needed(sized, sized.corrected_nodes, per_gpu)
    if sized.launched is not None:
        longest = max(0, count.context(sized.model, sized.launched))
        shards = kv_shards(sized.model, sized.launched.tensor) * sized.launched.pipeline
        formula = f"KV split over {gpus_text(shards)}"
        most = min(longest, sized.model.context_limit)
        yield Line("Corrected: longest request", formula, most, "tokens")


def _needed(sized: Sized, nodes: int, per_gpu: float) -> Line:
    card, whole = sized.shape.gpu_memory_bytes, to_bytes(sized.model.weights_gib)
    gpus = parallelism(whole, card, sized.shape.gpus, nodes).tensor
    shards = kv_shards(sized.model, gpus)
    weights = float(sized.corrected.weights) / GIB
    kv = sized.kv_bytes / GIB
    formula = f"({weights:.2f} / {gpus} + {kv:.2f} / {shards}) / {per_gpu:.2f}, rounded up"
    return Line("Corrected: nodes", formula, nodes, "nodes")
