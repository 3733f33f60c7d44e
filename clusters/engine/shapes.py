"""Nodes, pods and DRA objects as the inventory reads them: the few fields that it needs.

For the gateway: decode one item with `msgspec.json.Decoder(Node)`. Where that raises, or the item
has no name, decode it as plain JSON and give it to `loose_node` (`loose_pod`, `loose_slice`,
`loose_claim`): it keeps every field that fits, leaves out what does not (a label that is a number,
an annotation that is null) and gives None only for what has no name. So one broken object costs
only itself. Nothing here raises on what a cluster sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec


class Condition(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    status: str = ""


class RawTaint(msgspec.Struct, frozen=True, gc=False):
    key: str = ""
    value: str = ""
    effect: str = ""


class Meta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    deletion_timestamp: str | None = None


class NodeSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    provider_id: str = msgspec.field(default="", name="providerID")
    unschedulable: bool = False
    taints: tuple[RawTaint, ...] | None = None


class NodeStatus(msgspec.Struct, frozen=True, gc=False):
    capacity: Mapping[str, Any] | None = None
    allocatable: Mapping[str, Any] | None = None
    conditions: tuple[Condition, ...] | None = None


class Node(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class Resources(msgspec.Struct, frozen=True, gc=False):
    requests: Mapping[str, Any] | None = None
    limits: Mapping[str, Any] | None = None


class ContainerPort(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""
    container_port: int = 0


class Container(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""
    resources: Resources | None = None
    restart_policy: str = ""
    ports: tuple[ContainerPort, ...] | None = None


class PodSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    node_name: str = ""
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    resource_claims: tuple[Mapping[str, Any], ...] | None = None


class ClaimOfPod(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""  # as the pod's spec has it
    resource_claim_name: str | None = None


class PodStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    resource_claim_statuses: tuple[ClaimOfPod, ...] | None = None
    start_time: str | None = None


class Pod(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class SlicePool(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""
    generation: int = 0
    resource_slice_count: int = 0


class Counters(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a device takes (`counter_set`) or a set has (`name`) of counters shared by devices."""

    name: str = ""
    counter_set: str = ""
    counters: Mapping[str, Any] | None = None  # counter -> {"value": quantity}


class Device(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str = ""
    node_name: str | None = None
    node_selector: Mapping[str, Any] | None = None
    all_nodes: bool | None = None
    attributes: Mapping[str, Any] | None = None  # name -> {"string" | "int" | "bool" | ...: value}
    capacity: Mapping[str, Any] | None = None  # name -> {"value": quantity}
    taints: tuple[RawTaint, ...] | None = None
    consumes_counters: tuple[Counters, ...] | None = None


class SliceSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    driver: str = ""
    pool: SlicePool = SlicePool()
    node_name: str | None = None
    node_selector: Mapping[str, Any] | None = (
        None  # whole or not at all: half of it means more nodes
    )
    all_nodes: bool | None = None
    devices: tuple[Device, ...] | None = None
    shared_counters: tuple[Counters, ...] | None = None


class ResourceSlice(msgspec.Struct, frozen=True, gc=False):
    """`resource.k8s.io/v1` ResourceSlice."""

    metadata: Meta
    spec: SliceSpec = SliceSpec()


class DeviceResult(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    driver: str = ""
    pool: str = ""
    device: str = ""
    admin_access: bool | None = None


class Results(msgspec.Struct, frozen=True, gc=False):
    results: tuple[DeviceResult, ...] | None = None


class Allocation(msgspec.Struct, frozen=True, gc=False):
    devices: Results = Results()


class ReservedFor(msgspec.Struct, frozen=True, gc=False):
    resource: str = ""
    name: str = ""


class ClaimStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    allocation: Allocation | None = None
    reserved_for: tuple[ReservedFor, ...] | None = None


class ExactRequest(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    device_class_name: str = ""
    allocation_mode: str = ""
    count: int = 1
    admin_access: bool | None = None


class Request(msgspec.Struct, frozen=True, gc=False):
    exactly: ExactRequest | None = None


class Requests(msgspec.Struct, frozen=True, gc=False):
    requests: tuple[Request, ...] | None = None


class ClaimSpec(msgspec.Struct, frozen=True, gc=False):
    devices: Requests = Requests()


class ResourceClaim(msgspec.Struct, frozen=True, gc=False):
    """`resource.k8s.io/v1` ResourceClaim."""

    metadata: Meta
    spec: ClaimSpec = ClaimSpec()
    status: ClaimStatus = ClaimStatus()


def loose_node(raw: object) -> Node | None:
    return _named(Node, raw)


def loose_pod(raw: object) -> Pod | None:
    return _named(Pod, raw)


def loose_slice(raw: object) -> ResourceSlice | None:
    return _named(ResourceSlice, raw)


def loose_claim(raw: object) -> ResourceClaim | None:
    return _named(ResourceClaim, raw)


# A half of a character (a lone surrogate) fits no type either.
_MISFITS = (msgspec.ValidationError, UnicodeError)
_Named = TypeVar("_Named", Node, Pod, ResourceSlice, ResourceClaim)
_Shape = TypeVar("_Shape", bound=msgspec.Struct)


def _named(cls: type[_Named], raw: object) -> _Named | None:
    try:
        found = msgspec.convert(raw, cls)
    except _MISFITS:
        found = _loosely(cls, raw) if isinstance(raw, Mapping) else cls(Meta())
    return found if found.metadata.name else None


def _loosely(cls: type[_Shape], raw: Mapping[object, object]) -> _Shape:
    """Every field that fits; the others as if they were not there."""
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(cls):
        value = raw.get(field.encode_name)
        try:
            values[field.name] = msgspec.convert(value, field.type)
        except _MISFITS:
            kept = _salvaged(_plain(field.type), value)
            if kept is not None:
                values[field.name] = kept
            elif field.required:
                values[field.name] = Meta()
    return cls(**values)


def _plain(kind: Any) -> Any:
    """X of `X | None`."""
    if get_origin(kind) in (Union, UnionType):
        return next(arm for arm in get_args(kind) if arm is not type(None))
    return kind


def _salvaged(kind: Any, value: object) -> object | None:
    """The good parts of a struct, a list of structs or a map of texts; None: there are none."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _loosely(kind, value) if isinstance(value, Mapping) else None
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_items(get_args(kind)[0], value))
    if get_origin(kind) is Mapping and isinstance(value, Mapping):
        texts = get_args(kind)[1] is str
        return {
            key: item
            for key, item in value.items()
            if isinstance(key, str) and (isinstance(item, str) or not texts)
        }
    return None


def _items(kind: Any, values: list[object]) -> list[object]:
    kept = (_salvaged(kind, value) for value in values)
    return [item for item in kept if item is not None]
