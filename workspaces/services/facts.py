"""The engine's inputs from rows: the fleet, what is promised already, what runs where."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import msgspec

from clusters.engine.types import ClusterFacts, NodeFacts
from clusters.models import Cluster
from clusters.selectors import fleet_facts, nodes_of
from fleetportal.accounts.models import Team
from workspaces.engine.catalog import CatalogEntry
from workspaces.engine.types import ModelSpec, Situation
from workspaces.models import CatalogModel, Claim, Deployment, TeamSecret, Workspace


def model_spec(model: CatalogModel) -> ModelSpec:
    """What sizing needs of a catalog row."""
    return msgspec.convert(model.facts, CatalogEntry).spec


def fleet(now: datetime, names: Collection[str] | None = None) -> list[ClusterFacts]:
    """Every managed cluster, or those of these names."""
    return fleet_facts(now, names)


def situation(*, deployment: Deployment | None, model: CatalogModel) -> Situation:
    """What the rest of the fleet means for a demand (five queries whatever the fleet's size)."""
    live = Workspace.objects.live()
    running = (
        live.filter(deployment=deployment)
        .exclude(state="retiring")
        .values_list("cluster_id", flat=True)
        if deployment
        else ()
    )
    measured = live.filter(revision__model=model, state="ready", pool__isnull=False)
    rows = measured.values_list("cluster_id", "pool__key", "benchmark", "replicas")
    return Situation(
        claimed_nodes=claimed_nodes(),
        running_on=frozenset(str(pk) for pk in running),
        weights_on=frozenset(str(row[0]) for row in rows),
        tokens_per_minute={
            (str(cluster), key): float(found["peak_tokens_per_minute"]) / max(1, replicas)
            for cluster, key, found, replicas in rows
            if found.get("peak_tokens_per_minute")
        },
    )


def claimed_nodes() -> Mapping[tuple[str, str], int]:
    """Promised nodes that the inventory does not show as taken yet, by cluster and pool.

    A claim whose pods already sit on nodes is in the inventory; counting it again would hide
    capacity that is there.
    """
    claims = Claim.objects.filter(released_at=None).values_list(
        "pool__cluster_id", "pool__key", "workspace__name"
    )
    promised = Counter(claims)
    if not promised:
        return {}
    shown = _shown({cluster for cluster, _, _ in promised}, {name for _, _, name in promised})
    left: Counter[tuple[str, str]] = Counter()
    for (cluster, pool, name), nodes in promised.items():
        left[(str(cluster), pool)] += max(0, nodes - shown[(str(cluster), pool, name)])
    return {key: nodes for key, nodes in left.items() if nodes}


def _shown(clusters: Iterable[uuid.UUID], names: set[str]) -> Counter[tuple[str, str, str]]:
    """Nodes on which each of our workspaces holds GPUs, or that were made for it."""
    found: Counter[tuple[str, str, str]] = Counter()
    for cluster in Cluster.objects.filter(pk__in=clusters).only("nodes_packed"):
        for node in nodes_of(cluster):
            for name in _owners(node, names):
                found[(str(cluster.pk), node.pool, name)] += 1
    return found


def _owners(node: NodeFacts, names: set[str]) -> set[str]:
    """Our workspaces on a node; a set's child is called `<set>-<five letters>`."""
    there = {node.workspace, *(workspace for _, _, workspace in node.holders)} - {""}
    return {name for kaito in there for name in (kaito, kaito.rpartition("-")[0]) if name in names}


def has_secret(team: Team) -> bool:
    return TeamSecret.objects.filter(team=team).exists()
