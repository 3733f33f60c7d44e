"""Whether a node gives its cards out in parts, in which, and how many cards there really are. Pure.

Device plugins offer slices and replicas under the names of cards, so a plain count of resources
is right only where nothing here finds sharing.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clusters.engine.accelerators import NVIDIA, NVIDIA_SHARED
from clusters.engine.mig import fewest_cards, profile_of, slice_memory
from clusters.engine.raw import gpu_count, mebibytes, word
from clusters.engine.signs import GFD_PRODUCT, Signs

_GKE = "cloud.google.com/gke-gpu-"
_GKE_STRATEGIES = {"time-sharing": "time-slicing", "mps": "mps"}


class Part(msgspec.Struct, frozen=True):
    """Parts of one kind on offer. `resource`: the name that pods ask for them by."""

    resource: str
    profile: str
    offered: int
    memory_mib: int | None


def sharing_of(signs: Signs) -> str:
    """none | time-slicing | mps | hami | mig | unknown."""
    if signs.hami:
        return "hami"
    if signs.dra and signs.dra.parts_only:
        return "mig"
    if _mig_profile(signs) or signs.offered.slices or signs.capacity.slices:
        return "mig"
    return _replicated(signs)


def _mig_profile(signs: Signs) -> str:
    """The one profile of all slices where they go by the name of whole cards."""
    product = signs.labels.get(GFD_PRODUCT, "")
    if "-MIG-" in product:
        return word(profile_of(product))
    return word(signs.labels.get(f"{_GKE}partition-size"))


def _replicated(signs: Signs) -> str:
    labels = signs.labels
    strategy = labels.get("nvidia.com/gpu.sharing-strategy", "")
    if strategy in ("mps", "time-slicing"):
        return strategy
    strategy = labels.get(f"{_GKE}sharing-strategy", "")
    if strategy in _GKE_STRATEGIES:
        return _GKE_STRATEGIES[strategy]
    replicas = gpu_count(labels.get("nvidia.com/gpu.replicas")) or 0
    renamed = signs.offered.renamed or signs.capacity.renamed
    shared = labels.get(GFD_PRODUCT, "").endswith("-SHARED")
    if shared or renamed or (signs.gfd_count and replicas > signs.gfd_count):
        return "time-slicing"
    return "unknown" if _too_many(signs) else "none"


def _too_many(signs: Signs) -> bool:
    """Several times the cards of the machine, and nobody says why: replicas of some kind."""
    cards = signs.cloud_count or (signs.sku.gpus if signs.sku else 0)
    offered = max(signs.capacity.cards, signs.offered.cards)
    return not signs.gfd_count and cards > 0 and offered >= 2 * cards and offered % cards == 0


def parts_of(signs: Signs, sharing: str, memory_mib: int | None) -> tuple[Part, ...]:
    """Parts that device plugins offer now; `memory_mib` of one card."""
    if sharing == "mig" and not signs.dra:
        return _slices(signs, memory_mib)
    if sharing in ("time-slicing", "mps", "unknown"):
        return _replicas(signs, sharing, memory_mib)
    return ()


def _slices(signs: Signs, memory_mib: int | None) -> tuple[Part, ...]:
    single, offered = _mig_profile(signs), signs.offered
    parts = [
        Part(name, profile_of(name), count, slice_memory(signs.labels, profile_of(name)))
        for name, count in sorted(offered.slices.items())
    ]
    if offered.cards and single:
        said = mebibytes(signs.labels.get("nvidia.com/gpu.memory"))
        memory = said or slice_memory(signs.labels, single)
        parts.append(Part(NVIDIA, single, offered.cards, memory))
    elif offered.cards:  # cards beside those that are cut up
        parts.append(Part(NVIDIA, "whole card", offered.cards, memory_mib))
    return tuple(parts)


def _replicas(signs: Signs, sharing: str, memory_mib: int | None) -> tuple[Part, ...]:
    """MPS divides a card's memory among its replicas; time-slicing does not divide it."""
    offered, cards = signs.offered, signs.gfd_count or signs.cloud_count
    each = 0
    if sharing == "mps" and memory_mib and cards:
        each = memory_mib // max(1, (offered.cards + offered.renamed) // cards)
    counts: Mapping[str, int] = {NVIDIA: offered.cards, NVIDIA_SHARED: offered.renamed}
    return tuple(
        Part(name, "replica", count, each or None) for name, count in counts.items() if count
    )


def physical_of(signs: Signs, sharing: str, model: str) -> int | None:
    """Cards in the box: the largest figure that any source gives, since a dead card vanishes
    from labels and capacity but not from the SKU table. None: nobody says."""
    figures = [signs.sku.gpus if signs.sku else None, signs.cloud_count]
    if signs.dra:
        figures.append(len({signs.dra.uuids.get(d.card, d.card) for d in signs.dra.devices}))
    if signs.hami:
        figures.append(len(signs.hami.cards))
    single = sharing == "mig" and bool(_mig_profile(signs))
    if not single:
        figures.append(signs.gfd_count)
    if sharing == "none":
        figures.append(max(signs.capacity.cards, signs.capacity.cores and 1))
    known = max((figure for figure in figures if figure), default=None)
    return _cut_up(signs, model) if known is None and sharing == "mig" else known


def _cut_up(signs: Signs, model: str) -> int | None:
    """The fewest cards that can give the slices on offer."""
    single, capacity = _mig_profile(signs), signs.capacity
    if single:
        return fewest_cards({single: capacity.cards}, model) if capacity.cards else None
    slices = {profile_of(name): count for name, count in capacity.slices.items()}
    cut = fewest_cards(slices, model) if slices else None
    return None if cut is None else cut + capacity.cards
