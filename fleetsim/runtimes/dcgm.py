"""NVIDIA's DCGM exporter: names and units of etc/default-counters.csv, labels of its templates.

Utilisation is 0..100 and the profiling ratios 0..1; memory is MiB; the XID gauge keeps its number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetsim.load.cards import State
from fleetsim.load.noise import Floats
from fleetsim.runtimes.family import Labels, escaped

RESERVED = 610.0  # MiB
DRIVER = "570.124.06"
NAMES = {
    "DCGM_FI_DEV_SM_CLOCK": "gauge", "DCGM_FI_DEV_GPU_TEMP": "gauge",
    "DCGM_FI_DEV_POWER_USAGE": "gauge", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": "counter",
    "DCGM_FI_DEV_GPU_UTIL": "gauge", "DCGM_FI_DEV_MEM_COPY_UTIL": "gauge",
    "DCGM_FI_DEV_XID_ERRORS": "gauge", "DCGM_FI_DEV_FB_FREE": "gauge",
    "DCGM_FI_DEV_FB_USED": "gauge", "DCGM_FI_DEV_FB_RESERVED": "gauge",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "gauge", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": "gauge",
    "DCGM_FI_PROF_DRAM_ACTIVE": "gauge",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cards:
    """One node's cards at T moments."""

    state: State
    mib: int
    energy: Floats  # G x T, mJ
    xid: Floats  # G x T


def values(cards: Cards) -> dict[str, Floats]:
    """Every metric, G x T."""
    state = cards.state
    busy = state.util / 100
    # What a driver keeps for itself is less on small cards.
    reserved = min(RESERVED, cards.mib * 0.008)
    found = {
        "DCGM_FI_DEV_SM_CLOCK": np.where(state.memory > 100, 1410 + 570 * busy, 345.0).round(),
        "DCGM_FI_DEV_GPU_TEMP": state.heat,
        "DCGM_FI_DEV_POWER_USAGE": state.power,
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": cards.energy,
        "DCGM_FI_DEV_GPU_UTIL": state.util,
        "DCGM_FI_DEV_MEM_COPY_UTIL": (state.util * 0.46).round(),
        "DCGM_FI_DEV_XID_ERRORS": cards.xid,
        "DCGM_FI_DEV_FB_FREE": np.maximum(cards.mib - reserved - state.memory, 0).round(),
        "DCGM_FI_DEV_FB_USED": state.memory,
        "DCGM_FI_DEV_FB_RESERVED": np.full_like(state.memory, round(reserved)),
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE": (busy * 0.98).round(6),
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": (busy * 0.41).round(6),
        "DCGM_FI_PROF_DRAM_ACTIVE": (busy * 0.57).round(6),
    }
    return {name: found[name] for name in NAMES}


def labels(number: int, uuid: str, product: str, host: str, old: bool) -> Labels:
    """The labels of one card. Older exporters write Hostname with a capital."""
    return (
        ("gpu", str(number)),
        ("UUID", uuid),
        ("pci_bus_id", f"00000000:{16 + 8 * number:02X}:00.0"),
        ("device", f"nvidia{number}"),
        ("modelName", product.replace("-", " ")),
        ("Hostname" if old else "hostname", host),
        ("DCGM_FI_DRIVER_VERSION", DRIVER),
    )


def text(found: dict[str, Floats], rows: list[str]) -> str:
    """The exposition at the first moment; `rows` are the cards' labels as they stand in braces."""
    lines = ["# Simulated cards, not measured."]
    for name, kind in NAMES.items():
        lines.append(f"# TYPE {name} {kind}")
        lines += [
            f"{name}{{{row}}} {value:.15g}"
            for row, value in zip(rows, found[name][:, 0].tolist(), strict=True)
        ]
    return "\n".join(lines) + "\n"


def row(labels: Labels) -> str:
    """Labels as they stand in braces."""
    return ",".join(f'{name}="{escaped(value)}"' for name, value in labels)
