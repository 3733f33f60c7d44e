"""How two bodies are combined: server-side apply's merge and prune, JSON merge patch, strategic
merge patch.

Pure functions on plain JSON values; the merge schema names keyed lists, sets and atomic parts.
"""

import copy
from typing import Any

from fleetsim.errors import ApiError
from fleetsim.fieldsets import Path, Schema, child_schema, is_atomic_map, item_element


def merge(schema: Schema, live: Any, config: Any) -> Any:
    """`config` laid over `live` as server-side apply does it. Returns a new value."""
    if isinstance(live, dict) and isinstance(config, dict) and not is_atomic_map(schema):
        merged = dict(live)
        for name, value in config.items():
            if value is None:
                continue
            child, _ = child_schema(schema, name)
            merged[name] = merge(child, live.get(name), value)
        return merged
    if isinstance(live, list) and isinstance(config, list):
        kind = schema.get("x-kubernetes-list-type")
        if kind in ("map", "set"):
            return _merge_items(schema, live, config)
    if isinstance(config, dict) and not is_atomic_map(schema):
        return merge(schema, {}, config)
    return copy.deepcopy(config)


def _merge_items(schema: Schema, live: list[Any], config: list[Any]) -> list[Any]:
    items = schema.get("items") or {}
    merged = {item_element(schema, item): item for item in live}
    for item in config:
        element = item_element(schema, item)
        merged[element] = merge(items, merged.get(element), item)
    return list(merged.values())


def prune(schema: Schema, obj: dict[str, Any], dropped: set[Path], kept: set[Path]) -> None:
    """Remove from `obj` the `dropped` paths that nobody in `kept` owns, and the parents this
    empties.
    """
    parents = {path[:length] for path in kept for length in range(1, len(path) + 1)}
    # Parents first: an item of a keyed list must go as a whole, before its key does.
    for path in sorted(dropped, key=len):
        if path not in parents:
            _remove(schema, obj, path, parents)


def _remove(schema: Schema, node: Any, path: Path, keep: set[Path], at: int = 0) -> None:
    """Delete what `path[at:]` names below `node`; containers left empty go too unless in `keep`."""
    slot = _find(schema, node, path[at])
    if slot is None:
        return
    key, child = slot
    if at + 1 == len(path):
        del node[key]
        return
    _remove(child, node[key], path, keep, at + 1)
    if not node[key] and isinstance(node[key], dict | list) and path[: at + 1] not in keep:
        del node[key]


def _find(schema: Schema, node: Any, element: str) -> tuple[Any, Schema] | None:
    """(key or index, schema) of the child that a path element names."""
    if isinstance(node, dict):
        name = element[2:]
        return (name, child_schema(schema, name)[0]) if name in node else None
    if isinstance(node, list):
        for index, item in enumerate(node):
            if item_element(schema, item) == element:
                return index, schema.get("items") or {}
    return None


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic(schema: Schema, target: Any, patch: Any) -> Any:
    """Strategic merge patch: keyed lists merge by key; `$patch` directives delete or replace."""
    if isinstance(patch, dict):
        return _strategic_map(schema, target, patch)
    if isinstance(patch, list):
        kind = schema.get("x-kubernetes-list-type")
        if kind == "map":
            return _strategic_items(schema, target or [], patch)
        if kind == "set":
            return list(dict.fromkeys([*(target or []), *patch]))
    return patch


def _strategic_map(schema: Schema, target: Any, patch: dict[str, Any]) -> Any:
    directive = patch.get("$patch")
    body = {key: value for key, value in patch.items() if not key.startswith("$")}
    if directive == "replace":
        return body
    if directive == "delete":
        return {}
    merged = dict(target) if isinstance(target, dict) else {}
    for key, values in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            merged[name] = [item for item in merged.get(name) or [] if item not in values]
    for key, value in body.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = strategic(child_schema(schema, key)[0], merged.get(key), value)
    return merged


def _strategic_items(schema: Schema, target: list[Any], patch: list[Any]) -> list[Any]:
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    items = schema.get("items") or {}
    merged = {item_element(schema, item): item for item in target}
    for item in patch:
        if not isinstance(item, dict):
            raise ApiError(
                400, "invalid strategic merge patch: a keyed list needs objects as items"
            )
        element = item_element(schema, item)
        if item.get("$patch") == "delete":
            merged.pop(element, None)
        else:
            merged[element] = strategic(items, merged.get(element), item)
    return list(merged.values())
