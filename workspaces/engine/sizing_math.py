"""The arithmetic of sizing in exact integers and fractions; no words, no types of the pages.

KAITO's estimate (`pkg/workspace/estimator/nodesestimator`, vLLM runtime), per node of g GPUs with
m bytes each, for weights W, KV bytes per token b and context L:

    u = utilisation x m        f = base + L x b / g        a = (u - f) / 1.05
    GPUs = floor(1.02 x W / a) + 1        nodes = ceil(GPUs / g)

With room = 100 x g x (u - f), an integer, this is nodes = floor(1071 x W / (10 x room)) + 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

from workspaces.engine.sizing_rules import WEIGHT_PERMILLE
from workspaces.engine.types import GIB, ModelSpec


@dataclass(frozen=True, slots=True)
class Parallelism:
    """How vLLM is started: GPUs per layer, stages of layers, independent copies."""

    tensor: int
    pipeline: int
    data: int


def to_bytes(gib: float) -> int:
    """Bytes of a decimal GiB figure, rounded up as KAITO's resource quantities are."""
    return int((Decimal(repr(gib)) * GIB).to_integral_value(ROUND_CEILING))


def fixed_room(card_bytes: int, gpus: int, percent: int, base_tenths: int) -> int:
    """100 x g x (u - base): the part of the room that does not depend on model or context."""
    return gpus * (percent * card_bytes - 10 * base_tenths * GIB)


def node_count(weight_bytes: int, room: int) -> int:
    """Nodes KAITO asks for; `room` must be positive. An exact multiple still adds one."""
    return WEIGHT_PERMILLE * weight_bytes // (10 * room) + 1


def gpu_count(weight_bytes: int, gpus: int, room: int) -> int:
    """GPUs KAITO counts before it rounds up to whole nodes of `gpus`; `room` must be positive."""
    return WEIGHT_PERMILLE * weight_bytes * gpus // (10 * room) + 1


def node_count_with_kv_split(weight_bytes: int, kv_bytes: int, fixed: int) -> int:
    """Nodes if the KV cache were divided by the GPUs of all nodes, as KAITO's documentation says.

    `kv_bytes` is the whole context's; `fixed` as from `fixed_room`, positive.
    """
    return (WEIGHT_PERMILLE * weight_bytes + 1000 * kv_bytes) // (10 * fixed) + 1


def largest_context(weight_bytes: int, fixed: int, kv_bytes: int, nodes: int) -> int:
    """The largest L for which `node_count` is at most `nodes`; negative when there is none.

    node_count <= n means 1071 x W < 10 x n x room, so room > 1071 x W / (10 x n).
    """
    least_room = WEIGHT_PERMILLE * weight_bytes // (10 * nodes) + 1
    return (fixed - least_room) // (100 * kv_bytes)


def parallelism(weight_bytes: int, card_bytes: int, gpus: int, nodes: int) -> Parallelism:
    """What KAITO launches (`pkg/model/interface.go`): copies only when half a GPU holds W."""
    if nodes > 1:
        return Parallelism(gpus, nodes, 1)
    if gpus > 1 and 2 * weight_bytes < card_bytes:
        return Parallelism(1, 1, gpus)
    return Parallelism(gpus, 1, 1)


def kv_shards(model: ModelSpec, tensor: int) -> int:
    """Over how many tensor-parallel ranks one token's KV cache is split.

    MLA keeps one latent vector per token, which every rank holds whole; key-value heads are split
    until each rank has one, and repeated beyond that.
    """
    if model.attention == "MLA":
        return 1
    if model.kv_heads is None:
        return 1 if model.attention == "MQA" else tensor
    return max(1, min(tensor, model.kv_heads))


@dataclass(frozen=True, slots=True)
class Corrected:
    """Our own count beside KAITO's. All sizes in bytes.

    Per GPU, with the same margins (1.02 x 1.05 on weights, the base overhead) but the utilisation
    vLLM is really started with:

        weights / (tensor x pipeline) + L x b / (shards x pipeline)  <  launched x m - base

    Layers are split over the stages, so context shrinks with every added node; KAITO divides it by
    the GPUs of one node only. `weights` is what is loaded (duplicates in the repository left out).
    Full KV is assumed in every layer, so hybrid models get an upper bound.
    """

    weights: Fraction
    kv_bytes: int
    per_gpu: Fraction

    def nodes(self, model: ModelSpec, first: Parallelism, gpus: int, context: int) -> int | None:
        """Nodes that are really needed; `first` is what KAITO launches on one node.

        None when a GPU has no memory left after the base overhead.
        """
        if self.per_gpu <= 0:
            return None
        if self.context(model, first) >= context:
            return 1
        shards = kv_shards(model, gpus)
        per_stage = self.weights / gpus + Fraction(context * self.kv_bytes, shards)
        return max(2, per_stage // self.per_gpu + 1)

    def context(self, model: ModelSpec, launched: Parallelism) -> int:
        """The longest context one request can have as launched; negative: weights alone fail."""
        spare = self.per_gpu - self.weights / (launched.tensor * launched.pipeline)
        tokens = spare * kv_shards(model, launched.tensor) * launched.pipeline / self.kv_bytes
        return -(-tokens.numerator // tokens.denominator) - 1


def corrected(
    model: ModelSpec, card_bytes: int, launched_percent: int, base_tenths: int
) -> Corrected:
    loaded = model.loaded_weights_gib
    weights = to_bytes(model.weights_gib if loaded is None else loaded)
    return Corrected(
        Fraction(WEIGHT_PERMILLE * weights, 1000),
        model.kv_bytes_per_token,
        Fraction(launched_percent * card_bytes - 10 * base_tenths * GIB, 100),
    )
