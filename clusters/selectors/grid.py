"""The allocation grid: every GPU of a node as one cell with its class and a sentence.

The cells of a node add up to the same classes as `census`; which card a pod sits on is not known
to Kubernetes, so cells are filled from the left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clusters.engine.cards import card_class
from clusters.engine.types import CardFacts, NodeFacts, PoolFacts
from clusters.models import Cluster
from clusters.selectors.census import Tally, class_of, closed, faulty, tally, unseen
from clusters.selectors.facts import nodes_of, pools_of
from clusters.selectors.workloads import Names

STALE = 90.0  # seconds without a sign of the collector's watch
SHARED = {
    "time-slicing": "time-sliced",
    "mps": "MPS",
    "hami": "HAMi",
    "mig": "MIG",
    "unknown": "nobody says how",
}


@dataclass(frozen=True, slots=True)
class GridRow:
    """One cluster of the grid. `nodes` as components/node_grid.html takes them."""

    cluster: Cluster
    tally: Tally
    nodes: Sequence[dict[str, Any]]


def grid_row(cluster: Cluster, names: Names, now: datetime) -> GridRow:
    return GridRow(cluster, tally(cluster), grid_nodes(cluster, names, now))


def grid_nodes(cluster: Cluster, names: Names, now: datetime) -> list[dict[str, Any]]:
    """Nodes in the order of their pools, each with its cells and a word on why it is special."""
    pools = {pool.key: pool for pool in pools_of(cluster)}
    old = stale(cluster, now)
    return [_node(cluster, node, pools.get(node.pool), names, old) for node in nodes_of(cluster)]


def stale(cluster: Cluster, now: datetime) -> bool:
    seen = cluster.observed_at
    return seen is not None and (now - seen).total_seconds() > STALE


def _node(
    cluster: Cluster, node: NodeFacts, pool: PoolFacts | None, names: Names, old: bool
) -> dict[str, Any]:
    return {
        "name": short_name(node.name),
        "full_name": node.name,
        "shape": shape_words(pool.gpus_per_node, class_of(pool)) if pool else "",
        "note": "; ".join(filter(None, (node_note(cluster, node), who(cluster, node, names)))),
        "stale": old,
        "cells": list(_cells(cluster, node, names)),
    }


def who(cluster: Cluster, node: NodeFacts, names: Names) -> str:
    """Everybody who holds GPUs of the node."""
    return ", ".join(sorted({names.of(cluster.pk, pod, owner) for pod, _, owner in node.holders}))


def node_note(cluster: Cluster, node: NodeFacts) -> str:
    """Why its GPUs cannot all be had; "" for a plain node."""
    if unseen(cluster):
        return "not seen now"
    if node.sharing != "none":
        return shared_words(node)
    if not node.ready:
        return "not ready"
    if node.cordoned:
        return "cordoned"
    if not node.allocatable:
        return "offers no GPU yet"
    if node.faulty:
        return f"{node.faulty} not offered by the device plugin"
    return node.blocked if not node.workspace else ""


def _cells(cluster: Cluster, node: NodeFacts, names: Names) -> Iterable[dict[str, str]]:
    if node.sharing != "none":
        yield from _shared_cells(cluster, node)
        return
    holders = [
        names.of(cluster.pk, pod, workspace)
        for pod, gpus, workspace in node.holders
        for _ in range(gpus)
    ]
    used = min(node.used, node.allocatable)
    if unseen(cluster):
        count = node.allocatable + node.faulty
        yield from [{"state": "unknown", "label": "unknown"}] * count
        return
    for index in range(used):
        name = holders[index] if index < len(holders) else ""
        yield {"state": "full", "label": f"allocated, {name}" if name else "allocated"}
    yield from _rest(cluster, node, node.allocatable - used + node.faulty - faulty(node))


def shared_words(node: NodeFacts) -> str:
    """ "shared (MIG): 3 of 7 parts held"."""
    how = SHARED.get(node.sharing, node.sharing)
    cards = "" if node.physical else "; nobody says how many cards"
    return f"shared ({how}): {node.used} of {node.allocatable} parts held{cards}"


def _shared_cells(cluster: Cluster, node: NodeFacts) -> Iterable[dict[str, str]]:
    """A cell for each card; what is held of it where the cluster tells cards apart."""
    if unseen(cluster):
        yield from [{"state": "unknown", "label": "unknown"}] * (node.whole_shared + node.faulty)
        return
    told = [_part(card) for card in node.cards if card.healthy][: node.whole_shared]
    yield from told
    yield from [{"state": "part", "label": shared_words(node)}] * (node.whole_shared - len(told))
    yield from [{"state": "fault", "label": "faulty"}] * node.faulty


def _part(card: CardFacts) -> dict[str, str]:
    label = f"shared, {card.shares_used} of {card.shares} parts held"
    if card.memory_mib and card.memory_used_mib is not None:
        label += f", {card.memory_used_mib} of {card.memory_mib} MiB"
    return {"state": "part", "label": f"{label}, kept from new pods" if card.cordoned else label}


def _rest(cluster: Cluster, node: NodeFacts, count: int) -> Iterable[dict[str, str]]:
    """Cards that nobody holds: free, blocked for a reason, or faulty."""
    why = why_blocked(cluster, node)
    cell = (
        {"state": "off", "label": f"blocked, {why}"} if why else {"state": "free", "label": "free"}
    )
    yield from [cell] * count
    yield from [{"state": "fault", "label": "faulty"}] * faulty(node)


def why_blocked(cluster: Cluster, node: NodeFacts) -> str:
    """Why nothing new may be put on the node's idle GPUs; "" if it may."""
    if not node.ready:
        return "node not ready"
    if node.cordoned:
        return "node cordoned"
    if not node.allocatable:
        return "no GPU offered yet"
    if node.blocked:  # whose workspace it is kept for is not for every reader
        return "kept for one KAITO workspace" if node.workspace else node.blocked
    return "cluster cordoned or draining" if closed(cluster) else ""


def short_name(name: str) -> str:
    """The host part of a node's name: domains repeat what the cluster's name says."""
    return name.partition(".")[0]


def model_words(model: str) -> str:
    """The class of a card by what a node calls it: "NVIDIA-H100-80GB-HBM3" -> "H100 80GB"."""
    return card_class(model) or "unknown model"


def shape_words(gpus: int, model: str) -> str:
    """Number and model, as in a table's cell; a lone card is the model alone."""
    return (
        model_words(model) if gpus == 1 else f"{gpus} \N{MULTIPLICATION SIGN} {model_words(model)}"
    )


def table_rows(cluster: Cluster, names: Names) -> list[dict[str, Any]]:
    """The same nodes as numbers: the grid's twin for tables."""
    pools = {pool.key: pool for pool in pools_of(cluster)}
    return [_table_row(cluster, node, pools.get(node.pool), names) for node in nodes_of(cluster)]


def _table_row(
    cluster: Cluster, node: NodeFacts, pool: PoolFacts | None, names: Names
) -> dict[str, Any]:
    cells = [cell["state"] for cell in _cells(cluster, node, names)]
    return {
        "cluster": cluster.name,
        "name": node.name,
        "shape": shape_words(pool.gpus_per_node, class_of(pool)) if pool else "",
        "zone": node.zone,
        "allocated": cells.count("full"),
        "free": cells.count("free"),
        "shared": cells.count("part"),
        "blocked": cells.count("off"),
        "faulty": cells.count("fault"),
        "unknown": cells.count("unknown"),
        "note": node_note(cluster, node) or why_blocked(cluster, node),
        "who": who(cluster, node, names),
    }
