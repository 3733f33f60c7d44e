"""Constants per KAITO version, and the caveats and corrections beside KAITO's figure."""

from __future__ import annotations

import pytest

from workspaces.catalog import find
from workspaces.engine.sizing import estimate
from workspaces.engine.sizing_rules import is_a10, parse_version, rules_for
from workspaces.engine.skus import shape_for
from workspaces.engine.types import GIB, Estimate, ModelSpec, Shape

A100 = Shape(1, 80 * GIB, "NVIDIA A100")
A10 = Shape(1, 24 * GIB, "NVIDIA A10")


def spec(name: str) -> ModelSpec:
    entry = find(name)
    assert entry is not None, name
    return entry.spec


def codes(answer: Estimate) -> list[str]:
    return [warning.code for warning in answer.warnings]


def text(answer: Estimate, code: str) -> str:
    return next(warning.text for warning in answer.warnings if warning.code == code)


@pytest.mark.parametrize(
    ("version", "row", "assumed"),
    [
        ("0.12.0", "0.12.0", False),
        ("v0.12.7", "0.12.0", False),
        ("0.12", "0.12.0", False),
        ("0.13.0-rc.1", "0.13.0", False),
        ("0.13.4", "0.13.0", False),
        ("0.14.0", "0.13.0", True),
        ("0.10.2", "0.12.0", True),
        ("", "0.12.0", True),
        ("nightly", "0.12.0", True),
    ],
)
def test_the_newest_row_not_newer_than_the_cluster_counts(
    version: str, row: str, assumed: bool
) -> None:
    rules, assumption = rules_for(version)
    assert rules.version == row
    assert bool(assumption) is assumed
    answer = estimate(spec("phi-4"), A100, None, version)
    assert ("kaito-version-assumed" in codes(answer)) is assumed


def test_versions_are_read_with_or_without_decoration() -> None:
    assert parse_version(" v1.2.3+build ") == (1, 2, 3)
    assert parse_version("1.2-rc.1") == (1, 2, 0)
    assert parse_version("one.two") is None


def test_only_the_a10_itself_has_constants_of_its_own() -> None:
    assert is_a10("NVIDIA A10")
    assert is_a10("NVIDIA-A10")
    assert not any(is_a10(name) for name in ("NVIDIA A10G", "NVIDIA A100", "NVIDIA-A100-SXM4", ""))


def test_the_constants_after_0_12_need_fewer_nodes() -> None:
    pair = Shape(2, 80 * GIB, "NVIDIA A100")
    assert estimate(spec("gpt-oss-120b"), pair, None, "0.12.0").nodes == 2
    assert estimate(spec("gpt-oss-120b"), pair, None, "0.13.0").nodes == 1
    granite = spec("ibm-granite/granite-4.1-8b")
    assert estimate(granite, A10, None, "0.13.0").nodes == 1


def test_an_a10_is_sized_higher_than_it_is_launched_until_0_13() -> None:
    phi = spec("phi-4-mini-instruct")
    assert "84 %" in text(estimate(phi, A10, None, "0.12.0"), "a10-utilisation")
    assert "82 %" in text(estimate(phi, A10, None, "0.12.0"), "a10-utilisation")
    assert "a10-utilisation" not in codes(estimate(phi, A10, None, "0.13.0"))
    granite = estimate(spec("ibm-granite/granite-4.1-8b"), A10, None, "0.12.0")
    assert (granite.nodes, granite.corrected_nodes) == (1, 2)
    assert "too-few-nodes" in codes(granite)


def test_nineteen_nodes_for_gemma_are_named_as_a_fault_of_the_formula() -> None:
    answer = estimate(spec("google/gemma-3-27b-it"), A100, 131072)
    assert (answer.nodes, answer.corrected_nodes) == (19, 2)
    assert "asks for 19 nodes" in text(answer, "kv-per-node")
    assert "62.00 GiB" in text(answer, "kv-per-node")
    assert {"hybrid-kv", "plain-network"} <= set(codes(answer))


def test_a_latent_cache_is_counted_whole_on_every_gpu() -> None:
    answer = estimate(spec("deepseek-v3-0324"), Shape(8, 80 * GIB), 100_000)
    assert "each GPU holds 3.27 GiB" in text(answer, "mla-replicated")


