"""How one replica of a model lands on one node shape, by KAITO's own arithmetic.

The estimate is what KAITO will do, faults included, for the KAITO version of the cluster; beside it
stands our corrected count. Formulas: `sizing_math`; constants: `sizing_rules`; what misleads:
`sizing_caveats`; the same over thousands of pools: `sizing_kernel`. This module only puts them
together and may not add arithmetic of its own.
"""

from __future__ import annotations

from workspaces.engine.sizing_caveats import Sized, caveats, gib
from workspaces.engine.sizing_lines import arithmetic
from workspaces.engine.sizing_math import (
    corrected,
    fixed_room,
    largest_context,
    node_count,
    parallelism,
    to_bytes,
)
from workspaces.engine.sizing_rules import Rules, is_a10, rules_for
from workspaces.engine.types import (
    DEFAULT_MAX_MODEL_LEN,
    GIB,
    Caveat,
    Estimate,
    Line,
    ModelSpec,
    Shape,
)

DEFAULT_KAITO = "0.12.0"


def estimate(
    model: ModelSpec,
    shape: Shape,
    max_model_len: int | None,
    kaito: str = DEFAULT_KAITO,
    *,
    runtime: str = "vllm",
) -> Estimate:
    """KAITO's node count for one replica, our corrected one, and the arithmetic.

    `max_model_len` is the context in tokens; None is KAITO's default of 2,048. When KAITO would
    refuse, `fits` is False, `reason` has the numbers, and every count of KAITO's is None;
    `corrected_nodes` still says what would be needed where that can be told.

    Raises ValueError for a context below 1 and for a shape without GPUs or memory.
    """
    _check(shape, max_model_len)
    context = DEFAULT_MAX_MODEL_LEN if max_model_len is None else max_model_len
    rules, assumption = rules_for(kaito)
    if runtime not in model.runtimes:
        offered = ", ".join(model.runtimes)
        return _refused(f"{model.hf_id} does not run on {runtime}; it runs on {offered}.")
    if context > model.context_limit and max_model_len is not None:
        return _above_limit(model, context)
    if runtime != "vllm":
        return _unsized(model, shape)
    return _vllm(model, shape, context, rules, assumption)


def _check(shape: Shape, max_model_len: int | None) -> None:
    if max_model_len is not None and max_model_len < 1:
        raise ValueError("max_model_len: must be at least 1 token; leave it out for the default")
    if shape.gpus < 1:
        raise ValueError("shape.gpus: must be at least 1")
    if shape.gpu_memory_bytes < 1:
        raise ValueError("shape.gpu_memory_bytes: must be positive; unknown memory cannot be sized")


def _vllm(model: ModelSpec, shape: Shape, context: int, rules: Rules, assumption: str) -> Estimate:
    a10 = is_a10(shape.gpu_model)
    card, base = shape.gpu_memory_bytes, rules.base_tenths(a10)
    weights = to_bytes(model.weights_gib)
    fixed = fixed_room(card, shape.gpus, rules.sized_percent(a10), base)
    room = fixed - 100 * context * model.kv_bytes_per_token
    nodes = node_count(weights, room) if room > 0 else None
    count = corrected(model, card, rules.launched_percent(a10), base)
    needed = count.nodes(model, parallelism(weights, card, shape.gpus, 1), shape.gpus, context)
    launched = None if nodes is None else parallelism(weights, card, shape.gpus, nodes)
    longest = largest_context(weights, fixed, model.kv_bytes_per_token, nodes or 1)
    longest = min(longest, model.context_limit)
    sized = Sized(model, shape, context, rules, assumption, fixed, longest, launched, count, needed)
    lines, warnings = arithmetic(sized), caveats(sized)
    if launched is None or nodes is None:
        return _refused(_too_small(model, shape, context, fixed), lines, warnings, needed)
    return Estimate(
        fits=True,
        reason="",
        nodes=nodes,
        gpus=nodes * shape.gpus,
        tensor_parallel=launched.tensor,
        pipeline_parallel=launched.pipeline,
        data_parallel=launched.data,
        max_context=longest,
        corrected_nodes=needed,
        lines=lines,
        warnings=warnings,
    )


def _too_small(model: ModelSpec, shape: Shape, context: int, fixed: int) -> str:
    """Why `room` is not positive, with the context that would leave some room."""
    usable = fixed / (100 * shape.gpus)
    kv = context * model.kv_bytes_per_token / shape.gpus
    card = gib(shape.gpu_memory_bytes)
    if fixed <= 0:
        return f"A GPU of {card} is too small: the overhead alone takes what vLLM may use."
    most = (fixed - 1) // (100 * model.kv_bytes_per_token)
    return (
        f"A GPU of {card} has {gib(usable)} left after the overhead, but {context:,} tokens need "
        f"{gib(kv)} of KV cache on each GPU: at most {most:,} tokens leave room for weights."
    )


def _above_limit(model: ModelSpec, context: int) -> Estimate:
    reason = (
        f"A context of {context:,} tokens is above the model's limit of "
        f"{model.context_limit:,}: KAITO's admission refuses it."
    )
    return _refused(reason, warnings=(Caveat("context-above-limit", reason),))


def _unsized(model: ModelSpec, shape: Shape) -> Estimate:
    """The transformers runtime: KAITO does no estimate and starts one node, whatever is needed."""
    memory, weights = shape.gpus * shape.gpu_memory_bytes, to_bytes(model.weights_gib)
    lines = (
        Line("GPU memory of one node", f"{shape.gpus} GPUs", memory / GIB, "GiB"),
        Line("Weights", f"{model.weights_gib:g} GiB in files", model.weights_gib, "GiB"),
    )
    text = "KAITO does not size the transformers runtime: it starts on one node, fit or not."
    warnings = (Caveat("transformers-unsized", text),)
    if weights >= memory:
        reason = (
            f"{gib(weights)} of weights do not fit the {gib(memory)} of GPU memory of one node, "
            "and the transformers runtime uses one node only."
        )
        return _refused(reason, lines, warnings)
    return Estimate(True, "", 1, shape.gpus, None, 1, 1, None, None, lines, warnings)


def _refused(
    reason: str,
    lines: tuple[Line, ...] = (),
    warnings: tuple[Caveat, ...] = (),
    needed: int | None = None,
) -> Estimate:
    return Estimate(False, reason, None, None, None, None, None, None, needed, lines, warnings)
