"""Cards that drivers publish for dynamic resource allocation, and who holds them. Pure.

Free is what is in the newest whole generation of slices, in no claim, without a taint that keeps
pods away. A card is taken while any part of it (MIG) is. Source: Kubernetes `resource.k8s.io/v1`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from clusters.engine.dra_slices import (
    DRIVERS,
    Counter,
    DeviceKey,
    DraDevice,
    Published,
    read_slices,
)
from clusters.engine.raw import gpu_count, word
from clusters.engine.reach import Reach
from clusters.engine.shapes import Node, Pod, ResourceClaim, ResourceSlice
from clusters.engine.types import CardFacts, ShareFacts

_CLASSES = frozenset({*DRIVERS, "mig.nvidia.com", "vfio.gpu.nvidia.com"})


@dataclass(slots=True)
class DraNode:
    """Devices of one node, or those of a pool that are no single node's. `taken`: in a claim.

    `counters` and what of them is `spent` are the whole cluster's: pools may span nodes."""

    vendor: str
    devices: list[DraDevice] = field(default_factory=list)
    taken: set[DeviceKey] = field(default_factory=set)
    counters: Mapping[Counter, int] = field(default_factory=dict)
    spent: Mapping[Counter, int] = field(default_factory=dict)
    uuids: dict[str, str] = field(default_factory=dict)  # PCI address -> UUID, where both are said

    @property
    def parts_only(self) -> bool:
        """Whether some card is offered in parts alone: then the node has no plain count."""
        whole = {device.card for device in self.devices if not device.profile}
        return any(device.card not in whole for device in self.devices)

    @property
    def model(self) -> str:
        return min((device.model for device in self.devices if device.model), default="")

    @property
    def memory_mib(self) -> int | None:
        """Of the smallest whole card; None where only parts are offered."""
        known = [d.memory_mib for d in self.devices if d.memory_mib and not d.profile]
        return min(known, default=None)


Loose = tuple[str, int]  # driver/pool, how many nodes can use the card: several, or none


class Holder(msgspec.Struct, frozen=True):
    """`devices` that a claim holds, for one pod or, where none is named, for the claim itself."""

    name: str  # namespace/name of the pod, or "claim namespace/name"
    devices: tuple[DeviceKey, ...]


class DraCluster(msgspec.Struct, frozen=True):
    nodes: Mapping[str, DraNode]
    holders: Sequence[Holder]
    pods: frozenset[str]  # pods that hold devices: what they ask of resources is counted already
    incomplete: Sequence[str]  # pools whose newest generation is not all here
    loose: Mapping[Loose, DraNode]


NO_DRA = DraCluster({}, (), frozenset(), (), {})


def read_dra(
    nodes: Iterable[Node], slices: Iterable[ResourceSlice], claims: Iterable[ResourceClaim]
) -> DraCluster:
    """Devices by node and who holds them."""
    reading = read_slices(slices, Reach(nodes))
    spent: dict[Counter, int] = defaultdict(int)
    by_node, loose = _placed(reading.devices, reading.counters, spent)
    bags = (*by_node.values(), *loose.values())
    places = {device.key: (bag, device) for bag in bags for device in bag.devices}
    holders = sorted(_holders(claims, places), key=lambda holder: (holder.name, holder.devices))
    for key in {key for holder in holders for key in holder.devices}:
        bag, device = places[key]
        bag.taken.add(key)
        for counter, amount in device.takes:
            spent[counter] += amount
    pods = frozenset(holder.name for holder in holders if not holder.name.startswith("claim "))
    return DraCluster(by_node, holders, pods, reading.incomplete, loose)


def _placed(
    devices: Iterable[Published], counters: Mapping[Counter, int], spent: Mapping[Counter, int]
) -> tuple[dict[str, DraNode], dict[Loose, DraNode]]:
    """Every card in one place, whatever its parts say: in the only node that can use it, or loose.
    A card that several nodes can use is in none of them, and is still one card."""
    reach: dict[tuple[str, str, str], frozenset[str]] = defaultdict(frozenset)
    for item in devices:
        reach[(*item.device.key[:2], item.identity)] |= item.nodes
    nodes: dict[str, DraNode] = {}
    loose: dict[Loose, DraNode] = {}
    for item in devices:
        driver, pool, _ = item.device.key
        usable = reach[driver, pool, item.identity]
        bag = DraNode(DRIVERS[driver], counters=counters, spent=spent)
        if len(usable) == 1:
            bag = nodes.setdefault(next(iter(usable)), bag)
        else:
            bag = loose.setdefault((f"{driver}/{word(pool)}", len(usable)), bag)
        bag.devices.append(item.device)
        bag.uuids.update(item.uuids)
    return nodes, loose


