"""Bytes of lists and watches to the values that the collector keeps.

Nodes, pods and DRA objects become engine.shapes in one pass. What does not fit is read again object
by object, so that a broken one costs only itself. What is no list or no event at all is Garbage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from clusters.engine.raw import mapping, text
from clusters.engine.shapes import (
    Meta,
    Node,
    Pod,
    ResourceClaim,
    ResourceSlice,
    loose_claim,
    loose_node,
    loose_pod,
    loose_slice,
)
from clusters.gateway.decoding import Object, event_of, listing_of, loads
from clusters.gateway.errors import Garbage

Key = tuple[str, str]  # namespace, name
T = TypeVar("T")


class Named(Protocol):
    """What all shapes have."""

    @property
    def metadata(self) -> Meta: ...


Shape = TypeVar("Shape", bound=Named)
_NUL, _UNKNOWN = b"\\u0000", b"\\ufffd"  # in JSON; no database takes the first one in a text

SET_LABEL = "inferenceset.kaito.sh/created-by"
WORKSPACE_LABEL = "kaito.sh/workspace"
_CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `bodies` are whole objects, of those that are also kept so."""

    items: list[T]
    resource_version: str
    next_token: str
    bodies: Mapping[Key, Object] = field(default_factory=dict)


class Event(NamedTuple, Generic[T]):
    """One watch event; `object` None: a bookmark, or an object that cannot be read at all."""

    type: str
    key: Key
    object: T | None
    resource_version: str
    body: Object | None = None


class Reader(Protocol[T]):
    """How the bytes of one kind are read."""

    def page(self, body: bytes) -> Page[T]:
        """A page of a list. Raises Garbage."""

    def event(self, line: bytes) -> Event[T]:
        """A line of a watch. Raises Garbage, or what an ERROR event stands for (Gone for 410)."""


class DictReader:
    """Objects as they come, for kinds of which everything is of use."""

    def page(self, body: bytes) -> Page[Object]:
        found = listing_of(body.replace(_NUL, _UNKNOWN))
        return Page(found.items, _version(found.resource_version), found.next_token)

    def event(self, line: bytes) -> Event[Object]:
        kind, body = event_of(line.replace(_NUL, _UNKNOWN))
        key = key_of(body)
        version = text(mapping(body.get("metadata")).get("resourceVersion"))
        return Event(kind, key, body if key[1] and kind != "BOOKMARK" else None, version)


def key_of(body: Mapping[str, Any]) -> Key:
    """Of a raw object; ("", "") where it has no name that can be one."""
    meta = mapping(body.get("metadata"))
    return text(meta.get("namespace")), text(meta.get("name"))


class _ListMeta(msgspec.Struct):
    resourceVersion: str = ""
    token: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct, Generic[Shape]):
    items: list[Shape] | None
    metadata: _ListMeta


class _RawList(msgspec.Struct):
    items: list[msgspec.Raw] | None
    metadata: Mapping[str, Any]


class _Event(msgspec.Struct, Generic[Shape]):
    type: str
    object: Shape


_raw_list = msgspec.json.Decoder(_RawList)


class ShapeReader(Generic[Shape]):
    """Objects as `shape`; of those that `whole` accepts the whole body too."""

    def __init__(
        self,
        shape: type[Shape],
        loose: Callable[[object], Shape | None],
        whole: Callable[[Shape], bool] | None = None,
    ) -> None:
        decoder: Callable[[Any], msgspec.json.Decoder[Any]] = msgspec.json.Decoder
        self._list = decoder(_List[shape])  # type: ignore[valid-type]
        self._one = decoder(shape)
        self._event = decoder(_Event[shape])  # type: ignore[valid-type]
        self._loose = loose
        self._whole = whole

    def page(self, body: bytes) -> Page[Shape]:
        try:
            found = self._list.decode(body)
        except _UNREADABLE:
            return self._page_by_item(body)
        items: list[Shape] = found.items or []
        bodies: dict[Key, Object] = {}
        if self._whole is not None and any(map(self._whole, items)):
            bodies = self._bodies(items, _raw_list.decode(body).items or [])
        items = [item for item in items if item.metadata.name]
        meta = found.metadata
        return Page(items, _version(meta.resourceVersion), meta.token, bodies)

    def event(self, line: bytes) -> Event[Shape]:
        try:
            found = self._event.decode(line)
        except _UNREADABLE:
            return self._loose_event(line)
        meta = found.object.metadata
        if found.type not in _CHANGES:
            return self._loose_event(line)
        key = (meta.namespace, meta.name)
        if not meta.name or found.type == "BOOKMARK":
            return Event(found.type, key, None, meta.resource_version)
        body = self._body_of(found.object, line)
        return Event(found.type, key, found.object, meta.resource_version, body)

    def _loose_event(self, line: bytes) -> Event[Shape]:
        kind, raw = event_of(line.replace(_NUL, _UNKNOWN))
        version = text(mapping(raw.get("metadata")).get("resourceVersion"))
        found = None if kind == "BOOKMARK" else self._loose(raw)
        if found is None:
            return Event(kind, ("", ""), None, version)
        whole = self._whole is not None and self._whole(found)
        return Event(kind, _key(found), found, version, raw if whole else None)

    def _page_by_item(self, body: bytes) -> Page[Shape]:
        try:
            found = _raw_list.decode(body)
        except _UNREADABLE as error:
            raise Garbage("The API server sent something that is not a list.") from error
        raws = found.items or []
        pairs = [(item, raw) for raw in raws if (item := self._item(raw)) is not None]
        items = [item for item, _ in pairs]
        bodies = self._bodies(items, [raw for _, raw in pairs])
        token = found.metadata.get("continue")
        version = _version(text(found.metadata.get("resourceVersion")))
        return Page(items, version, token if isinstance(token, str) else "", bodies)

    def _item(self, raw: msgspec.Raw) -> Shape | None:
        try:
            found: Shape = self._one.decode(raw)
            return found if found.metadata.name else None
        except _UNREADABLE:
            pass
        try:
            return self._loose(loads(bytes(raw)))
        except Garbage:
            return None

    def _bodies(self, items: list[Shape], raws: list[msgspec.Raw]) -> dict[Key, Object]:
        if self._whole is None:
            return {}
        found = {}
        for item, raw in zip(items, raws, strict=True):
            if self._whole(item):
                with suppress(Garbage):  # its shape could be read; the rest of it cannot
                    found[_key(item)] = loads(bytes(raw).replace(_NUL, _UNKNOWN))
        return found

    def _body_of(self, item: Shape, line: bytes) -> Object | None:
        if self._whole is None or not self._whole(item):
            return None
        try:
            return event_of(line.replace(_NUL, _UNKNOWN)).object
        except Garbage:  # its shape could be read; the rest of it cannot
            return None


def of_kaito(pod: Pod) -> bool:
    """Does KAITO run the pod? Of these the portal shows more than what they hold."""
    labels = pod.metadata.labels
    return labels is not None and (WORKSPACE_LABEL in labels or SET_LABEL in labels)


def _key(item: Shape) -> Key:
    return item.metadata.namespace, item.metadata.name


def _version(version: str) -> str:
    """Every list has a version; what has none is not taken for an empty cluster."""
    if not version:
        raise Garbage("The API server sent a list without a resourceVersion.")
    return version


DICTS = DictReader()
NODES = ShapeReader(Node, loose_node)
PODS = ShapeReader(Pod, loose_pod, whole=of_kaito)
SLICES = ShapeReader(ResourceSlice, loose_slice)
CLAIMS = ShapeReader(ResourceClaim, loose_claim)
