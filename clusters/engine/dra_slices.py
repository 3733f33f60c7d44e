"""Slices of devices as drivers publish them, to devices and the nodes that can use them. Pure.

Only the newest whole generation of a pool counts. Source: Kubernetes `resource.k8s.io/v1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from clusters.engine.quantities import parse_quantity
from clusters.engine.raw import word
from clusters.engine.reach import Reach
from clusters.engine.shapes import Counters, Device, ResourceSlice

DRIVERS = {
    "gpu.nvidia.com": "nvidia",
    "gpu.amd.com": "amd",
    "gpu.intel.com": "intel",
    "gaudi.intel.com": "habana",
}
_PCI = "resource.kubernetes.io/pciBusID"
_KEEPS_AWAY = frozenset({"NoSchedule", "NoExecute"})
DeviceKey = tuple[str, str, str]  # driver, pool, device
Counter = tuple[str, str]  # driver/pool/set, counter


class DraDevice(msgspec.Struct, frozen=True):
    """One device as a driver offers it: a card, or a part of one. `card` names the card."""

    key: DeviceKey
    card: str
    profile: str  # of a part; "" for a whole card
    model: str
    memory_mib: int | None
    tainted: bool
    takes: tuple[tuple[Counter, int], ...] = ()


class Published(msgspec.Struct, frozen=True):
    """A device, the card that it is or is cut from, and the nodes that can use it.

    `uuids`: PCI address -> UUID, where both are said."""

    device: DraDevice
    identity: str  # of the card within its pool: an address says nothing beyond one machine
    nodes: frozenset[str]
    uuids: Mapping[str, str]


class Reading(msgspec.Struct, frozen=True):
    devices: Sequence[Published]  # each once
    counters: Mapping[Counter, int]
    incomplete: Sequence[str]  # pools whose newest generation is not all here


def read_slices(slices: Iterable[ResourceSlice], reach: Reach) -> Reading:
    """A pool's slices share its counters, which may stand in a slice of their own."""
    devices: dict[DeviceKey, Published] = {}
    counters: dict[Counter, int] = {}
    incomplete: list[str] = []
    for (driver, pool), found in sorted(_pools(slices).items()):
        if len(found) != found[0].spec.pool.resource_slice_count:
            incomplete.append(f"{driver}/{word(pool)}")
            continue
        for item in found:
            counters.update(_counters(f"{driver}/{pool}", item.spec.shared_counters or ()))
            for device in item.spec.devices or ():
                if word(device.name):
                    key = (driver, pool, device.name)
                    _publish(devices, key, device, reach.of(device, item.spec))
    return Reading(list(devices.values()), counters, incomplete)


def _publish(
    devices: dict[DeviceKey, Published], key: DeviceKey, device: Device, nodes: frozenset[str]
) -> None:
    """A device that stands in two slices is one device."""
    attributes, known = device.attributes or {}, devices.get(key)
    identity = _attribute(attributes, "parentUUID") or _attribute(attributes, "uuid")
    if known is None:
        fresh = _device(key, device)
        devices[key] = Published(fresh, identity or device.name, nodes, _uuid_by_address(device))
    else:
        devices[key] = msgspec.structs.replace(known, nodes=known.nodes | nodes)


def _pools(slices: Iterable[ResourceSlice]) -> dict[tuple[str, str], list[ResourceSlice]]:
    """The newest generation of each pool of a driver that we know."""
    found: dict[tuple[str, str], dict[str, ResourceSlice]] = {}
    for item in slices:
        pool = item.spec.pool
        if item.spec.driver not in DRIVERS:
            continue
        known = found.setdefault((item.spec.driver, pool.name), {})
        newest = max((other.spec.pool.generation for other in known.values()), default=-1)
        if pool.generation > newest:
            known.clear()
        if pool.generation >= newest:
            known[item.metadata.name] = item
    return {key: [known[name] for name in sorted(known)] for key, known in found.items()}


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
            ((f"{key[0]}/{key[1]}/{use.counter_set}", name), amount)
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
