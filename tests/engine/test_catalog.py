"""The shipped catalog: complete, equal to the published facts, and refused when it does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from workspaces.catalog import find, load, names
from workspaces.engine.catalog import CatalogEntry, CatalogError, parse, resolve, slug_of

FACTS = Path(__file__).resolve().parents[2] / "../shared/data/kaito-model-catalog.yaml"

LICENCES = {
    "mit": "MIT",
    "apache-2.0": "Apache-2.0",
    "gemma": "Gemma",
    "llama3.1": "Llama-3.1",
    "llama3.3": "Llama-3.3",
    "modified-mit": "Modified-MIT",
    "nvidia-open-model-license": "NVIDIA-Open-Model",
    "nvidia-nemotron-open-model-license": "NVIDIA-Nemotron-Open-Model",
    "openmdw-1.1": "OpenMDW-1.1",
    "other": "Other",
}


def facts() -> list[dict[str, Any]]:
    if not FACTS.exists():
        pytest.skip("the published catalog is not on this machine")
    models: list[dict[str, Any]] = yaml.safe_load(FACTS.read_text())["models"]
    return models


def kv_bytes(raw: Mapping[str, Any]) -> int:
    """Two bytes per value: the latent vector of MLA, or key and value of every KV head."""
    layers = raw["numHiddenLayers"]
    if "kvLoraRank" in raw:
        return int(2 * layers * (raw["kvLoraRank"] + raw["qkRopeHeadDim"]))
    head = raw.get("headDim", raw["hiddenSize"] // raw["numAttentionHeads"])
    return int(2 * layers * 2 * raw["numKeyValueHeads"] * head)


def attention(raw: Mapping[str, Any]) -> str:
    if "kvLoraRank" in raw:
        return "MLA"
    if raw["numKeyValueHeads"] == 1:
        return "MQA"
    return "MHA" if raw["numKeyValueHeads"] == raw["numAttentionHeads"] else "GQA"


def test_all_sixty_models_and_twenty_five_aliases_are_there() -> None:
    entries = load()
    assert len(entries) == 60
    assert sum(len(entry.aliases) for entry in entries) == 25
    assert len({entry.slug for entry in entries}) == 60


def test_every_number_equals_the_published_one() -> None:
    published = facts()
    assert {raw["name"] for raw in published} == {entry.spec.hf_id for entry in load()}
    for raw in published:
        entry = find(raw["name"])
        assert entry is not None
        spec = entry.spec
        assert f"{spec.weights_gib:.2f}Gi" == raw["modelFileSize"], raw["name"]
        assert spec.context_limit == raw["modelTokenLimit"], raw["name"]
        assert spec.kv_bytes_per_token == kv_bytes(raw), raw["name"]
        assert spec.kv_heads == raw["numKeyValueHeads"], raw["name"]
        assert spec.attention == attention(raw), raw["name"]
        assert [spec.architecture] == raw["architectures"], raw["name"]
        assert entry.licence == LICENCES[raw["license"]], raw["name"]


def test_quantisation_and_vision_follow_the_published_facts() -> None:
    for raw in facts():
        entry = find(raw["name"])
        assert entry is not None
        method = raw.get("quantMethod", "")
        if "quantBits" in raw:
            method += f"/{raw['quantBits']}b"
        assert entry.spec.quantization == method, raw["name"]
        images = raw.get("pipelineTag") in ("image-text-to-text", "any-to-any")
        assert ("vision" in entry.tasks) is images, raw["name"]


@pytest.mark.parametrize("entry", load(), ids=lambda entry: entry.slug)
def test_an_entry_is_complete(entry: CatalogEntry) -> None:
    assert entry.slug == slug_of(entry.spec.hf_id)
    assert entry.summary.endswith(".")
    assert entry.summary.count(". ") == 0
    assert entry.spec.runtimes[0] == "vllm"
    assert entry.mt_bench is not None and 0 < entry.mt_bench <= 10
    minutes = min(180, max(30, round(15 + 18 * entry.spec.weights_gib / 60)))
    assert entry.startup_timeout_minutes == minutes
    assert entry.tasks[0] in ("chat", "completion")


def test_gated_models_are_those_that_need_a_token_to_download() -> None:
    gated = {entry.spec.hf_id for entry in load() if entry.spec.gated}
    assert gated == {
        "meta-llama/Llama-3.1-8B-Instruct",
        "meta-llama/Llama-3.3-70B-Instruct",
        "google/gemma-3-27b-it",
        "google/gemma-3-4b-it",
    }


def test_twenty_models_have_the_transformers_runtime() -> None:
    assert sum("transformers" in entry.spec.runtimes for entry in load()) == 20
    assert sum(entry.tuning for entry in load()) == 10


@pytest.mark.parametrize(
    "name",
    [
        "microsoft/Phi-4-mini-instruct",
        "MICROSOFT/phi-4-MINI-instruct",
        "microsoft--phi-4-mini-instruct",
        " phi-4-mini-instruct ",
    ],
)
def test_a_model_answers_to_id_slug_and_alias_in_any_case(name: str) -> None:
    entry = find(name)
    assert entry is not None
    assert entry.slug == "microsoft--phi-4-mini-instruct"


def test_an_unknown_name_is_none() -> None:
    assert find("falcon-7b") is None
    assert resolve(names(), "") is None


def test_a_search_finds_publisher_task_and_licence() -> None:
    entry = find("qwen2.5-coder-7b-instruct")
    assert entry is not None
    assert all(word in entry.words for word in ("qwen", "code", "apache-2.0", "7b"))


def model(**changes: object) -> dict[str, object]:
    base: dict[str, object] = {
        "hf_id": "org/model",
        "name": "model",
        "summary": "A model.",
        "licence": "MIT",
        "architecture": "A",
        "weights_gib": 1.5,
        "kv_bytes_per_token": 1024,
        "context_limit": 4096,
        "attention": "GQA",
        "runtimes": ["vllm"],
        "startup_timeout_minutes": 30,
    }
    return base | changes


def document(*models: dict[str, object]) -> dict[str, object]:
    return {"publisher": "Org", "models": list(models)}


def test_a_minimal_model_is_enough_and_the_rest_is_unknown() -> None:
    (entry,) = parse([document(model())])
    assert (entry.parameters, entry.mt_bench, entry.spec.kv_heads) == (None, None, None)
    assert entry.spec.gated is False


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights_gib": "7"}, "org/model: weights_gib must be a positive number"),
        ({"weights_gib": float("nan")}, "weights_gib must be a positive number"),
        ({"context_limit": 0}, "context_limit must be a positive whole number"),
        ({"context_limit": True}, "context_limit must be a positive whole number"),
        ({"gated": "yes"}, "gated must be true or false"),
        ({"attention": "flash"}, "attention must be one of MHA, GQA, MQA, MLA"),
        ({"hybrid": "odd"}, "hybrid must be one of"),
        ({"runtimes": "vllm"}, "runtimes must be a list of texts"),
        ({"runtimes": []}, "runtimes is missing"),
        ({"licence": None}, "licence is missing"),
        ({"weight_gib": 3}, "unknown field 'weight_gib'"),
        ({"launch": {"x": 1}}, "launch.x must be text"),
        ({"name": 4}, "name must be text"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(CatalogError, match=words):
        parse([document(model(**changes))])


def test_two_models_cannot_share_a_name() -> None:
    twins = document(model(aliases=["same"]), model(hf_id="org/other", aliases=["Same"]))
    with pytest.raises(CatalogError, match="'Same' is taken by org/model"):
        parse([twins])


@pytest.mark.parametrize(
    "wrong", [None, [], {"publisher": "Org"}, {"publisher": "O", "models": [1]}]
)
def test_a_document_of_another_form_is_refused(wrong: object) -> None:
    with pytest.raises(CatalogError):
        parse([wrong])
