"""Kubernetes resources that stand for accelerators, and what a list of resources offers of them.

Pure. A number that cannot be read is never taken for 0: `Offer.unreadable` says that it is there,
and a pod's unreadable request counts as more than any node has.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clusters.engine.raw import MOST_GPUS, gpu_count

NVIDIA, NVIDIA_SHARED = "nvidia.com/gpu", "nvidia.com/gpu.shared"
NEURON_CORES = "aws.amazon.com/neuroncore"  # a chip has several; the plugin offers both at once
MIG_PREFIX = "nvidia.com/mig-"
ALL_OF_IT = MOST_GPUS  # what a pod holds whose request cannot be read

_CARDS = {  # one unit is one card, or one replica of a card where the plugin shares it
    NVIDIA: "nvidia",
    NVIDIA_SHARED: "nvidia",
    "amd.com/gpu": "amd",
    "gpu.intel.com/i915": "intel",
    "gpu.intel.com/xe": "intel",
    "habana.ai/gaudi": "habana",
    "aws.amazon.com/neuron": "aws",
    "aws.amazon.com/neurondevice": "aws",
    "google.com/tpu": "google",
}
_ALIASES = {"aws.amazon.com/neurondevice": "aws.amazon.com/neuron"}  # the old name of the same
_VENDORS = {**_CARDS, NEURON_CORES: "aws"}


class Offer(msgspec.Struct, frozen=True):
    """What a resource list names. `cards` are whole ones unless the node shares them."""

    vendor: str = ""
    cards: int = 0
    renamed: int = 0  # replicas under the name that says so (nvidia.com/gpu.shared)
    slices: Mapping[str, int] = {}  # MIG resource -> number
    cores: int = 0  # Neuron cores
    unreadable: bool = False

    @property
    def units(self) -> int:
        return min(MOST_GPUS, self.cards + self.renamed + sum(self.slices.values()))


NOTHING = Offer()


def is_accelerator(name: str) -> bool:
    return name in _VENDORS or name.startswith(MIG_PREFIX)


def counts(resources: Mapping[str, object] | None) -> dict[str, int | None]:
    """Accelerators in a resource list by name; None: the number cannot be read."""
    if not resources:
        return {}
    return {
        _ALIASES.get(name, name): gpu_count(value)
        for name, value in resources.items()
        if name in _VENDORS or name.startswith(MIG_PREFIX)
    }


def offer(resources: Mapping[str, object] | None) -> Offer:
    """What a node's capacity or allocatable offers."""
    found = counts(resources)
    if not found:
        return NOTHING
    if len(found) == 1 and (cards := found.get(NVIDIA)):  # nearly every GPU node
        return Offer(vendor="nvidia", cards=cards)
    known = {name: count for name, count in found.items() if count}
    slices = {name: count for name, count in known.items() if name.startswith(MIG_PREFIX)}
    renamed, cores = known.get(NVIDIA_SHARED, 0), known.get(NEURON_CORES, 0)
    return Offer(
        vendor=vendor_of(next(iter(sorted(known or found)))),
        cards=sum(count for name, count in known.items() if name in _CARDS) - renamed,
        renamed=renamed,
        slices=slices,
        cores=cores,
        unreadable=None in found.values(),
    )


def vendor_of(resource: str) -> str:
    return _VENDORS.get(resource, "nvidia")


def cards_for(cores: int, offered: Offer) -> int:
    """Chips that so many Neuron cores take, by what the node offers of both."""
    per_card = offered.cores // offered.cards if offered.cards else 0
    return -(-cores // per_card) if per_card else cores
