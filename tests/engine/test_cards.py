"""All spellings of a card are one class; the name tells the memory only where it really does."""

from __future__ import annotations

import pytest

from clusters.engine.cards import card_class, usual_memory


@pytest.mark.parametrize(
    ("label", "memory_mib", "expected"),
    [
        ("NVIDIA-H100-80GB-HBM3", 81559, "H100 80GB"),
        ("nvidia-h100-mega-80gb", None, "H100 80GB"),
        ("NVIDIA H100", 80 * 1024, "H100 80GB"),
        ("h100", None, "H100"),
        ("NVIDIA-H100-NVL", None, "H100 94GB"),
        ("NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", None, "H100 80GB"),
        ("NVIDIA-A100-SXM4-40GB-SHARED", 40536, "A100 40GB"),
        ("NVIDIA-A100-80GB-PCIe", 81920, "A100 80GB"),
        ("nvidia-tesla-a100", None, "A100 40GB"),
        ("nvidia-tesla-t4", None, "T4"),
        ("Tesla-T4", 15360, "T4"),
        ("NVIDIA-A10", 23028, "A10"),
        ("a10g", 24576, "A10G"),
        ("NVIDIA-H200", 143771, "H200"),
        ("NVIDIA-GH200-480GB", 97871, "GH200 96GB"),
        ("AMD_Instinct_MI300X_OAM", 196608, "MI300X"),
        ("Intel Gaudi 3", None, "Gaudi 3"),
        ("NVIDIA-GeForce-RTX-4090", 24564, "GeForce RTX 4090"),
        ("NVIDIA", None, "NVIDIA"),
        ("", None, ""),
    ],
)
def test_every_spelling_has_its_class(label: str, memory_mib: int | None, expected: str) -> None:
    assert card_class(label, memory_mib) == expected
    assert card_class(expected, memory_mib) == expected  # a class is a spelling of itself


def test_a_figure_that_fits_no_card_of_the_family_is_not_rounded_to_one() -> None:
    assert card_class("NVIDIA-H100", 12_000) == "H100"


def test_memory_is_told_by_the_name_alone_only_where_there_is_one_size() -> None:
    assert usual_memory("nvidia-l4") == 23034
    assert usual_memory("A100") is None
    assert usual_memory("NVIDIA-GeForce-RTX-4090") is None
