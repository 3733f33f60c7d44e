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


def word(value: object) -> str:
    """`value` if it is a text of one line that every store takes, of a name's length; else ''."""
    fits = isinstance(value, str) and len(value) <= _LONGEST_TEXT and value.isprintable()
    return str(value) if fits else ""


def gpu_count(value: object) -> int | None:
    """A number of GPUs, or None where it cannot be read or cannot be true."""
    if isinstance(value, str) and len(value) < 5 and value.isascii() and value.isdecimal():
        return int(value)  # as nearly every cluster writes it
    count = parse_count(value)
    return None if count is None or count > MOST_GPUS else count


def sum_gpus(resources: Mapping[str, object] | None) -> int:
    """GPUs in a Kubernetes resource list: whole ones, shared ones and MIG slices alike."""
    found = (resources or {}).items()
    counts = [gpu_count(value) for name, value in found if is_gpu_resource(name)]
    return min(MOST_GPUS, sum(count or 0 for count in counts))


def is_gpu_resource(name: str) -> bool:
    return name in _GPU_RESOURCES or name.startswith("nvidia.com/mig-")


_GPU_RESOURCES = frozenset({"nvidia.com/gpu", "nvidia.com/gpu.shared", "amd.com/gpu"})
