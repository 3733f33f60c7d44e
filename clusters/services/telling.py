"""Who hears that something of a cluster changed: open pages at once, and the apps above."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import F

from clusters.models import Cluster
from fleetportal.kit import news

# Apps above hear that something of interest changed on a cluster (they ring for themselves).
changed: list[Callable[[str], None]] = []


def announce(cluster: Cluster) -> None:
    """Tell the apps above that what they know of this cluster has changed.

    The count is what makes sure that they look, the call only that they do so at once.
    """
    count(cluster)
    tell(cluster)


def publish(cluster: Cluster) -> None:
    """Pages that show it ask again. Call it in the transaction that changes it."""
    news.changed(f"cluster:{cluster.pk}", "clusters", "fleet")


def count(cluster: Cluster) -> None:
    """One change more for the apps above to look at. Call it in the transaction that makes it."""
    Cluster.objects.filter(pk=cluster.pk).update(changes=F("changes") + 1)


def tell(cluster: Cluster) -> None:
    """Ring for the apps above about a change that is counted already."""
    for listener in changed:
        listener(str(cluster.pk))
