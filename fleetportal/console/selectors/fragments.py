"""Fragmentation: what each cluster can still take, and what its free GPUs only seem to allow.

The arithmetic over catalog and fleet is kept for as long as the pools, states and claims that it
read are the same, and at most for a minute: placement looks at the age of inventories too.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from clusters.models import Cluster
from clusters.selectors.census import unseen
from workspaces.services.facts import claimed_nodes
from workspaces.services.fit import cluster_rooms

MOST_KEPT = 8
SHOWN = 12
BLIND = "The portal may not list its nodes or pods, so nobody knows what is free."
MOST_BLOCKED = 3  # models that a line names


@dataclass(frozen=True, slots=True)
class RoomLine:
    """One cluster. `largest` "": no model fits. `blocked`: the largest models that would fit by
    the number of free GPUs but by no node; `more` of them are not named. `why`: nothing may be
    placed there; `known`: its GPUs are, nevertheless."""

    cluster: str
    free: int
    whole_free_nodes: int
    addable: int | None
    largest: str
    largest_slug: str
    fits: int
    models: int
    blocked: tuple[str, ...]
    more: int
    why: str
    known: bool

    @property
    def fragmented(self) -> bool:
        return bool(self.blocked)


def room_lines(clusters: Sequence[Cluster], now: datetime) -> list[RoomLine]:
    """Clusters whose free GPUs no model can use first, then by name (at most four queries)."""
    key = _key(clusters, now)
    found = _shelf.get(key)
    if found is None:
        found = _shelf.put(key, _lines(clusters))
    return found


def _lines(clusters: Sequence[Cluster]) -> list[RoomLine]:
    if not clusters:
        return []
    entries, rooms = cluster_rooms(names={cluster.name for cluster in clusters})
    dark = {cluster.name for cluster in clusters if unseen(cluster)}
    lines = []
    for room in rooms:
        named = [entries[number].name for number in room.blocked[:MOST_BLOCKED]]
        largest = None if room.largest is None else entries[room.largest]
        lines.append(
            RoomLine(
                cluster=room.cluster.name,
                free=room.free,
                whole_free_nodes=room.whole_free_nodes,
                addable=room.addable,
                largest=largest.name if largest else "",
                largest_slug=largest.slug if largest else "",
                fits=room.fits,
                models=len(entries),
                blocked=tuple(named),
                more=len(room.blocked) - len(named),
                why=room.why or (BLIND if room.cluster.name in dark else ""),
                known=room.cluster.name not in dark,
            )
        )
    return sorted(lines, key=lambda line: (bool(line.why), not line.fragmented, line.cluster))


class _Shelf:
    """The last few answers of this process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, list[RoomLine]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> list[RoomLine] | None:
        with self._lock:
            return self._kept.get(key)

    def put(self, key: bytes, lines: list[RoomLine]) -> list[RoomLine]:
        with self._lock:
            self._kept[key] = lines
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return lines


_shelf = _Shelf()


def _key(clusters: Sequence[Cluster], now: datetime) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{now.timestamp() // 60:.0f}{sorted(claimed_nodes().items())}".encode())
    for one in clusters:
        facts = (one.pk, one.state, one.cordoned, one.cordon_reason, one.taints, one.capabilities)
        digest.update(repr(facts).encode())
        digest.update(bytes(one.pools_packed))
    return digest.digest()