def test_key_value_heads_are_repeated_when_there_are_more_gpus_than_heads() -> None:
    answer = estimate(spec("Qwen/Qwen3.5-122B-A10B"), Shape(8, 80 * GIB), 32768)
    assert "this model has 2 KV heads" in text(answer, "kv-heads-replicated")
    assert "mla-replicated" not in codes(answer)


def test_independent_copies_limit_a_request_to_one_gpu() -> None:
    answer = estimate(spec("phi-3-mini-128k-instruct"), Shape(4, 24 * GIB), 100_000)
    assert (answer.nodes, answer.data_parallel) == (1, 4)
    assert answer.corrected_nodes == 2
    assert "at most 27,9" in text(answer, "data-parallel")
    assert "too-few-nodes" in codes(answer)


def test_duplicate_weights_are_left_out_of_the_correction() -> None:
    answer = estimate(spec("gpt-oss-120b"), Shape(2, 80 * GIB), None)
    assert (answer.nodes, answer.corrected_nodes) == (2, 1)
    assert "121.54" in text(answer, "duplicate-weights")


def test_a_context_above_the_limit_is_refused_by_name() -> None:
    answer = estimate(spec("phi-4"), A100, 16385)
    assert not answer.fits
    assert "16,385" in answer.reason
    assert "16,384" in answer.reason
    assert codes(answer) == ["context-above-limit"]
    assert estimate(spec("phi-4"), A100, 16384).fits


def test_a_card_without_room_for_the_context_is_refused_with_the_numbers() -> None:
    answer = estimate(spec("phi-3-mini-128k-instruct"), A10, 131072)
    assert not answer.fits
    assert "48.00 GiB" in answer.reason
    assert "at most 48,769 tokens" in answer.reason
    assert answer.nodes is None
    assert answer.corrected_nodes == 4
    assert "refuses the model" in text(answer, "kv-per-node")


def test_a_card_smaller_than_the_overhead_is_refused() -> None:
    answer = estimate(spec("phi-4"), Shape(1, 2 * GIB), None)
    assert not answer.fits
    assert "too small" in answer.reason
    assert answer.corrected_nodes is None


def test_the_arithmetic_is_shown_with_its_numbers() -> None:
    lines = {line.label: line for line in estimate(spec("phi-4-mini-instruct"), A100, None).lines}
    assert lines["Usable per GPU"].formula == "0.84 x 80.00 GiB"
    assert lines["Usable per GPU"].value == pytest.approx(67.2)
    assert lines["KV cache per GPU"].formula == "2,048 tokens x 131,072 B / 1"
    assert lines["Room for weights per GPU"].value == pytest.approx(61.571, abs=0.001)
    assert (lines["GPUs needed"].value, lines["Nodes"].value) == (1, 1)
    assert lines["Largest context"].formula == "at 1 node"


def test_the_transformers_runtime_is_one_node_and_says_so() -> None:
    shape = shape_for("Standard_NC48ads_A100_v4")
    assert shape is not None
    answer = estimate(spec("phi-4"), shape, None, runtime="transformers")
    assert (answer.fits, answer.nodes, answer.gpus, answer.tensor_parallel) == (True, 1, 2, None)
    assert codes(answer) == ["transformers-unsized"]
    large = estimate(spec("deepseek-v3-0324"), shape, None, runtime="transformers")
    assert not large.fits
    assert "641.30 GiB" in large.reason
    missing = estimate(spec("phi-4-mini-instruct"), shape, None, runtime="transformers")
    assert (
        missing.reason
        == "microsoft/Phi-4-mini-instruct does not run on transformers; it runs on vllm."
    )


@pytest.mark.parametrize(
    ("shape", "context", "field"),
    [
        (A100, 0, "max_model_len"),
        (Shape(0, GIB), None, "shape.gpus"),
        (Shape(1, 0), None, "shape.gpu_memory_bytes"),
    ],
)
def test_bad_input_names_the_field(shape: Shape, context: int | None, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        estimate(spec("phi-4"), shape, context)
