"""KAITO's published and computed node counts, cell by cell."""

from __future__ import annotations

import pytest

from workspaces.catalog import find, load
from workspaces.engine.catalog import CatalogEntry
from workspaces.engine.sizing import estimate
from workspaces.engine.skus import shape_for, shape_from_label
from workspaces.engine.types import GIB, ModelSpec, Shape

COLUMNS = [
    "1x16",
    "2x16",
    "1x24",
    "2x24",
    "4x24",
    "8x24",
    "8x40",
    "1x80",
    "2x80",
    "4x80",
    "8x80",
    "1x94",
    "2x94",
    "8x141",
]

# Nodes at the default context of 2,048 tokens; "d": independent copies inside one node.
DEFAULT_CONTEXT = {
    "deepseek-ai/DeepSeek-R1-0528": "63 32 39 20 10 5 3 11 6 3 2 9 5 1",
    "deepseek-ai/DeepSeek-V3-0324": "63 32 39 20 10 5 3 11 6 3 2 9 5 1",
    "deepseek-ai/DeepSeek-V4-Pro": "80 40 49 25 13 7 4 14 7 4 2 12 6 1",
    "google/gemma-4-12B-it": "3 2 2 1 1 1 1 1 1d 1d 1d 1 1d 1d",
    "google/gemma-4-E2B-it": "1 1 1 1d 1d 1d 1d 1 1d 1d 1d 1 1d 1d",
    "meta-llama/Llama-3.1-8B-Instruct": "2 1 1 1 1 1 1d 1 1d 1d 1d 1 1d 1d",
    "microsoft/Phi-3-medium-4k-instruct": "3 2 2 1 1 1 1 1 1d 1d 1d 1 1d 1d",
    "microsoft/Phi-3.5-mini-instruct": "1 1d 1 1d 1d 1d 1d 1 1d 1d 1d 1 1d 1d",
    "MiniMaxAI/MiniMax-M2.7": "22 11 14 7 4 2 1 4 2 1 1 4 2 1",
    "mistralai/Ministral-3-8B-Instruct-2512": "1 1 1 1d 1d 1d 1d 1 1d 1d 1d 1 1d 1d",
    "mistralai/Mistral-Large-3-675B-Instruct-2512": "62 31 39 20 10 5 3 11 6 3 2 9 5 1",
    "mistralai/Mistral-Small-4-119B-2603-NVFP4": "7 4 4 2 1 1 1 2 1 1 1 1 1 1d",
    "moonshotai/Kimi-K2.7-Code": "54 27 34 17 9 5 3 10 5 3 2 8 4 1",
    "nvidia/NVIDIA-Nemotron-3-Nano-4B-BF16": "1 1d 1 1d 1d 1d 1d 1 1d 1d 1d 1 1d 1d",
    "nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-BF16": "3 2 2 1 1 1 1 1 1d 1d 1d 1 1d 1d",
    "openai/gpt-oss-20b": "3 2 2 1 1 1 1 1 1d 1d 1d 1 1d 1d",
    "Qwen/Qwen3-8B-AWQ": "1 1d 1 1d 1d 1d 1d 1 1d 1d 1d 1 1d 1d",
    "Qwen/Qwen3.5-2B": "1 1d 1 1d 1d 1d 1d 1 1d 1d 1d 1 1d 1d",
    "Qwen/Qwen3.5-9B": "2 1 2 1 1 1 1d 1 1d 1d 1d 1 1d 1d",
    "Qwen/Qwen3.6-35B-A3B-FP8": "4 2 3 2 1 1 1 1 1d 1d 1d 1 1d 1d",
}

