"""What is ours in an object on a cluster: stamps, the desired hash, and comparing only our leaves.

The API server adds defaults, KAITO writes whole objects back, people add labels: none of that is
drift. Only a leaf that we wrote and that now differs is. Secret values are compared by nobody.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from workspaces.engine.canonical import digest
from workspaces.engine.manifests import OURS, TOKEN_KEY, Object

DIGEST = f"{OURS}/digest"
FENCE = f"{OURS}/fence"
DESIRED_HASH = f"{OURS}/desired-hash"
STAMPS = (DIGEST, FENCE, DESIRED_HASH)

_WRITE_ONLY = frozenset({"stringData"})  # the server turns it into data and never shows it


def desired_hash(obj: Object) -> str:
    """SHA-256 of the object without its stamps and without secret values."""
    bare = copy.deepcopy(obj)
    for key in _WRITE_ONLY:
        bare.pop(key, None)
    notes = bare.get("metadata", {}).get("annotations", {})
    for key in STAMPS:
        notes.pop(key, None)
    if not notes:
        bare.get("metadata", {}).pop("annotations", None)
    return digest(bare)


def stamp(obj: Object, *, digest: str, fence: int, desired_hash: str) -> Object:
    """A copy with our three annotations: what was approved, who may write, what we wanted."""
    made = copy.deepcopy(obj)
    notes = made["metadata"].setdefault("annotations", {})
    notes |= {DIGEST: digest, FENCE: str(fence), DESIRED_HASH: desired_hash}
    return made


def with_token(secret: Object, token: str) -> Object:
    """A copy of the Secret with the team's token in it, for the apply alone."""
    if secret.get("kind") != "Secret":
        raise ValueError(f"kind: {secret.get('kind')} is not a Secret")
    return {**copy.deepcopy(secret), "stringData": {TOKEN_KEY: token}}


def differs(desired: Object, live: Object) -> list[str]:
    """Paths of our leaves that the live object lacks or holds with another value, sorted.

    Empty: nothing to apply and no drift. Stamps are compared too when `desired` has them.
    """
    return sorted(_differences(desired, live, ""))


def _differences(desired: Any, live: Any, path: str) -> Iterator[str]:
    if isinstance(desired, Mapping):
        if not isinstance(live, Mapping):
            yield path or "object"
            return
        for key, value in desired.items():
            if value is not None and key not in _WRITE_ONLY:
                yield from _differences(value, live.get(key), _join(path, key))
    elif isinstance(desired, list):
        yield from _list_differences(desired, live, path)
    elif not _same(desired, live):
        yield path


def _list_differences(desired: list[Any], live: Any, path: str) -> Iterator[str]:
    """A list of objects gets defaults inside its items; one more or fewer item is a change."""
    if not isinstance(live, list) or len(live) != len(desired):
        yield path
        return
    for index, (ours, theirs) in enumerate(zip(desired, live, strict=True)):
        yield from _differences(ours, theirs, f"{path}[{index}]")


def _same(ours: Any, theirs: Any) -> bool:
    """Equal, and not one a boolean where the other is a number."""
    return bool(ours == theirs) and isinstance(ours, bool) == isinstance(theirs, bool)


def _join(path: str, key: str) -> str:
    if "." in key or "/" in key:
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key
