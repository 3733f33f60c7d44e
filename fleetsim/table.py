"""Objects of one kind in one cluster: serialised records, the bounded event log, and who watches
it.

Bodies are stored as JSON bytes without apiVersion and kind, so that reads and lists are joins of
bytes. No rule of Kubernetes lives here; the write path in store.py and writes.py decides what gets
in.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from fleetsim.kinds import Kind

Obj = dict[str, Any]
Key = tuple[str, str]
LOG_LENGTH = 1024
_NONE: dict[str, str] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One stored version of an object. `raw` has no apiVersion and kind; `fields` answer field
    selectors.
    """

    namespace: str
    name: str
    rv: int
    uid: str
    raw: bytes
    labels: dict[str, str]
    fields: dict[str, str]
    owners: tuple[str, ...] = ()

    def full(self, kind: Kind) -> bytes:
        """The whole object as JSON."""
        return kind.prefix + self.raw[1:]

    def load(self, kind: Kind) -> Obj:
        """A fresh deep copy as a dict."""
        obj: Obj = {"apiVersion": kind.api_version, "kind": kind.kind}
        obj.update(orjson.loads(self.raw))
        return obj


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One event of the log. `old` is what the object was before, for watches with selectors."""

    rv: int
    type: str
    new: Record
    old: Record | None


def clone(obj: Obj) -> Obj:
    """A deep copy of a JSON object."""
    copied: Obj = orjson.loads(orjson.dumps(obj))
    return copied


def record_of(kind: Kind, obj: Obj) -> Record:
    """Serialise an object whose metadata is complete (rv and uid set)."""
    meta = obj["metadata"]
    body = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    fields = {path: field_value(obj, path) for path in kind.fields} if kind.fields else _NONE
    owners = tuple(ref["uid"] for ref in meta.get("ownerReferences") or ())
    return Record(
        meta.get("namespace", ""),
        meta["name"],
        int(meta["resourceVersion"]),
        meta["uid"],
        orjson.dumps(body),
        meta.get("labels") or _NONE,
        fields,
        owners,
    )


def field_value(obj: Obj, path: str) -> str:
    """The text of a field for a field selector; missing is the empty string, booleans are lower
    case.
    """
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


@dataclass(slots=True)
class Table:
    """All objects of one kind, and the recent changes. `dropped` is the newest rv no longer in the
    log.
    """

    kind: Kind
    dropped: int
    records: dict[Key, Record] = field(default_factory=dict)
    log: deque[Change] = field(default_factory=deque)
    watchers: set[asyncio.Queue[Change | None]] = field(default_factory=set)
    listeners: list[Callable[[Change], None]] = field(default_factory=list)
    sorted_keys: list[Key] | None = None

    def put(self, change: Change, logged: bool = True) -> None:
        """Store the change's new record (or drop it) and tell everyone.

        What is not logged (seeds) cannot be replayed: watches from before it are too old.
        """
        key = (change.new.namespace, change.new.name)
        if change.type == "DELETED":
            del self.records[key]
            self.sorted_keys = None
        else:
            if key not in self.records:
                self.sorted_keys = None
            self.records[key] = change.new
        if logged:
            self.log.append(change)
            if len(self.log) > LOG_LENGTH:
                self.dropped = self.log.popleft().rv
        else:
            self.compact(change.rv)
        for queue in self.watchers:
            queue.put_nowait(change)
        for listener in self.listeners:
            listener(change)

    def keys(self) -> list[Key]:
        """Keys in list order (namespace, name)."""
        if self.sorted_keys is None:
            self.sorted_keys = sorted(self.records)
        return self.sorted_keys

    def rows(self, namespace: str | None) -> list[Record]:
        """Records in list order, of one namespace or of all (None or empty)."""
        records = self.records
        if not namespace:
            return [records[key] for key in self.keys()]
        return [records[key] for key in self.keys() if key[0] == namespace]

    def since(self, rv: int) -> list[Change]:
        """The changes after `rv` that the log still holds."""
        return [change for change in self.log if change.rv > rv]

    def compact(self, now: int) -> None:
        """Forget the log: every watch from before `now` is too old."""
        self.log.clear()
        self.dropped = now

    def hang_up(self) -> None:
        """End every open watch of this kind."""
        for queue in self.watchers:
            queue.put_nowait(None)
