"""Cards that drivers publish for dynamic resource allocation, and who holds them. Pure.

Free is what is in the newest whole generation of slices, in no claim, without a taint that keeps
pods away. A card is taken while any part of it (MIG) is. Source: Kubernetes `resource.k8s.io/v1`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from clusters.engine.quantities import parse_quantity
from clusters.engine.raw import gpu_count, word
from clusters.engine.shapes import Counters, Device, Pod, ResourceClaim, ResourceSlice
from clusters.engine.types import CardFacts, ShareFacts

_DRIVERS = {
    "gpu.nvidia.com": "nvidia",
    "gpu.amd.com": "amd",
    "gpu.intel.com": "intel",
    "gaudi.intel.com": "habana",
}
_CLASSES = frozenset({*_DRIVERS, "mig.nvidia.com", "vfio.gpu.nvidia.com"})
_PCI = "resource.kubernetes.io/pciBusID"
_KEEPS_AWAY = frozenset({"NoSchedule", "NoExecute"})
DeviceKey = tuple[str, str, str]  # driver, pool, device
Counter = tuple[str, str]  # pool/set, counter


class DraDevice(msgspec.Struct, frozen=True):
    """One device as a driver offers it: a card, or a part of one. `card` names the card."""

    key: DeviceKey
    card: str
    profile: str  # of a part; "" for a whole card
    model: str
    memory_mib: int | None
    tainted: bool
    takes: tuple[tuple[Counter, int], ...] = ()


@dataclass(slots=True)
class DraNode:
    """Devices of one node. `taken`: those in a claim's allocation."""

    vendor: str
    devices: list[DraDevice] = field(default_factory=list)
    taken: set[DeviceKey] = field(default_factory=set)
    counters: dict[Counter, int] = field(default_factory=dict)
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


class Holder(msgspec.Struct, frozen=True):
    """`devices` that a claim holds, for one pod or, where none is named, for the claim itself."""

    name: str  # namespace/name of the pod, or "claim namespace/name"
    devices: tuple[DeviceKey, ...]


class DraCluster(msgspec.Struct, frozen=True):
    nodes: Mapping[str, DraNode]
    holders: Sequence[Holder]
    pods: frozenset[str]  # pods that hold devices: what they ask of resources is counted already
    incomplete: Sequence[str]  # pools whose newest generation is not all here


NO_DRA = DraCluster({}, (), frozenset(), ())


def read_dra(slices: Iterable[ResourceSlice], claims: Iterable[ResourceClaim]) -> DraCluster:
    """Devices by node and who holds them."""
    nodes: dict[str, DraNode] = {}
    incomplete: list[str] = []
    for (driver, pool), found in sorted(_pools(slices).items()):
        if len(found) != found[0].spec.pool.resource_slice_count:
            incomplete.append(f"{driver}/{word(pool)}")
            continue
        for item in found:
            _add(nodes, driver, pool, item)
    places = {device.key: node for node in nodes.values() for device in node.devices}
    holders = sorted(_holders(claims, places), key=lambda holder: (holder.name, holder.devices))
    for holder in holders:
        for key in holder.devices:
            places[key].taken.add(key)
    pods = frozenset(holder.name for holder in holders if not holder.name.startswith("claim "))
    return DraCluster(nodes, holders, pods, incomplete)


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


def _pools(slices: Iterable[ResourceSlice]) -> dict[tuple[str, str], list[ResourceSlice]]:
    """The newest generation of each pool of a driver that we know."""
    found: dict[tuple[str, str], dict[str, ResourceSlice]] = {}
    for item in slices:
        pool = item.spec.pool
        if item.spec.driver not in _DRIVERS:
            continue
        known = found.setdefault((item.spec.driver, pool.name), {})
        newest = max((other.spec.pool.generation for other in known.values()), default=-1)
        if pool.generation > newest:
            known.clear()
        if pool.generation >= newest:
            known[item.metadata.name] = item
    return {key: [known[name] for name in sorted(known)] for key, known in found.items()}


def _add(nodes: dict[str, DraNode], driver: str, pool: str, item: ResourceSlice) -> None:
    for device in item.spec.devices or ():
        name = word(device.node_name or item.spec.node_name or "")
        if name and word(device.name):
            node = nodes.setdefault(name, DraNode(_DRIVERS[driver]))
            node.devices.append(_device((driver, pool, device.name), device))
            node.uuids.update(_uuid_by_address(device))
            node.counters.update(_counters(pool, item.spec.shared_counters or ()))


def _device(key: DeviceKey, device: Device) -> DraDevice:
    attributes = device.attributes or {}
    kind = _attribute(attributes, "type")
    parent = _attribute(attributes, "parentUUID")
    part = kind == "mig" or kind.endswith("-partition") or bool(parent)
    own = _attribute(attributes, "uuid") or _attribute(attributes, _PCI)
    return DraDevice(
        key=key,
        card=(parent if part else own) or "/".join(key),
        profile=(_attribute(attributes, "profile") or "part") if part else "",
        model=_attribute(attributes, "productName"),
        memory_mib=_memory(device),
        tainted=any(taint.effect in _KEEPS_AWAY for taint in device.taints or ()),
        takes=tuple(
            ((f"{key[1]}/{use.counter_set}", name), amount)
            for use in device.consumes_counters or ()
            for name, amount in _amounts(use)
        ),
    )


def _uuid_by_address(device: Device) -> dict[str, str]:
    """One card may be offered twice: as itself and, by its address, for passing through."""
    attributes = device.attributes or {}
    uuid, address = _attribute(attributes, "uuid"), _attribute(attributes, _PCI)
    parent = _attribute(attributes, "parentUUID")
    return {address: uuid} if uuid and address and not parent else {}


def _counters(pool: str, sets: Iterable[Counters]) -> Iterator[tuple[Counter, int]]:
    for shared in sets:
        for name, amount in _amounts(shared):
            yield (f"{pool}/{shared.name}", name), amount


def _amounts(counters: Counters) -> Iterator[tuple[str, int]]:
    for name, given in (counters.counters or {}).items():
        amount = _value(given)
        if amount is not None:
            yield name, amount


def _attribute(attributes: Mapping[str, object], name: str) -> str:
    """A text attribute; drivers may put their own name before it."""
    value = attributes.get(name)
    return word(value.get("string")) if isinstance(value, Mapping) else ""


def _value(given: object) -> int | None:
    number = parse_quantity(given.get("value")) if isinstance(given, Mapping) else None
    return int(number) if number is not None and 0 <= number < 2**62 else None


def _memory(device: Device) -> int | None:
    capacity = device.capacity or {}
    size = _value(capacity.get("memory")) or _value(capacity.get("addressableMemory"))
    return size >> 20 or None if size else None


def _holders(
    claims: Iterable[ResourceClaim], places: Mapping[DeviceKey, DraNode]
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
    spent: dict[Counter, int] = defaultdict(int)
    cut: set[str] = set()  # cards of which a part is held
    gone: set[str] = set()  # cards that are held whole
    for device in node.devices:
        if device.key in node.taken:
            (cut if device.profile else gone).add(node.uuids.get(device.card, device.card))
            for counter, amount in device.takes:
                spent[counter] += amount
    found = set()
    for device in node.devices:
        card = node.uuids.get(device.card, device.card)
        busy = device.tainted or card in gone or (not device.profile and card in cut)
        room = all(spent[c] + amount <= node.counters.get(c, amount) for c, amount in device.takes)
        if not busy and room and device.key not in node.taken:
            found.add(device.key)
    return found
