"""SKU tables, what cards report, and list prices."""

from __future__ import annotations

from datetime import date

import pytest

from clusters.engine import prices
from clusters.engine.prices import Price, PriceError
from clusters.engine.skus import SKUS, find
from clusters.engine.types import PoolFacts, PoolKind
from clusters.pricing import load_prices
from workspaces.engine.skus import reported_gib, shape_for, shape_of_pool
from workspaces.engine.types import GIB, Shape


def test_all_three_tables_are_there_without_repeats() -> None:
    by_provider = [sku.provider for sku in SKUS]
    assert [by_provider.count(name) for name in ("azure", "aws", "arc")] == [14, 35, 8]
    assert len({sku.instance_type.lower() for sku in SKUS}) == len(SKUS)


@pytest.mark.parametrize(
    ("name", "gpus", "gib", "gpu", "nvme", "capability"),
    [
        ("Standard_NV72ads_A10_v5", 2, 24, "NVIDIA A10", False, 8.6),
        ("standard_nd96asr_a100_V4", 8, 40, "NVIDIA A100", False, 8.0),
        ("STANDARD_NC40ads_H100_v5", 1, 94, "NVIDIA H100", True, 9.0),
        ("p5en.48xlarge", 8, 141, "NVIDIA H200", True, 9.0),
        ("g6.12xlarge", 4, 24, "NVIDIA L4", True, 8.9),
        ("inf2.48xlarge", 12, 32, "AWS Inferentia2 accelerators", False, None),
        ("Standard_NC16_A16", 2, 16, "NVIDIA A16", False, 8.6),
    ],
)
def test_a_row_is_found_in_any_letter_case(
    name: str, gpus: int, gib: int, gpu: str, nvme: bool, capability: float | None
) -> None:
    sku = find(name)
    assert sku is not None
    assert (sku.gpus, sku.gib_per_gpu, sku.gpu_model) == (gpus, gib, gpu)
    assert (sku.nvme, sku.compute_capability) == (nvme, capability)
    assert shape_for(name) == Shape(gpus, gib * GIB, gpu, sku.instance_type)


def test_only_nvidia_cards_have_a_compute_capability_of_8_or_more() -> None:
    for sku in SKUS:
        assert ("NVIDIA" in sku.gpu_model) is (sku.compute_capability is not None)
        assert sku.compute_capability is None or sku.compute_capability >= 8.0


def test_an_unknown_instance_type_is_none() -> None:
    assert find("Standard_D4s_v5") is None
    assert shape_for("") is None


@pytest.mark.parametrize(
    ("mib", "gib"),
    [
        *((23034, 22), (23028, 22), (40536, 40), (81559, 80), (81920, 80), (95830, 94)),
        *((15360, 15), (143771, 140), (1535, 1), (1536, 2), (512, 1), (511, 0)),
    ],
)
def test_the_label_is_rounded_half_up_to_whole_gib(mib: int, gib: int) -> None:
    assert reported_gib(mib) == gib


def pool(kind: PoolKind, mib: int | None, instance_type: str, gpus: int = 1) -> PoolFacts:
    return PoolFacts(
        key="pool",
        kind=kind,
        gpu_model="NVIDIA L4",
        gpu_memory_mib=mib,
        gpus_per_node=gpus,
        instance_type=instance_type,
        nodes=0,
        physical=0,
        allocatable=0,
        used=0,
        free=0,
        whole_free_nodes=0,
        largest_free_group=0,
    )


def test_existing_nodes_are_sized_by_the_card_and_new_ones_by_the_table() -> None:
    existing = shape_of_pool(pool(PoolKind.EXISTING, 23034, "g6.xlarge"))
    created = shape_of_pool(pool(PoolKind.PROVISIONABLE, 23034, "g6.xlarge"))
    assert existing is not None and existing.gpu_memory_bytes == 22 * GIB
    assert created is not None and created.gpu_memory_bytes == 24 * GIB


def test_a_pool_of_unknown_memory_has_no_shape() -> None:
    assert shape_of_pool(pool(PoolKind.EXISTING, None, "g6.xlarge")) is None
    assert shape_of_pool(pool(PoolKind.EXISTING, 100, "g6.xlarge")) is None
    assert shape_of_pool(pool(PoolKind.EXISTING, 23034, "g6.xlarge", gpus=0)) is None
    assert shape_of_pool(pool(PoolKind.PROVISIONABLE, 23034, "unheard-of")) is None


@pytest.mark.parametrize(
    ("provider", "region", "name", "dollars"),
    [
        ("aws", "us-east-1", "g6.xlarge", "0.80"),
        ("azure", "westeurope", "Standard_NV36ads_A10_v5", "3.20"),
        ("azure", "westeurope", "standard_nc24ads_a100_v4", "3.67"),
        ("Azure", "eastus2", "Standard_NC40ads_H100_v5", "6.98"),
        ("gcp", "us-central1", "a3-highgpu-1g", "10.98"),
    ],
)
def test_the_shipped_prices_answer(provider: str, region: str, name: str, dollars: str) -> None:
    found = prices.price(prices.book(load_prices()), provider, region, name, "on-demand")
    assert found is not None
    assert f"{found.usd_per_hour:.2f}" == dollars
    assert found.source
    assert found.measured_in


def test_a_price_nobody_stated_is_unknown() -> None:
    shipped = prices.book(load_prices())
    assert prices.price(shipped, "aws", "us-east-1", "g6.xlarge", "spot") is None
    assert prices.price(shipped, "gcp", "europe-west4", "a3-highgpu-1g", "on-demand") is None
    assert prices.price(shipped, "arc", "", "Standard_NC4_A2", "on-demand") is None


def price(region: str, dollars: float, as_of: date | None) -> Price:
    return Price("aws", region, "g6.xlarge", "on-demand", dollars, "test", as_of, "")


def test_the_region_wins_over_the_provider_and_the_newer_price_over_the_older() -> None:
    older, newer = date(2026, 1, 1), date(2026, 2, 1)
    everywhere = [price("", 1.0, newer), price("", 9.0, None)]
    regional_ones = [price("eu-1", 3.0, newer), price("eu-1", 2.0, older)]
    stated = prices.book(everywhere + regional_ones)
    regional = prices.price(stated, "aws", "EU-1", "g6.xlarge", "on-demand")
    anywhere = prices.price(stated, "aws", "us-1", "g6.xlarge", "on-demand")
    assert regional is not None and regional.usd_per_hour == 3.0
    assert anywhere is not None and anywhere.usd_per_hour == 1.0


def section(**changes: object) -> dict[str, object]:
    base: dict[str, object] = {"provider": "aws", "source": "test", "prices": {"x": 1.0}}
    return {"sections": [base | changes]}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "sections must be a list"),
        (None, "sections must be a list"),
        ({"sections": ["x"]}, "a section needs a provider"),
        (section(prices={"x": 0}), "x must be a positive number"),
        (section(prices={"x": "1"}), "x must be a positive number"),
        (section(capacity_type="free"), "capacity_type must be one of"),
        (section(as_of="yesterday"), "as_of must be a date"),
        (section(source=None), "source must be text"),
        (section(regions="x"), "unknown field 'regions'"),
    ],
)
def test_a_wrong_price_document_is_named(document: object, words: str) -> None:
    with pytest.raises(PriceError, match=words):
        prices.parse(document)
