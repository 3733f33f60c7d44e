"""Moments of clusters for the time machine: stored where something changed, pruned after a time.

A moment's time is the start of its minute, and it says how that minute ended; it holds until the
cluster's next moment. Nothing is stored while nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from clusters.engine import moments
from clusters.models import Cluster, InventoryMoment
from clusters.selectors.census import blind

KEEP = timedelta(days=90)
BATCH = 500  # rows of one transaction
_FIELDS = ("state", "cordoned", "nodes_packed", "pools_packed", "capabilities")


def moment_store(*, cluster: Cluster, at: datetime) -> bool:
    """Store what the cluster's row says now, if that is news. True: it was.

    At most one moment per minute: the last state of a minute replaces earlier ones. A clock that
    went back changes the newest moment, so that time never runs backwards in what is stored.
    """
    minute = at.replace(second=0, microsecond=0)
    with transaction.atomic(savepoint=False):
        now = _said(Cluster.objects.only(*_FIELDS).get(pk=cluster.pk))
        last = list(InventoryMoment.objects.filter(cluster=cluster).order_by("-at")[:2])
        if last and last[0].at >= minute:
            return _replace(now, last[0], last[1:])
        if last and _of(last[0]) == now:
            return False
        InventoryMoment.objects.bulk_create(
            [InventoryMoment(cluster=cluster, at=minute, **now)],
            update_conflicts=True,
            unique_fields=["cluster", "at"],
            update_fields=list(now),
        )
    return True


def moments_begin(now: datetime) -> int:
    """A first moment for clusters that have none and may never change. How many got one."""
    some = InventoryMoment.objects.filter(cluster=OuterRef("pk"))
    bare = Cluster.objects.managed().filter(~Exists(some)).only("pk")[:BATCH]
    return sum(moment_store(cluster=cluster, at=now) for cluster in bare)


def moments_prune(now: datetime, *, batches: int = 10) -> int:
    """Delete moments that are too old, but for each cluster's last one: it holds until its next.
    How many went."""
    before = now - KEEP
    later = InventoryMoment.objects.filter(
        cluster=OuterRef("cluster"), at__gt=OuterRef("at"), at__lte=before
    )
    old = InventoryMoment.objects.filter(Exists(later), at__lt=before).order_by("at")
    gone = 0
    for _ in range(batches):
        found = list(old.values_list("pk", flat=True)[:BATCH])
        gone += InventoryMoment.objects.filter(pk__in=found).delete()[0]
        if len(found) < BATCH:
            break
    return gone


def _replace(
    now: Mapping[str, Any], newest: InventoryMoment, before: list[InventoryMoment]
) -> bool:
    """The minute ends otherwise; where it ends as the one before it did, it is no news at all."""
    if _of(newest) == now:
        return False
    row = InventoryMoment.objects.filter(pk=newest.pk)
    if before and _of(before[0]) == now:
        row.delete()
    else:
        row.update(**now)
    return True


def _said(row: Cluster) -> dict[str, Any]:
    """A cluster's row as the columns of a moment."""
    moment = moments.Moment(bytes(row.nodes_packed), bytes(row.pools_packed), blind(row))
    return {"state": row.state, "cordoned": row.cordoned, "packed": moments.encode(moment)}


def _of(moment: InventoryMoment) -> dict[str, Any]:
    return {
        "state": moment.state,
        "cordoned": moment.cordoned,
        "packed": bytes(moment.packed),
    }
