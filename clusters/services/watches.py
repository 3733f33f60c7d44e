"""Who watches which cluster: one lease per cluster, shared fairly between live collectors.

A lease has a fencing token that counts up whenever it changes hands. Whoever stores something says
by which token, in the same transaction, so that a collector that was paused or cut off changes
nothing after another one has taken over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from clusters.models import Cluster, Watch
from clusters.querysets import ClusterQuerySet
from fleetportal.pulse import heartbeats

KIND = "collector"
LEASE = timedelta(seconds=15)
BATCH = 500  # rows of one write


class FenceLost(Exception):
    """Another collector may watch this cluster by now: nothing of ours is stored any more."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A right to store what was seen of a cluster."""

    cluster: str
    holder: str
    token: int

    def hold(self) -> None:
        """Inside a transaction: the lease is ours, and stays so until the commit.

        Raises FenceLost.
        """
        rows = Watch.objects.select_for_update().filter(
            cluster_id=self.cluster,
            lease_holder=self.holder,
            lease_token=self.token,
            lease_expires_at__gt=timezone.now(),
        )
        if not rows.values_list("pk"):
            raise FenceLost(self.cluster)


@contextmanager
def fenced(fence: Fence | None) -> Iterator[None]:
    """A transaction in which the fence holds. Raises FenceLost."""
    with transaction.atomic():
        if fence is not None:
            fence.hold()
        yield


def watches_renew(*, holder: str) -> dict[str, int]:
    """Hold all of ours for another LEASE. What is ours now: cluster -> token.

    One that ran out and that nobody took is still ours: its token did not move.
    """
    Watch.objects.filter(lease_holder=holder).update(lease_expires_at=timezone.now() + LEASE)
    return watches_owned(holder=holder)


def watches_owned(*, holder: str) -> dict[str, int]:
    """What is ours: cluster -> token."""
    rows = Watch.objects.filter(lease_holder=holder).values_list("cluster_id", "lease_token")
    return {str(pk): token for pk, token in rows}


def watches_holders() -> set[str]:
    """Who holds any lease, in force or run out."""
    held = Watch.objects.exclude(lease_holder="")
    return set(held.values_list("lease_holder", flat=True).distinct())


def watches_share() -> int:
    """How many clusters each live collector should watch, rounded up."""
    live = heartbeats.count(KIND, LEASE)
    return math.ceil(_watched().count() / max(1, live))


def watches_claim(*, holder: str, most: int) -> int:
    """Take up to `most` clusters that nobody watches, those free for longest first. How many."""
    if most <= 0:
        return 0
    _rows_for_new_clusters()
    now = timezone.now()
    free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=now)
    rows = Watch.objects.filter(free, cluster__in=_watched())
    oldest = rows.order_by(F("lease_expires_at").asc(nulls_first=True))
    wanted = list(oldest.values_list("pk", flat=True)[: min(most, BATCH)])
    return Watch.objects.filter(free, pk__in=wanted).update(
        lease_holder=holder, lease_token=F("lease_token") + 1, lease_expires_at=now + LEASE
    )


def watches_release(*, holder: str, clusters: Iterable[str] | None = None) -> int:
    """Give up these clusters (None: all): others may take them at once."""
    rows = Watch.objects.filter(lease_holder=holder)
    if clusters is not None:
        rows = rows.filter(pk__in=list(clusters))
    return rows.update(lease_holder="", lease_expires_at=None)


def _watched() -> ClusterQuerySet:
    """Clusters under management whose identity is known."""
    return Cluster.objects.managed().exclude(uid="").order_by()


def _rows_for_new_clusters() -> None:
    fresh = _watched().filter(watch=None).values_list("pk", flat=True)
    rows = [Watch(cluster_id=pk) for pk in fresh]
    if rows:
        Watch.objects.bulk_create(rows, BATCH, ignore_conflicts=True)
