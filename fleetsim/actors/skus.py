"""Node shapes of the simulated clouds: what an instance type carries and what its card reports.

`gib` is KAITO's SKU table figure per GPU (pkg/sku, v0.12.0); `mib` is what the driver reports and
GPU Feature Discovery puts on the node, which is less. Pure data.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU model; `bandwidth` (GB/s) only scales the benchmark."""

    product: str
    family: str
    major: int
    minor: int
    bandwidth: float


@dataclass(frozen=True, slots=True)
class Sku:
    """One instance type; memory figures are per GPU, `memory_gib` is the host's RAM."""

    name: str
    provider: str
    card: Card
    gpus: int
    gib: int
    mib: int
    cpus: int
    memory_gib: int

    @property
    def total_gib(self) -> int:
        """GPU memory of the whole node in GiB."""
        return self.gpus * self.gib

    @property
    def short(self) -> str:
        """The name people use: Standard_NC24ads_A100_v4 is NC24ads."""
        return self.name.removeprefix("Standard_").split("_")[0].split(".")[0]


A10 = Card("NVIDIA-A10", "ampere", 8, 6, 600)
A10G = Card("NVIDIA-A10G", "ampere", 8, 6, 600)
L4 = Card("NVIDIA-L4", "ada-lovelace", 8, 9, 300)
A100_40 = Card("NVIDIA-A100-SXM4-40GB", "ampere", 8, 0, 1555)
A100_80 = Card("NVIDIA-A100-SXM4-80GB", "ampere", 8, 0, 2039)
A100_PCIE = Card("NVIDIA-A100-80GB-PCIe", "ampere", 8, 0, 1935)
H100 = Card("NVIDIA-H100-80GB-HBM3", "hopper", 9, 0, 3350)
H100_NVL = Card("NVIDIA-H100-NVL", "hopper", 9, 0, 3938)
H200 = Card("NVIDIA-H200", "hopper", 9, 0, 4800)

# name, card, GPUs, SKU-table GiB, reported MiB, vCPUs, host GiB
_AZURE = (
    ("Standard_NV36ads_A10_v5", A10, 1, 24, 23028, 36, 440),
    ("Standard_NV72ads_A10_v5", A10, 2, 24, 23028, 72, 880),
    ("Standard_NC24ads_A100_v4", A100_PCIE, 1, 80, 81920, 24, 220),
    ("Standard_NC48ads_A100_v4", A100_PCIE, 2, 80, 81920, 48, 440),
    ("Standard_NC96ads_A100_v4", A100_PCIE, 4, 80, 81920, 96, 880),
    ("Standard_ND96asr_A100_v4", A100_40, 8, 40, 40536, 96, 900),
    ("Standard_ND96amsr_A100_v4", A100_80, 8, 80, 81920, 96, 1900),
    ("Standard_NC40ads_H100_v5", H100_NVL, 1, 94, 95830, 40, 320),
    ("Standard_NC80adis_H100_v5", H100_NVL, 2, 94, 95830, 80, 640),
    ("Standard_NCC40ads_H100_v5", H100_NVL, 1, 94, 95830, 40, 320),
    ("Standard_ND96isr_H100_v5", H100, 8, 80, 81559, 96, 1900),
    ("Standard_ND96isr_H200_v5", H200, 8, 141, 143771, 96, 1900),
)
_AWS = (
    ("p4d.24xlarge", A100_40, 8, 40, 40536, 96, 1152),
    ("p4de.24xlarge", A100_80, 8, 80, 81920, 96, 1152),
    ("p5.48xlarge", H100, 8, 80, 81559, 192, 2048),
    ("p5e.48xlarge", H200, 8, 141, 143771, 192, 2048),
    ("p5en.48xlarge", H200, 8, 141, 143771, 192, 2048),
    ("g6.xlarge", L4, 1, 24, 23034, 4, 16),
    ("g6.2xlarge", L4, 1, 24, 23034, 8, 32),
    ("g6.4xlarge", L4, 1, 24, 23034, 16, 64),
    ("g6.8xlarge", L4, 1, 24, 23034, 32, 128),
    ("g6.16xlarge", L4, 1, 24, 23034, 64, 256),
    ("gr6.4xlarge", L4, 1, 24, 23034, 16, 128),
    ("gr6.8xlarge", L4, 1, 24, 23034, 32, 256),
    ("g6.12xlarge", L4, 4, 24, 23034, 48, 192),
    ("g6.24xlarge", L4, 4, 24, 23034, 96, 384),
    ("g6.48xlarge", L4, 8, 24, 23034, 192, 768),
    ("g5.xlarge", A10G, 1, 24, 23028, 4, 16),
    ("g5.2xlarge", A10G, 1, 24, 23028, 8, 32),
    ("g5.4xlarge", A10G, 1, 24, 23028, 16, 64),
    ("g5.8xlarge", A10G, 1, 24, 23028, 32, 128),
    ("g5.12xlarge", A10G, 4, 24, 23028, 48, 192),
    ("g5.16xlarge", A10G, 1, 24, 23028, 64, 256),
    ("g5.24xlarge", A10G, 4, 24, 23028, 96, 384),
    ("g5.48xlarge", A10G, 8, 24, 23028, 192, 768),
)

SKUS: dict[str, Sku] = {
    row[0].lower(): Sku(row[0], provider, *row[1:])
    for provider, rows in (("azure", _AZURE), ("aws", _AWS))
    for row in rows
}


def find(instance_type: str) -> Sku | None:
    """The shape of an instance type (any case), or None when KAITO's table lacks it."""
    return SKUS.get(instance_type.lower())
