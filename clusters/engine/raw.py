"""Careful access to JSON from clusters that may be broken or hostile. Nothing here raises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clusters.engine.quantities import parse_count

MOST_GPUS = 100_000  # per node or pod; a larger figure is a mistake or an attack on our sums
_LONGEST_TEXT = 253  # the longest name Kubernetes allows


def mapping(value: object) -> Mapping[str, object]:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> list[object]:
    """`value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def mappings(value: object) -> Iterable[Mapping[str, object]]:
    """The JSON objects of an array."""
    return (item for item in sequence(value) if isinstance(item, Mapping))


def text(value: object) -> str:
    """`value` if it is a string of a length that Kubernetes allows for names, else ''."""
    return value if isinstance(value, str) and len(value) <= _LONGEST_TEXT else ""


def gpu_count(value: object) -> int | None:
    """A number of GPUs, or None where it cannot be read or cannot be true."""
    count = parse_count(value)
    return None if count is None or count > MOST_GPUS else count


def sum_gpus(resources: object) -> int:
    """GPUs in a Kubernetes resource list: whole ones, shared ones and MIG slices alike."""
    found = mapping(resources)
    counts = (gpu_count(value) for name, value in found.items() if is_gpu_resource(name))
    return min(MOST_GPUS, sum(count or 0 for count in counts))


def is_gpu_resource(name: object) -> bool:
    return isinstance(name, str) and (name in _GPU_RESOURCES or name.startswith("nvidia.com/mig-"))


_GPU_RESOURCES = frozenset({"nvidia.com/gpu", "nvidia.com/gpu.shared", "amd.com/gpu"})
