"""What must hold of sizing for every model, shape, context and KAITO version."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from workspaces.engine.sizing import estimate
from workspaces.engine.sizing_kernel import REFUSED, nodes_for, pool_table
from workspaces.engine.types import GIB, Estimate, ModelSpec, Shape

VERSIONS = ("0.12.0", "0.13.0", "v0.12.3", "0.10.1", "")

gib_sizes = st.integers(10, 80_000).map(lambda hundredths: hundredths / 100)
models = st.builds(
    ModelSpec,
    slug=st.just("org--model"),
    hf_id=st.just("org/model"),
    weights_gib=gib_sizes,
    kv_bytes_per_token=st.integers(1, 1 << 20),
    context_limit=st.integers(2048, 1 << 20),
    attention=st.sampled_from(("MHA", "GQA", "MQA", "MLA")),
    kv_heads=st.none() | st.integers(1, 128),
    hybrid=st.sampled_from(("", "mamba", "linear", "sliding")),
    loaded_weights_gib=st.none() | gib_sizes,
)
shapes = st.builds(
    Shape,
    gpus=st.sampled_from((1, 2, 3, 4, 8, 16)),
    gpu_memory_bytes=st.integers(1, 300).map(lambda gib: gib * GIB) | st.integers(1, 300 * GIB),
    gpu_model=st.sampled_from(("NVIDIA A10", "NVIDIA-A10", "NVIDIA A10G", "NVIDIA H100", "")),
)
contexts = st.none() | st.integers(1, 1 << 20)
versions = st.sampled_from(VERSIONS)


@given(models, shapes, contexts, versions)
def test_a_fit_has_consistent_counts_and_a_refusal_has_a_reason(
    model: ModelSpec, shape: Shape, context: int | None, version: str
) -> None:
    answer = estimate(model, shape, context, version)
    if not answer.fits:
        assert answer.reason
        counts = (answer.nodes, answer.gpus, answer.max_context, answer.tensor_parallel)
        assert counts == (None, None, None, None)
        return
    assert answer.reason == ""
    assert_parallelism(answer, shape)
    assert answer.lines
    assert answer.corrected_nodes is None or answer.corrected_nodes >= 1


def assert_parallelism(answer: Estimate, shape: Shape) -> None:
    assert answer.nodes is not None and answer.nodes >= 1
    assert answer.gpus == answer.nodes * shape.gpus
    ranks = (answer.tensor_parallel, answer.pipeline_parallel, answer.data_parallel)
    assert None not in ranks
    tensor, pipeline, data = (rank or 0 for rank in ranks)
    assert tensor * pipeline * data == answer.gpus
    assert pipeline == answer.nodes
    assert data in (1, shape.gpus)
    assert data == 1 or tensor == 1


@given(models, shapes, contexts, versions, st.integers(0, 100 * GIB))
def test_more_memory_never_needs_more_nodes(
    model: ModelSpec, shape: Shape, context: int | None, version: str, more: int
) -> None:
    before = estimate(model, shape, context, version)
    larger = replace(shape, gpu_memory_bytes=shape.gpu_memory_bytes + more)
    after = estimate(model, larger, context, version)
    if before.nodes is not None:
        assert after.nodes is not None and after.nodes <= before.nodes


@given(models, shapes, st.integers(1, 1 << 20), st.integers(1, 1 << 20), versions)
def test_more_context_never_needs_fewer_nodes(
    model: ModelSpec, shape: Shape, one: int, other: int, version: str
) -> None:
    short = estimate(model, shape, min(one, other), version)
    long = estimate(model, shape, max(one, other), version)
    if long.nodes is not None:
        assert short.nodes is not None and short.nodes <= long.nodes
    if short.corrected_nodes is not None and long.corrected_nodes is not None:
        assert short.corrected_nodes <= long.corrected_nodes


@given(models, shapes, contexts, versions, gib_sizes)
def test_more_weights_never_need_fewer_nodes(
    model: ModelSpec, shape: Shape, context: int | None, version: str, more: float
) -> None:
    light = estimate(model, shape, context, version)
    heavier = replace(model, weights_gib=round(model.weights_gib + more, 2))
    heavy = estimate(heavier, shape, context, version)
    if heavy.nodes is not None:
        assert light.nodes is not None and light.nodes <= heavy.nodes


@given(models, shapes, contexts, versions)
def test_the_largest_context_is_the_largest(
    model: ModelSpec, shape: Shape, context: int | None, version: str
) -> None:
    answer = estimate(model, shape, context, version)
    assume(answer.max_context is not None)
    longest = answer.max_context or 0
    assert (context or 0) <= longest <= model.context_limit
    assert estimate(model, shape, longest, version).nodes == answer.nodes
    if longest < model.context_limit:
        beyond = estimate(model, shape, longest + 1, version).nodes
        assert beyond is None or beyond > (answer.nodes or 0)


@given(
    models,
    st.lists(st.tuples(st.none() | shapes, versions), max_size=20),
    contexts,
)
def test_the_kernel_equals_the_scalar_function(
    model: ModelSpec, pools: list[tuple[Shape | None, str]], context: int | None
) -> None:
    table = pool_table([shape for shape, _ in pools], [version for _, version in pools])
    nodes = nodes_for(model, table, context)
    answers = [
        None if shape is None else estimate(model, shape, context, version)
        for shape, version in pools
    ]
    assert nodes.dtype == np.int64
    assert nodes.tolist() == [REFUSED if a is None else a.nodes or REFUSED for a in answers]


@given(models, shapes, contexts, versions)
def test_every_caveat_has_one_code_and_the_numbers_are_in_the_text(
    model: ModelSpec, shape: Shape, context: int | None, version: str
) -> None:
    warnings = estimate(model, shape, context, version).warnings
    codes = [warning.code for warning in warnings]
    assert len(codes) == len(set(codes))
    assert all(warning.text.endswith((".", "!")) for warning in warnings)
