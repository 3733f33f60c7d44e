"""What one cluster holds, as far as the portal looks at it, kept up to date by watch events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clusters.gateway import Kind, kinds

Body = dict[str, Any]
Key = tuple[str, str]

WATCHED: tuple[Kind, ...] = (kinds.NODE, kinds.POD, kinds.WORKSPACE, kinds.INFERENCE_SET)
STORED = frozenset({"Workspace", "InferenceSet", "Pod"})  # kinds whose objects get rows
OWNER_LABEL = "kaito.sh/workspace"
GPU_PREFIXES = ("nvidia.com/", "amd.com/", "gpu.intel.com/")


class Cache:
    """Objects by kind; `dirty` names the kinds that changed since the last `take`."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, Body]] = {kind.name: {} for kind in WATCHED}
        self.dirty: set[str] = set()

    def replace(self, kind: str, bodies: Iterable[Body]) -> None:
        """A whole list: what it does not hold is gone."""
        self._objects[kind] = {
            key_of(body): trimmed(kind, body) for body in bodies if relevant(kind, body)
        }
        self.dirty.add(kind)

    def change(self, kind: str, event: str, body: Body) -> None:
        """One watch event."""
        key = key_of(body)
        if event == "DELETED" or not relevant(kind, body):
            if self._objects[kind].pop(key, None) is None:
                return
        else:
            self._objects[kind][key] = trimmed(kind, body)
        self.dirty.add(kind)

    def objects(self, kind: str) -> list[Body]:
        return list(self._objects[kind].values())

    def take(self) -> set[str]:
        """The kinds that changed since the last time."""
        dirty, self.dirty = self.dirty, set()
        return dirty


def key_of(body: Mapping[str, Any]) -> Key:
    meta = body.get("metadata") or {}
    return str(meta.get("namespace", "")), str(meta.get("name", ""))


def relevant(kind: str, body: Mapping[str, Any]) -> bool:
    """Of pods only those that hold GPUs or belong to KAITO; of other kinds everything."""
    if kind != "Pod":
        return True
    labels = (body.get("metadata") or {}).get("labels") or {}
    return OWNER_LABEL in labels or any(
        name.startswith(GPU_PREFIXES)
        for container in (body.get("spec") or {}).get("containers") or []
        for name in (container.get("resources") or {}).get("requests") or {}
    )


def trimmed(kind: str, body: Body) -> Body:
    """Nodes and pods without what nobody reads: a node's images alone are most of it."""
    if kind not in ("Node", "Pod"):
        return body
    meta = {k: v for k, v in (body.get("metadata") or {}).items() if k != "managedFields"}
    status = {k: v for k, v in (body.get("status") or {}).items() if k != "images"}
    return {**body, "metadata": meta, "status": status}