def cards_of(node: DraNode) -> tuple[CardFacts, ...]:
    """Each card of the node once, however many parts of it are on offer."""
    by_card: dict[str, list[DraDevice]] = defaultdict(list)
    for device in node.devices:
        by_card[node.uuids.get(device.card, device.card)].append(device)
    free = _free(node)
    return tuple(_card(node, name, devices, free) for name, devices in sorted(by_card.items()))


def shares_of(node: DraNode) -> tuple[ShareFacts, ...]:
    """Parts by profile: those held and those that could still be given out."""
    by_profile: dict[tuple[str, int | None], list[DraDevice]] = defaultdict(list)
    for device in node.devices:
        if device.profile:
            by_profile[device.profile, device.memory_mib].append(device)
    found, free = [], _free(node)
    for (profile, memory), devices in sorted(by_profile.items(), key=lambda item: str(item[0])):
        used = sum(device.key in node.taken for device in devices)
        open_ = sum(device.key in free for device in devices)
        found.append(ShareFacts(profile, used + open_, used, memory))
    return tuple(found)


def waiting(claims: Iterable[ResourceClaim], pods: Iterable[Pod]) -> int:
    """Cards that pods without a node ask for through claims."""
    wanted = {claim for pod in pods if not pod.spec.node_name for claim in _claims_of(pod)}
    return sum(
        _asked(claim)
        for claim in claims
        if claim.status.allocation is None
        and f"{claim.metadata.namespace}/{claim.metadata.name}" in wanted
    )


def _claims_of(pod: Pod) -> Iterator[str]:
    namespace = pod.metadata.namespace
    for given in pod.status.resource_claim_statuses or ():
        yield f"{namespace}/{given.resource_claim_name}"
    for asked in pod.spec.resource_claims or ():
        yield f"{namespace}/{asked.get('resourceClaimName')}"


def _asked(claim: ResourceClaim) -> int:
    asked = [r.exactly for r in claim.spec.devices.requests or () if r.exactly]
    gpus = [e for e in asked if e.device_class_name in _CLASSES and not e.admin_access]
    return sum(gpu_count(e.count) or 0 for e in gpus if e.allocation_mode != "All")


def _holders(
    claims: Iterable[ResourceClaim], places: Mapping[DeviceKey, object]
) -> Iterator[Holder]:
    for claim in claims:
        allocation = claim.status.allocation
        results = (allocation.devices.results if allocation else None) or ()
        keys = {(r.driver, r.pool, r.device) for r in results if not r.admin_access}
        devices = tuple(sorted(keys & places.keys()))
        if devices:
            namespace, name = word(claim.metadata.namespace), word(claim.metadata.name)
            reserved = claim.status.reserved_for or ()
            pods = sorted(word(r.name) for r in reserved if r.resource == "pods" and word(r.name))
            yield Holder(f"{namespace}/{pods[0]}" if pods else f"claim {namespace}/{name}", devices)
            yield from (Holder(f"{namespace}/{pod}", ()) for pod in pods[1:])


def _card(
    node: DraNode, name: str, devices: Sequence[DraDevice], free: set[DeviceKey]
) -> CardFacts:
    whole = [device for device in devices if not device.profile]
    held = [device for device in devices if device.key in node.taken]
    offered = [device for device in devices if device.key in free or device in held]
    parts = not whole or any(device.profile for device in held)
    memory = whole[0].memory_mib if whole else None
    return CardFacts(
        uuid=name,
        memory_mib=memory,
        memory_used_mib=_memory_held(held, memory),
        shares=max(1, len(offered)) if parts else 1,
        shares_used=len(held),
        healthy=bool(held) or not all(device.tainted for device in whole or devices),
    )


def _memory_held(held: Sequence[DraDevice], memory: int | None) -> int | None:
    """What is given out of a card; None where a part's size is not said."""
    if any(not device.profile for device in held):
        return memory
    sizes = [device.memory_mib for device in held]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _free(node: DraNode) -> set[DeviceKey]:
    """Untainted, in no claim, no sibling in the way, and enough of the shared counters left."""
    cut: set[str] = set()  # cards of which a part is held
    gone: set[str] = set()  # cards that are held whole
    for device in node.devices:
        if device.key in node.taken:
            (cut if device.profile else gone).add(node.uuids.get(device.card, device.card))
    found = set()
    for device in node.devices:
        card = node.uuids.get(device.card, device.card)
        busy = device.tainted or card in gone or (not device.profile and card in cut)
        if not busy and device.key not in node.taken and _room(node, device):
            found.add(device.key)
    return found


def _room(node: DraNode, device: DraDevice) -> bool:
    spent, counters = node.spent, node.counters
    return all(spent.get(c, 0) + amount <= counters.get(c, amount) for c, amount in device.takes)
