"""Reads of clusters: rows to the engine's values, and what the pages and the API show."""

from __future__ import annotations

from clusters.selectors.facts import (
    capabilities_of,
    fleet_facts,
    labels_of,
    nodes_of,
    pack,
    pools_of,
    taints_of,
)

__all__ = [
    "capabilities_of",
    "fleet_facts",
    "labels_of",
    "nodes_of",
    "pack",
    "pools_of",
    "taints_of",
]
