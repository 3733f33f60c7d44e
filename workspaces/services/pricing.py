"""Workspaces go by the price in force: what they cost in an hour changes with the book."""

from __future__ import annotations

from clusters.models import Cluster
from clusters.selectors import pools_of
from fleetportal.kit import news
from workspaces.models import Workspace


def workspaces_reprice(cluster_pk: str) -> None:
    """Give every workspace of a cluster its pool's price (two queries, and a write for each that
    differs). One whose pool is gone keeps what it had."""
    cluster = Cluster.objects.only("pools_packed").get(pk=cluster_pk)
    prices = {pool.key: pool.price_per_hour for pool in pools_of(cluster)}
    rows = Workspace.objects.filter(cluster=cluster, pool__key__in=list(prices))
    columns = ("pk", "price_per_hour", "pool__key", "replicas", "nodes_per_replica")
    changed: set[str] = set()
    for pk, old, key, replicas, nodes, deployment in rows.exclude(state="retired").values_list(
        *columns, "deployment_id"
    ):
        node = prices[key]
        new = None if node is None else node * replicas * nodes
        if new != old:
            Workspace.objects.filter(pk=pk).update(price_per_hour=new)
            changed.add(f"deployment:{deployment}")
    if changed:
        news.changed("deployments", *changed)
