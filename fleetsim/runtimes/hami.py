"""HAMi's vGPUmonitor: cmd/vGPUmonitor/metrics.go. Memory in bytes; `_ratio` is 0..100."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fleetsim.load.noise import Floats
from fleetsim.runtimes.family import Labels, escaped

MIB = 2**20
Row = tuple[str, Labels, Floats]


def of_card(labels: Labels, memory: Floats, util: Floats) -> list[Row]:
    """A physical card; memory in MiB."""
    return [
        ("hami_host_gpu_memory_used_bytes", labels, memory * MIB),
        ("hami_host_gpu_utilization_ratio", labels, util),
    ]


def of_part(labels: Labels, used: float, limit: float, util: Floats) -> list[Row]:
    """What one container holds of a card; MiB."""
    return [
        ("hami_vgpu_memory_used_bytes", labels, np.full_like(util, round(used) * MIB)),
        ("hami_vgpu_memory_limit_bytes", labels, np.full_like(util, round(limit) * MIB)),
        ("hami_container_device_utilization_ratio", labels, util),
    ]


def text(rows: Iterable[Row]) -> str:
    """The exposition at the first moment, metric by metric."""
    named: dict[str, list[str]] = {}
    for name, labels, values in rows:
        inside = ",".join(f'{key}="{escaped(value)}"' for key, value in labels)
        named.setdefault(name, []).append(f"{name}{{{inside}}} {float(values[0]):.15g}")
    lines = [f"# TYPE {name} gauge\n" + "\n".join(found) for name, found in named.items()]
    return "\n".join(lines) + "\n"
