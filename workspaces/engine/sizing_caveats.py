"""Where KAITO's own estimate misleads, in words, with stable codes.

Every sentence carries its numbers. A code is part of the API: never rename one, only add.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workspaces.engine.sizing_math import (
    Corrected,
    Parallelism,
    kv_shards,
    node_count_with_kv_split,
    to_bytes,
)
from workspaces.engine.sizing_rules import Rules, is_a10
from workspaces.engine.types import GIB, Caveat, ModelSpec, Shape

HYBRID_WORDS = {
    "mamba": "most layers keep a small Mamba state instead of a KV cache",
    "linear": "most layers use linear attention and keep a small state instead of a KV cache",
    "sliding": "many layers keep KV only for a sliding window",
}


@dataclass(frozen=True, slots=True)
class Sized:
    """One estimate with everything caveats and lines look at; `launched` None: KAITO refuses.

    `fixed` is `sizing_math.fixed_room`; `longest` the largest context at KAITO's node count.
    """

    model: ModelSpec
    shape: Shape
    context: int
    rules: Rules
    assumption: str
    fixed: int
    longest: int
    launched: Parallelism | None
    corrected: Corrected
    corrected_nodes: int | None

    @property
    def kv_bytes(self) -> int:
        """KV cache of one request of the asked context, in every layer."""
        return self.context * self.model.kv_bytes_per_token

    @property
    def room(self) -> int:
        """100 x g x (u - f) of KAITO's formula; it refuses unless this is positive."""
        return self.fixed - 100 * self.kv_bytes


def caveats(sized: Sized) -> tuple[Caveat, ...]:
    return tuple(_version(sized)) + tuple(_memory(sized)) + tuple(_launch(sized))


def gib(size: float) -> str:
    return f"{size / GIB:,.2f} GiB"


def _version(sized: Sized) -> Iterator[Caveat]:
    if sized.assumption:
        yield Caveat("kaito-version-assumed", sized.assumption)


def _memory(sized: Sized) -> Iterator[Caveat]:
    model, rules = sized.model, sized.rules
    if is_a10(sized.shape.gpu_model) and rules.sized_a10 != rules.launched_a10:
        yield Caveat(
            "a10-utilisation",
            f"KAITO {rules.version} sizes an A10 at {rules.sized_a10} % of its memory but starts "
            f"vLLM with {rules.launched_a10} %.",
        )
    if model.loaded_weights_gib is not None:
        yield Caveat(
            "duplicate-weights",
            f"The repository ships its weights about twice: KAITO counts {model.weights_gib:g} "
            f"GiB, about {model.loaded_weights_gib:g} GiB is loaded.",
        )
    if model.hybrid:
        yield _hybrid(sized)


def _hybrid(sized: Sized) -> Caveat:
    kv = gib(sized.kv_bytes)
    text = (
        f"KAITO counts full KV in every layer ({kv} for {sized.context:,} tokens), but "
        f"{HYBRID_WORDS[sized.model.hybrid]}: less is needed. The corrected figure counts the same "
        "KV, so it is an upper bound."
    )
    if sized.model.hybrid != "sliding":
        text += f" The state itself is not counted with the constants of {sized.rules.version}."
    return Caveat("hybrid-kv", text)


def _launch(sized: Sized) -> Iterator[Caveat]:
    yield from _nodes(sized)
    if sized.launched is None:
        return
    yield from _replicated(sized, sized.launched)
    if sized.launched.data > 1:
        yield _data_parallel(sized, sized.launched)
    if sized.launched.pipeline > 1:
        yield Caveat(
            "plain-network",
            f"{sized.launched.pipeline} nodes pass activations over the ordinary network: KAITO "
            "requests no RDMA, so expect slower answers than on one node.",
        )


def _nodes(sized: Sized) -> Iterator[Caveat]:
    nodes = sized.launched.pipeline if sized.launched else None
    yield from _kv_per_node(sized, nodes)
    needed = sized.corrected_nodes
    if nodes is not None and needed is not None and needed > nodes:
        yield Caveat(
            "too-few-nodes",
            f"KAITO asks for {nodes_text(nodes)}, by our count {needed} are needed: vLLM may "
            f"refuse to start with {sized.context:,} tokens.",
        )


def _kv_per_node(sized: Sized, nodes: int | None) -> Iterator[Caveat]:
    if sized.fixed <= 0:
        return
    weights = to_bytes(sized.model.weights_gib)
    split = node_count_with_kv_split(weights, sized.kv_bytes, sized.fixed)
    if nodes is not None and split >= nodes:
        return
    asked = "refuses the model" if nodes is None else f"asks for {nodes_text(nodes)}"
    yield Caveat(
        "kv-per-node",
        f"KAITO divides the {gib(sized.kv_bytes)} of KV cache by the "
        f"{gpus_text(sized.shape.gpus)} of one node, so more nodes never make it smaller and "
        f"nothing caps their number: it {asked}; divided by the GPUs of all nodes, "
        f"{nodes_text(split)} would do.",
    )


def _replicated(sized: Sized, launched: Parallelism) -> Iterator[Caveat]:
    shards = kv_shards(sized.model, launched.tensor)
    if shards == launched.tensor:
        return
    each = gib(sized.kv_bytes / launched.pipeline / shards)
    if sized.model.attention == "MLA":
        code, why = "mla-replicated", "this model's latent cache (MLA) cannot be split"
    else:
        code, why = "kv-heads-replicated", f"this model has {shards} KV heads to split"
    yield Caveat(
        code,
        f"KAITO divides the KV cache by {launched.tensor} GPUs, but {why}: each GPU holds {each} "
        f"for {sized.context:,} tokens.",
    )


def _data_parallel(sized: Sized, launched: Parallelism) -> Caveat:
    longest = sized.corrected.context(sized.model, launched)
    limit = max(0, min(longest, sized.model.context_limit))
    return Caveat(
        "data-parallel",
        f"The weights take less than half of one GPU, so KAITO starts {launched.data} independent "
        f"copies, one on each GPU: a request has one GPU's KV cache, at most {limit:,} tokens.",
    )


def nodes_text(nodes: int) -> str:
    return "1 node" if nodes == 1 else f"{nodes:,} nodes"


def gpus_text(gpus: int) -> str:
    return "1 GPU" if gpus == 1 else f"{gpus} GPUs"