# preset name, node, max-model-len, nodes (None: KAITO refuses)
VECTORS: tuple[tuple[str, str, int, int | None], ...] = (
    ("phi-4-mini-instruct", "1x80", 2048, 1),
    ("qwen2.5-coder-32b-instruct", "1x80", 2048, 2),
    ("qwen2.5-coder-32b-instruct", "1x94", 32768, 1),
    ("gpt-oss-120b", "2x80", 2048, 2),
    ("llama-3.3-70b-instruct", "2x94", 2048, 1),
    ("llama-3.3-70b-instruct", "2x94", 131072, 2),
    ("phi-4-mini-instruct", "1x24", 131072, 5),
    ("phi-4-mini-instruct", "1x24", 200000, None),
    ("gemma-3-27b-instruct", "1x80", 131072, 19),
    ("nvidia/nvidia-nemotron-nano-9b-v2", "1x24", 2048, 2),
)


def spec(name: str) -> ModelSpec:
    entry = find(name)
    assert entry is not None, name
    return entry.spec


def shape(text: str) -> Shape:
    gpus, gib = text.split("x")
    return Shape(int(gpus), int(gib) * GIB)


@pytest.mark.parametrize(("name", "node", "context", "nodes"), VECTORS)
def test_the_worked_examples_come_out(
    name: str, node: str, context: int, nodes: int | None
) -> None:
    answer = estimate(spec(name), shape(node), context)
    assert answer.nodes == nodes
    assert answer.fits is (nodes is not None)


@pytest.mark.parametrize(
    ("name", "column", "cell"),
    [
        (name, column, cell)
        for name, cells in DEFAULT_CONTEXT.items()
        for column, cell in zip(COLUMNS, cells.split(), strict=True)
    ],
)
def test_every_cell_of_the_table_comes_out(name: str, column: str, cell: str) -> None:
    node = shape(column)
    for context in (None, 2048):
        answer = estimate(spec(name), node, context)
        assert answer.nodes == int(cell.rstrip("d"))
        assert answer.data_parallel == (node.gpus if cell.endswith("d") else 1)


@pytest.mark.parametrize("entry", load(), ids=lambda entry: entry.slug)
def test_a_model_is_sized_alike_under_every_name_it_answers_to(entry: CatalogEntry) -> None:
    shapes = [shape(column) for column in COLUMNS]
    expected = [estimate(entry.spec, each, None) for each in shapes]
    names = (entry.spec.hf_id, entry.spec.hf_id.upper(), entry.slug, *entry.aliases)
    for name in names:
        assert [estimate(spec(name), each, None) for each in shapes] == expected


@pytest.mark.parametrize("entry", load(), ids=lambda entry: entry.slug)
def test_every_model_follows_the_formula_on_every_shape(entry: CatalogEntry) -> None:
    for column in COLUMNS:
        node = shape(column)
        assert estimate(entry.spec, node, None).nodes == by_the_book(entry.spec, node, 2048)


def by_the_book(model: ModelSpec, node: Shape, context: int) -> int | None:
    """KAITO 0.12.0's formula, step by step in floating point as KAITO itself does."""
    reserve = 2.3 * GIB + context * model.kv_bytes_per_token / node.gpus
    usable = 0.84 * node.gpu_memory_bytes
    if usable <= reserve:
        return None
    room = (usable - reserve) / 1.05
    gpus = int(1.02 * model.weights_gib * GIB / room) + 1
    return -(-gpus // node.gpus)


def test_an_l4_reports_22_gib_so_llama_8b_needs_two_nodes() -> None:
    card = shape_from_label(1, 23034, "NVIDIA-L4", "g6.xlarge")
    assert card.gpu_memory_bytes == 22 * GIB
    assert estimate(spec("llama-3.1-8b-instruct"), card, None).nodes == 2
    table = shape_for("g6.xlarge")
    assert table is not None
    assert estimate(spec("llama-3.1-8b-instruct"), table, None).nodes == 1


def test_a_long_context_explodes_on_an_l4_and_not_on_an_a100() -> None:
    phi = spec("phi-4-mini-instruct")
    small = estimate(phi, shape_from_label(1, 23034, "NVIDIA-L4"), 131072)
    assert (small.nodes, small.corrected_nodes) == (43, 2)
    large = shape_for("Standard_NC24ads_A100_v4")
    assert large is not None
    assert estimate(phi, large, 131072).nodes == 1
