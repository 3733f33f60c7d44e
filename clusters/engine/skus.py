"""Node sizes of the clouds as KAITO's tables (`pkg/sku`) have them.

Only what KAITO knows is here, so that a lookup that fails here fails on the cluster too. Memory is
the table's figure, in whole GiB per GPU; what a card reports is a different number.
"""

from __future__ import annotations

from dataclasses import dataclass

from clusters.engine.signs import SkuFacts

AZURE, AWS, ARC = "azure", "aws", "arc"


@dataclass(frozen=True, slots=True)
class Sku:
    """One instance type. `nvme`: KAITO may keep weights on local NVMe. `compute_capability` is
    CUDA's; None: not an NVIDIA card."""

    instance_type: str
    provider: str  # azure | aws | arc
    gpu_model: str
    gpus: int
    gib_per_gpu: int
    nvme: bool
    compute_capability: float | None


Row = tuple[str, str, int, int, bool, float | None]

# instance type, GPU, GPUs, GiB per GPU, local NVMe, compute capability
AZURE_ROWS: tuple[Row, ...] = (
    ("Standard_NV36ads_A10_v5", "NVIDIA A10", 1, 24, False, 8.6),
    ("Standard_NV72ads_A10_v5", "NVIDIA A10", 2, 24, False, 8.6),
    ("Standard_NC24ads_A100_v4", "NVIDIA A100", 1, 80, True, 8.0),
    ("Standard_NC48ads_A100_v4", "NVIDIA A100", 2, 80, True, 8.0),
    ("Standard_NC96ads_A100_v4", "NVIDIA A100", 4, 80, True, 8.0),
    ("Standard_ND96asr_A100_v4", "NVIDIA A100", 8, 40, False, 8.0),
    ("Standard_ND96amsr_A100_v4", "NVIDIA A100", 8, 80, True, 8.0),
    ("Standard_NC40ads_H100_v5", "NVIDIA H100", 1, 94, True, 9.0),
    ("Standard_NC80adis_H100_v5", "NVIDIA H100", 2, 94, True, 9.0),
    ("Standard_ND96isr_H100_v5", "NVIDIA H100", 8, 80, True, 9.0),
    ("Standard_NCC40ads_H100_v5", "NVIDIA H100", 1, 94, False, 9.0),
    ("Standard_ND96isr_H200_v5", "NVIDIA H200", 8, 141, True, 9.0),
    ("Standard_NG32ads_V620_v1", "AMD Radeon PRO V620", 1, 32, False, None),
    ("Standard_NG32adms_V620_v1", "AMD Radeon PRO V620", 1, 32, False, None),
)

AWS_ROWS: tuple[Row, ...] = (
    ("p4d.24xlarge", "NVIDIA A100", 8, 40, True, 8.0),
    ("p4de.24xlarge", "NVIDIA A100", 8, 80, True, 8.0),
    ("p5.48xlarge", "NVIDIA H100", 8, 80, True, 9.0),
    ("p5e.48xlarge", "NVIDIA H200", 8, 141, True, 9.0),
    ("p5en.48xlarge", "NVIDIA H200", 8, 141, True, 9.0),
    ("g6.xlarge", "NVIDIA L4", 1, 24, True, 8.9),
    ("g6.2xlarge", "NVIDIA L4", 1, 24, True, 8.9),
    ("g6.4xlarge", "NVIDIA L4", 1, 24, True, 8.9),
    ("g6.8xlarge", "NVIDIA L4", 1, 24, True, 8.9),
    ("g6.16xlarge", "NVIDIA L4", 1, 24, True, 8.9),
    ("gr6.4xlarge", "NVIDIA L4", 1, 24, True, 8.9),
    ("gr6.8xlarge", "NVIDIA L4", 1, 24, True, 8.9),
    ("g6.12xlarge", "NVIDIA L4", 4, 24, True, 8.9),
    ("g6.24xlarge", "NVIDIA L4", 4, 24, True, 8.9),
    ("g6.48xlarge", "NVIDIA L4", 8, 24, True, 8.9),
    ("g5.xlarge", "NVIDIA A10G", 1, 24, True, 8.6),
    ("g5.2xlarge", "NVIDIA A10G", 1, 24, True, 8.6),
    ("g5.4xlarge", "NVIDIA A10G", 1, 24, True, 8.6),
    ("g5.8xlarge", "NVIDIA A10G", 1, 24, True, 8.6),
    ("g5.12xlarge", "NVIDIA A10G", 4, 24, True, 8.6),
    ("g5.16xlarge", "NVIDIA A10G", 1, 24, True, 8.6),
    ("g5.24xlarge", "NVIDIA A10G", 4, 24, True, 8.6),
    ("g5.48xlarge", "NVIDIA A10G", 8, 24, True, 8.6),
    ("g4ad.xlarge", "AMD Radeon Pro V520", 1, 8, True, None),
    ("g4ad.2xlarge", "AMD Radeon Pro V520", 1, 8, True, None),
    ("g4ad.4xlarge", "AMD Radeon Pro V520", 1, 8, True, None),
    ("g4ad.8xlarge", "AMD Radeon Pro V520", 2, 8, True, None),
    ("g4ad.16xlarge", "AMD Radeon Pro V520", 4, 8, True, None),
    ("trn1.2xlarge", "AWS Trainium accelerators", 1, 32, True, None),
    ("trn1.32xlarge", "AWS Trainium accelerators", 16, 32, True, None),
    ("trn1n.32xlarge", "AWS Trainium accelerators", 16, 32, True, None),
    ("inf2.xlarge", "AWS Inferentia2 accelerators", 1, 32, False, None),
    ("inf2.8xlarge", "AWS Inferentia2 accelerators", 1, 32, False, None),
    ("inf2.24xlarge", "AWS Inferentia2 accelerators", 6, 32, False, None),
    ("inf2.48xlarge", "AWS Inferentia2 accelerators", 12, 32, False, None),
)

ARC_ROWS: tuple[Row, ...] = (
    ("Standard_NC4_A2", "NVIDIA A2", 1, 16, False, 8.6),
    ("Standard_NC8_A2", "NVIDIA A2", 1, 16, False, 8.6),
    ("Standard_NC16_A2", "NVIDIA A2", 2, 16, False, 8.6),
    ("Standard_NC32_A2", "NVIDIA A2", 2, 16, False, 8.6),
    ("Standard_NC4_A16", "NVIDIA A16", 1, 16, False, 8.6),
    ("Standard_NC8_A16", "NVIDIA A16", 1, 16, False, 8.6),
    ("Standard_NC16_A16", "NVIDIA A16", 2, 16, False, 8.6),
    ("Standard_NC32_A16", "NVIDIA A16", 2, 16, False, 8.6),
)

SKUS: tuple[Sku, ...] = tuple(
    Sku(name, provider, gpu, gpus, gib, nvme, capability)
    for provider, rows in ((AZURE, AZURE_ROWS), (AWS, AWS_ROWS), (ARC, ARC_ROWS))
    for name, gpu, gpus, gib, nvme, capability in rows
)
_BY_NAME = {sku.instance_type.lower(): sku for sku in SKUS}


def find(instance_type: str) -> Sku | None:
    """The row of an instance type in any case; None: KAITO does not know it."""
    return _BY_NAME.get(instance_type.strip().lower())


def sku_facts(instance_type: str) -> SkuFacts | None:
    """The same row as the inventory reads it."""
    sku = find(instance_type)
    if sku is None:
        return None
    return SkuFacts(
        sku.instance_type, sku.gpu_model, sku.gpus, float(sku.gib_per_gpu), sku.compute_capability
    )
