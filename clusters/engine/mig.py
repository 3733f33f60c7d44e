"""MIG profiles: what a slice is called and how many cards so many slices take at least. Pure.

Source: NVIDIA's MIG user guide: a card has seven compute slices and eight memory slices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from clusters.engine.cards import nominal_gb
from clusters.engine.raw import MOST_GPUS, mebibytes

_PROFILE = re.compile(r"(?:\dc\.)?([1-7])g\.(\d{1,3})gb", re.ASCII)
COMPUTE_SLICES, MEMORY_SLICES = 7, 8


def profile_of(name: str) -> str:
    """ "1g.5gb" of a resource ("nvidia.com/mig-1g.5gb"), a product label or a profile itself."""
    tail = name.rpartition("-MIG-")[2].rpartition("mig-")[2]
    return tail.removesuffix(".shared").removesuffix("-SHARED")


def slice_memory(labels: Mapping[str, str], profile: str) -> int | None:
    """MiB of one slice: what GPU Feature Discovery says, else what the profile is called."""
    said = mebibytes(labels.get(f"nvidia.com/mig-{profile}.memory"))
    match = _PROFILE.match(profile)
    return said or (int(match[2]) * 1024 if match else None)


def fewest_cards(slices: Mapping[str, int], model: str) -> int | None:
    """Cards that can hold these slices (profile -> number); None: a profile that we do not know.

    Exact where cards are cut up whole, as `mig-parted` does; else a lower bound.
    """
    compute = memory = most = 0
    gb = nominal_gb(model, None)
    for profile, number in slices.items():
        match = _PROFILE.match(profile)
        if match is None:
            return None
        parts, eighths = int(match[1]), _memory_slices(int(match[2]), gb)
        compute += number * parts
        memory += number * eighths
        most = max(
            most, -(-number // max(1, min(COMPUTE_SLICES // parts, MEMORY_SLICES // eighths)))
        )
    cards = max(most, -(-compute // COMPUTE_SLICES), -(-memory // MEMORY_SLICES))
    return min(MOST_GPUS, cards) or None


def _memory_slices(gb: int, card_gb: int | None) -> int:
    """Eighths of a card's memory that a slice takes: 20 GB of 80 are two, 12 of 94 are one."""
    return max(1, round(gb / card_gb * MEMORY_SLICES)) if card_gb else 1
