"""What actors may plug into a cluster: admission hooks and answers of pods. Types only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from fleetsim.table import Obj

if TYPE_CHECKING:
    from fleetsim.store import ClusterStore

Operation = Literal["CREATE", "UPDATE", "DELETE"]
Admission: TypeAlias = "Callable[[ClusterStore, Operation, Obj | None, Obj | None, str], None]"
"""(cluster, operation, old, new, subresource); refuses by raising ApiError."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a pod answers to a proxied request. `pieces`: the same body as it is streamed, with
    `pause` real seconds between two of them.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    pieces: tuple[bytes, ...] = ()
    pause: float = 0.0


ProxyHandler: TypeAlias = (
    "Callable[[ClusterStore, Obj, int, str, str, dict[str, str], bytes], Response]"
)
"""(cluster, pod, port, method, path, headers, body)."""
LogHandler: TypeAlias = "Callable[[ClusterStore, Obj, str, bool, int | None], str]"
"""(cluster, pod, container, previous, tail lines or None)."""
