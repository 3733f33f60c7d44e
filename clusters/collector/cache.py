"""What one cluster holds, as far as the portal looks at it, kept up to date by watch events.

Nodes, pods and DRA objects are shapes; whole bodies are kept only of KAITO's objects and pods.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from sys import intern
from typing import Any, TypeVar

from msgspec.structs import replace

from clusters.engine.pods import concerns_gpus
from clusters.engine.shapes import Node, Pod, ResourceClaim, ResourceSlice
from clusters.engine.telemetry.targets import target_of
from clusters.gateway import Kind, kinds
from clusters.gateway.stream import Listing
from clusters.gateway.typed import (
    CLAIMS,
    DICTS,
    NODES,
    PODS,
    SLICES,
    Event,
    Key,
    Reader,
    key_of,
    of_kaito,
)

Body = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Watching:
    """A kind that is watched. `optional`: many clusters have none of it, and that is fine."""

    kind: Kind
    reader: Reader[Any]
    optional: bool = False

    @property
    def name(self) -> str:
        return self.kind.name


WATCHED = (
    Watching(kinds.NODE, NODES),
    Watching(kinds.POD, PODS),
    Watching(kinds.WORKSPACE, DICTS),
    Watching(kinds.INFERENCE_SET, DICTS),
    Watching(kinds.RESOURCE_SLICE, SLICES, optional=True),
    Watching(kinds.RESOURCE_CLAIM, CLAIMS, optional=True),
)
INVENTORY = frozenset({"Node", "Pod", "ResourceSlice", "ResourceClaim"})  # make the inventory
STORED = ("Workspace", "InferenceSet", "Pod")  # kinds whose objects get rows


class Cache:
    """Objects by kind; `dirty` names the kinds that changed since the last `take`."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, Any]] = {watching.name: {} for watching in WATCHED}
        self._bodies: dict[Key, Body] = {}  # of KAITO's pods
        self.dirty: set[str] = set()
        self.ahead = 0.0  # seconds that the cluster's clock is ahead of ours
        self._listed: set[str] = set()

    def replace(self, kind: Kind, listing: Listing[Any] | None) -> None:
        """A whole list: what it does not hold is gone. None: the kind is not served."""
        items = listing.items if listing is not None else []
        if kind.name == "Pod":
            self._bodies = {
                key: _whole(kind, body) for key, body in (listing.bodies if listing else {}).items()
            }
        self._objects[kind.name] = dict(_kept(kind, items))
        self._listed.add(kind.name)
        self.dirty.add(kind.name)

    def change(self, kind: Kind, event: Event[Any]) -> bool:
        """One watch event. True: something that is kept has changed."""
        known, found = self._objects[kind.name], event.object
        if found is None:
            return False
        gone = event.type == "DELETED" or not _relevant(kind, found)
        if gone and event.key not in known:
            return False
        if gone:
            del known[event.key]
        else:
            known[event.key] = _whole(kind, found) if isinstance(found, dict) else shared(found)
        self._keep_body(kind, event, gone)
        self.dirty.add(kind.name)
        return True

    def _keep_body(self, kind: Kind, event: Event[Any], gone: bool) -> None:
        if kind.name != "Pod":
            return
        if gone or event.body is None:
            self._bodies.pop(event.key, None)
        else:
            self._bodies[event.key] = _whole(kind, event.body)

    @property
    def complete(self) -> bool:
        """Nodes and pods were listed: without either, free GPUs are unknown."""
        return {"Node", "Pod"} <= self._listed

    @property
    def nodes(self) -> list[Node]:
        return list(self._objects["Node"].values())

    @property
    def pods(self) -> list[Pod]:
        """Those that hold GPUs, belong to KAITO, or export metrics."""
        return list(self._objects["Pod"].values())

    @property
    def slices(self) -> list[ResourceSlice]:
        return list(self._objects["ResourceSlice"].values())

    @property
    def claims(self) -> list[ResourceClaim]:
        return list(self._objects["ResourceClaim"].values())

    def bodies(self, kind: str) -> list[Body]:
        """Whole objects: of pods only KAITO's."""
        return list((self._bodies if kind == "Pod" else self._objects[kind]).values())

    def take(self) -> set[str]:
        """The kinds that changed since the last time."""
        dirty, self.dirty = self.dirty, set()
        return dirty


def _kept(kind: Kind, items: Iterable[Any]) -> Iterable[tuple[Key, Any]]:
    for item in items:
        if isinstance(item, dict):
            key = key_of(item)
            if key[1]:
                yield key, _whole(kind, item)
        elif _relevant(kind, item):
            yield (item.metadata.namespace, item.metadata.name), shared(item)


def shared(item: T) -> T:
    """A node whose labels are the same texts as those of other nodes: most of what a node weighs
    is said alike by thousands of them.
    """
    if isinstance(item, Node) and item.metadata.labels:
        labels = {intern(key): intern(value) for key, value in item.metadata.labels.items()}
        return replace(item, metadata=replace(item.metadata, labels=labels))
    return item


def _relevant(kind: Kind, item: object) -> bool:
    return kind.name != "Pod" or not isinstance(item, Pod) or keeps(item)


def keeps(pod: Pod) -> bool:
    """Does the pod hold GPUs, belong to KAITO, or export metrics?"""
    return concerns_gpus(pod) or of_kaito(pod) or target_of(pod) is not None


def _whole(kind: Kind, body: Body) -> Body:
    """A body as a row has it: items of lists do not say their kind. Who owns which field of a pod
    helps nobody."""
    found = {"kind": kind.name, "apiVersion": kind.api_version, **body}
    meta = found.get("metadata")
    if kind.name == "Pod" and isinstance(meta, dict):
        found["metadata"] = {key: value for key, value in meta.items() if key != "managedFields"}
    return found
