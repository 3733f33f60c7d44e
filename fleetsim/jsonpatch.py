"""JSON patch (RFC 6902) with the errors of the API server. Pure."""

import copy
from typing import Any

from fleetsim.errors import ApiError


def apply(target: Any, operations: Any) -> Any:
    """The patched copy of `target`. Raises ApiError 400 for a malformed patch, 422 for one that
    does not fit.
    """
    if not isinstance(operations, list):
        raise ApiError(400, "error decoding patch: a JSON patch is a list of operations")
    result = copy.deepcopy(target)
    for operation in operations:
        if not isinstance(operation, dict) or "op" not in operation or "path" not in operation:
            raise ApiError(400, "error decoding patch: an operation needs op and path")
        result = _step(result, operation)
    return result


def _step(document: Any, operation: dict[str, Any]) -> Any:
    op, path = operation["op"], _split(operation["path"])
    if op == "test":
        if _get(document, path) != operation.get("value"):
            raise _unfit(f"testing value {operation['path']} failed: test failed")
        return document
    if op == "remove":
        return _remove(document, path)
    if op == "replace":
        _get(document, path)
        return (
            _add(_remove(document, path), path, operation.get("value"))
            if path
            else operation.get("value")
        )
    if op == "add":
        return _add(document, path, operation.get("value"))
    if op in ("move", "copy"):
        source = _split(operation.get("from", ""))
        value = copy.deepcopy(_get(document, source))
        return _add(_remove(document, source) if op == "move" else document, path, value)
    raise _unfit(f"Unexpected kind: {op}")


def _unfit(text: str) -> ApiError:
    return ApiError(
        422, f"the server rejected our request due to an error in our request: {text}", "Invalid"
    )


def _split(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _index(items: list[Any], part: str, end: bool = False) -> int:
    if end and part == "-":
        return len(items)
    if not part.isdigit() or int(part) >= len(items) + (1 if end else 0):
        raise _unfit(f"Unable to access invalid index: {part}")
    return int(part)


def _get(document: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(document, list):
            document = document[_index(document, part)]
        elif isinstance(document, dict) and part in document:
            document = document[part]
        else:
            raise _unfit(f"doc is missing path: /{'/'.join(path)}: missing value")
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        parent.insert(_index(parent, path[-1], end=True), value)
    elif isinstance(parent, dict):
        parent[path[-1]] = value
    else:
        raise _unfit(f"add operation does not apply: doc is missing path: /{'/'.join(path)}")
    return document


def _remove(document: Any, path: list[str]) -> Any:
    _get(document, path)
    if not path:
        return None
    parent = _get(document, path[:-1])
    del parent[_index(parent, path[-1]) if isinstance(parent, list) else path[-1]]
    return document
