"""What the GPU nodes that exist cost in an hour, and how much of it nobody holds. No queries.

A node of unknown price, or on a cluster that is not in contact, is counted and never taken for
free: whoever shows these figures says how many nodes they leave out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from clusters.engine.types import NodeFacts, PoolFacts
from clusters.models import Cluster
from clusters.selectors.census import unseen
from clusters.selectors.columns import adder
from clusters.selectors.facts import decode_nodes, decode_pools


@dataclass(frozen=True, slots=True)
class Money:
    """$/h of nodes. `running` = `allocated` + `unallocated` (GPUs' shares of their nodes' price).
    `priced` nodes are in these sums; `unpriced` and `unseen` ones are in none."""

    running: float = 0.0
    allocated: float = 0.0
    unallocated: float = 0.0
    priced: int = 0
    unpriced: int = 0
    unseen: int = 0

    @property
    def left_out(self) -> int:
        return self.unpriced + self.unseen

    @property
    def known(self) -> bool:
        """Whether the sums say anything: there is a priced node, or no node at all."""
        return bool(self.priced) or not self.left_out


_add_up = adder(Money)


def money(clusters: Iterable[Cluster]) -> Money:
    """Over these clusters, as last seen."""
    return _add_up(money_of(cluster) for cluster in clusters)


def money_of(cluster: Cluster) -> Money:
    found = _money(bytes(cluster.nodes_packed), bytes(cluster.pools_packed))
    if unseen(cluster):
        return Money(unseen=found.priced + found.left_out)
    return found


@lru_cache(maxsize=4096)
def _money(nodes: bytes, pools: bytes) -> Money:
    try:
        by_key = {pool.key: pool for pool in decode_pools(pools)}
        found = decode_nodes(nodes)
    except msgspec.DecodeError:
        return Money()
    return _add_up(_of_node(node, by_key.get(node.pool)) for node in found)


def _of_node(node: NodeFacts, pool: PoolFacts | None) -> Money:
    price = pool.price_per_hour if pool else None
    if price is None:
        return Money(unpriced=1)
    whole = pool.gpus_per_node if pool and node.sharing == "none" else node.allocatable
    held = price * min(1.0, node.used / whole) if whole else 0.0
    return Money(price, held, price - held, priced=1)
