"""One name for each class of card, and the memory that its name implies. Pure.

Clouds and drivers spell one card in many ways ("NVIDIA-H100-80GB-HBM3", "nvidia-h100-80gb",
"H100"); totals need one line for it. The spelling of the node is kept beside the class, since
Kubernetes selects by it.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Family -> usual memory of a card as its driver reports it, in MiB, by nominal GB. Vendors' data
# sheets and the usual value of nvidia.com/gpu.memory.
_FAMILIES: dict[str, dict[int, int]] = {
    "T4": {16: 15360},
    "V100": {16: 16384, 32: 32768},
    "P100": {16: 16384},
    "A2": {16: 15356},
    "A10": {24: 23028},
    "A10G": {24: 23028},
    "A16": {16: 15356},
    "A30": {24: 24576},
    "A40": {48: 46068},
    "A100": {40: 40536, 80: 81920},
    "A800": {40: 40536, 80: 81920},
    "L4": {24: 23034},
    "L40": {48: 46068},
    "L40S": {48: 46068},
    "H20": {96: 97871},
    "H100": {80: 81559, 94: 95830},
    "H800": {80: 81559},
    "H200": {141: 143771},
    "GH200": {96: 97871, 144: 147456},
    "B200": {180: 183359},
    "B300": {288: 294912},
    "GB200": {186: 190464},
    "GB300": {288: 294912},
    "MI210": {64: 65536},
    "MI250": {128: 131072},
    "MI250X": {128: 131072},
    "MI300X": {192: 196608},
    "MI325X": {256: 262144},
    "MI355X": {288: 294912},
    "GAUDI2": {96: 98304},
    "GAUDI3": {128: 131072},
    "V520": {8: 8192},
    "V620": {32: 32768},
}
_SPELLINGS = {"GAUDI2": "Gaudi 2", "GAUDI3": "Gaudi 3"}
_GKE_40 = re.compile(r"nvidia-tesla-a100", re.ASCII)  # Google's old name of the 40 GB card alone
_SIZE = re.compile(r"(\d{1,3})GB")
_NEAR = 0.12  # how far a reported figure may be from the nominal one, as a share of it
_CPU_MEMORY = frozenset({"GH200"})  # the size in its name is that of the other chip


def bare_model(label: str) -> str:
    """A label's model without what sharing appends to it."""
    return label.removesuffix("-SHARED").split("-MIG-")[0]


@lru_cache(maxsize=1024)
def card_class(label: str, memory_mib: int | None = None) -> str:
    """The name that all spellings of one card share; "" where the node names none.

    Cards of one family with different memory are classes of their own: "A100 40GB".
    """
    family, size = _read(label, memory_mib)
    if not family:
        return _plain_words(label)
    name = _SPELLINGS.get(family, family)
    return f"{name} {size}GB" if size and len(_FAMILIES[family]) > 1 else name


@lru_cache(maxsize=1024)
def usual_memory(label: str) -> int | None:
    """MiB of one card as its driver usually reports it; None where the name leaves it open."""
    family, size = _read(label, None)
    return _FAMILIES[family][size] if family and size else None


def nominal_gb(label: str, memory_mib: int | None) -> int | None:
    """The card's memory as its maker writes it, in GB; None: not known."""
    return _read(label, memory_mib)[1]


def _read(label: str, memory_mib: int | None) -> tuple[str, int | None]:
    words = re.split(r"[^A-Z0-9]+", bare_model(label).upper())
    family = next((word for word in words if word in _FAMILIES), "")
    if not family and "GAUDI" in words:
        family = next((f"GAUDI{word}" for word in words if word in ("2", "3")), "")
    if not family:
        return "", None
    sizes = _FAMILIES[family]
    if len(sizes) == 1:
        return family, next(iter(sizes))
    return family, _said(family, label, words) or _nearest(sizes, memory_mib)


def _said(family: str, label: str, words: list[str]) -> int | None:
    """The size that the name itself gives."""
    if family == "H100" and "NVL" in words:
        return 94
    if _GKE_40.fullmatch(label):
        return 40
    found = [int(match[1]) for word in words if (match := _SIZE.fullmatch(word))]
    fits = [size for size in found if size in _FAMILIES[family]]
    return fits[0] if fits and family not in _CPU_MEMORY else None


def _nearest(sizes: dict[int, int], memory_mib: int | None) -> int | None:
    if memory_mib is None:
        return None
    gib = memory_mib / 1024
    nearest = min(sizes, key=lambda size: abs(size - gib))
    return nearest if abs(nearest - gib) <= _NEAR * nearest else None


def _plain_words(label: str) -> str:
    words = bare_model(label).replace("-", " ").replace("_", " ").split()
    return " ".join(words[1:] if words[:1] == ["NVIDIA"] and len(words) > 1 else words)
