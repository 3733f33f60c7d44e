"""Bytes of an API server to plain objects. What does not parse is Garbage, never a crash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import orjson

from clusters.engine.raw import mapping, mappings, text
from clusters.gateway.connection import BYTE_CAP
from clusters.gateway.errors import Answer, Garbage, error_from_event

MOST_PAGES = 1_000  # of one list
MOST_OBJECTS = 500_000  # of one list; Kubernetes itself goes up to 150,000 pods
CENTURY = 100 * 365.25 * 86_400.0  # seconds

Object = dict[str, Any]


class WatchEvent(NamedTuple):
    """`type`: ADDED, MODIFIED, DELETED or BOOKMARK (its object has only a resourceVersion)."""

    type: str
    object: Object

    @property
    def resource_version(self) -> str:
        return text(mapping(self.object.get("metadata")).get("resourceVersion"))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; `next_token` is empty on the last one."""

    items: list[Object]
    resource_version: str
    next_token: str


def loads(data: bytes) -> Object:
    """A JSON object. Raises Garbage for anything else, and for nesting beyond any real object."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Garbage("The API server sent something that is not JSON.") from error
    if not isinstance(found, dict):
        raise Garbage("The API server sent JSON that is not an object.")
    return found


def json_object(answer: Answer) -> Object:
    return loads(answer.body)


def listing_of(body: bytes) -> Page:
    """A page of a list. Items that are not objects are left out."""
    found = loads(body)
    metadata = mapping(found.get("metadata"))
    token = metadata.get("continue")
    return Page(
        items=[item for item in mappings(found.get("items")) if isinstance(item, dict)],
        resource_version=text(metadata.get("resourceVersion")),
        next_token=token if isinstance(token, str) and len(token) < 8_192 else "",
    )


def bounded(items: Sized) -> None:
    """Raises Garbage for a list that holds more than any cluster does, and goes on."""
    if len(items) > MOST_OBJECTS:
        raise endless()


def endless() -> Garbage:
    return Garbage("The API server sends a list without an end.")


class LineBuffer:
    """Cuts a byte stream into lines, at most BYTE_CAP bytes each."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that this piece completes, without their ends, empty ones left out."""
        if b"\n" not in piece:
            self._rest += piece
            if len(self._rest) > BYTE_CAP:
                raise Garbage("The API server sent an event without an end.")
            return []
        self._rest += piece
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        return [line for line in lines if line.strip()]


def lines_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines of a stream of pieces; an unfinished last line is dropped."""
    buffer = LineBuffer()
    for piece in pieces:
        yield from buffer.feed(piece)


def event_of(line: bytes) -> WatchEvent:
    """One watch event. An ERROR event raises what its Status means (Gone for 410)."""
    found = loads(line)
    kind, obj = found.get("type"), found.get("object")
    if kind == "ERROR":
        raise error_from_event(obj)
    if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK") or not isinstance(obj, dict):
        raise Garbage("The API server sent a watch event of an unknown form.")
    return WatchEvent(kind, obj)


def clock_skew(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the server's clock is ahead of `now`, by its Date header; None if unknown, or
    too far off for a calendar."""
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, IndexError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    skew = (aware - now).total_seconds()
    return skew if abs(skew) < CENTURY else None
