"""Which fields an object has, as sets of paths in the notation of fieldsV1, and how two objects
differ.

A path is a tuple of path elements: `f:name`, `k:{"name":"x"}`, `v:"x"`. Pure; the merge schema
decides what is one leaf (atomic parts, lists without list-type) and what is walked into.
"""

from dataclasses import dataclass
from typing import Any

import orjson

Path = tuple[str, ...]
Schema = dict[str, Any]
CONTAINER = object()
OWNED_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")
_FREE: Schema = {}


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is at a path: a value, or CONTAINER. `owned` says whether an apply of it owns the path
    itself.
    """

    value: Any
    owned: bool


Flat = dict[Path, Leaf]


def dumps(value: Any) -> str:
    """Compact JSON with sorted keys."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def flatten(schema: Schema, obj: dict[str, Any], subresource: str, has_status: bool) -> Flat:
    """All paths of an object that managedFields may speak of.

    Without subresource the status is left out (where the kind has that subresource); with it, only
    status counts.
    """
    flat: Flat = {}
    for name, value in obj.items():
        if name in ("apiVersion", "kind") or value is None:
            continue
        if subresource == "status" and name != "status":
            continue
        if not subresource and has_status and name == "status":
            continue
        if name == "metadata":
            value = {key: value[key] for key in OWNED_METADATA if value.get(key)}
            if not value:
                continue
        child, _ = child_schema(schema, name)
        _walk(child, value, (f"f:{name}",), True, flat)
    flat.pop(("f:metadata",), None)
    return flat


def child_schema(schema: Schema, name: str) -> tuple[Schema, bool]:
    """The schema of a map's entry, and whether the entry is a declared field."""
    properties = schema.get("properties") or _FREE
    if name in properties:
        return properties[name], True
    extra = schema.get("additionalProperties")
    return (extra if isinstance(extra, dict) else _FREE), False


def is_atomic_map(schema: Schema) -> bool:
    """Whether a map is one leaf."""
    return bool(schema.get("x-kubernetes-map-type") == "atomic")


def _walk(schema: Schema, value: Any, path: Path, declared: bool, flat: Flat) -> None:
    if isinstance(value, dict) and not is_atomic_map(schema):
        _walk_map(schema, value, path, declared, flat)
    elif isinstance(value, list) and schema.get("x-kubernetes-list-type") in ("map", "set"):
        _walk_list(schema, value, path, declared, flat)
    else:
        flat[path] = Leaf(value, True)


def _walk_map(
    schema: Schema, value: dict[str, Any], path: Path, declared: bool, flat: Flat
) -> None:
    flat[path] = Leaf(CONTAINER, owned=not declared or not value)
    for name, item in value.items():
        if item is None:
            continue
        child, known = child_schema(schema, name)
        _walk(child, item, (*path, f"f:{name}"), known, flat)


def _walk_list(schema: Schema, value: list[Any], path: Path, declared: bool, flat: Flat) -> None:
    flat[path] = Leaf(CONTAINER, owned=not declared or not value)
    items = schema.get("items") or _FREE
    for item in value:
        _walk(items, item, (*path, item_element(schema, item)), False, flat)


def item_element(schema: Schema, item: Any) -> str:
    """The path element of an item of an associative list: its keys, or its value in a set."""
    if schema.get("x-kubernetes-list-type") == "set":
        return "v:" + dumps(item)
    properties = (schema.get("items") or _FREE).get("properties") or _FREE
    keys = {}
    for key in schema.get("x-kubernetes-list-map-keys") or ():
        found = item.get(key, properties.get(key, _FREE).get("default"))
        if found is not None:
            keys[key] = found
    return "k:" + dumps(keys)


@dataclass(frozen=True, slots=True)
class Difference:
    """Paths that a new object adds, changes or drops against an old one."""

    changed: frozenset[Path]
    removed: frozenset[Path]

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)


def compare(old: Flat, new: Flat) -> Difference:
    """The difference of two flattened objects (added paths count as changed)."""
    changed = frozenset(
        path for path, leaf in new.items() if path not in old or old[path].value != leaf.value
    )
    return Difference(changed, frozenset(old.keys() - new.keys()))


def encode(paths: set[Path]) -> dict[str, Any]:
    """fieldsV1 of a set of paths."""
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return _without_lone_dots(tree)


def _without_lone_dots(node: dict[str, Any]) -> dict[str, Any]:
    if node.keys() == {"."}:
        return {}
    return {
        key: (child if key == "." else _without_lone_dots(child)) for key, child in node.items()
    }


def decode(tree: dict[str, Any]) -> set[Path]:
    """The paths of a fieldsV1."""
    found: set[Path] = set()
    _collect(tree, (), found)
    return found


def _collect(node: dict[str, Any], path: Path, found: set[Path]) -> None:
    if path and (not node or "." in node):
        found.add(path)
    for key, child in node.items():
        if key != ".":
            _collect(child, (*path, key), found)


def display(path: Path) -> str:
    """A path as error messages write it: `.spec.containers[name="x"].image`."""
    parts = []
    for element in path:
        tag, rest = element[0], element[2:]
        if tag == "f":
            parts.append(f".{rest}")
        elif tag == "k":
            keys = orjson.loads(rest)
            parts.append("[" + ",".join(f"{key}={dumps(keys[key])}" for key in sorted(keys)) + "]")
        else:
            parts.append(f"[={rest}]")
    return "".join(parts)
