"""Whole nodes promised to workspaces. Nothing on a cluster reserves them, so the database does."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils import timezone

from clusters.models import Pool
from fleetportal.kit.errors import Refused
from workspaces.models import Claim, Workspace


class NoRoom(Refused):
    """Somebody else claimed the last node meanwhile."""

    type = "no-room"
    title = "Capacity is gone"


def claims_take(*, workspace: Workspace, pool: Pool, nodes: int) -> list[Claim]:
    """Claim `nodes` free slots of the pool, all or none. Raises NoRoom.

    Two callers that pick the same slot meet at the unique constraint; the loser looks again.
    """
    for _ in range(5):
        taken = set(
            Claim.objects.filter(pool=pool, released_at=None).values_list("slot", flat=True)
        )
        free = [slot for slot in range(min(pool.slots, len(taken) + nodes)) if slot not in taken]
        if len(free) < nodes:
            raise NoRoom(
                f"{pool.cluster.name} has {len(free)} of the {nodes} nodes needed.",
                remedy="Plan again.",
            )
        rows = [
            Claim(pool=pool, slot=slot, limit=pool.slots, workspace=workspace)
            for slot in free[:nodes]
        ]
        try:
            with transaction.atomic():
                return Claim.objects.bulk_create(rows)
        except IntegrityError:
            continue
    raise NoRoom(f"Too many plans want {pool.cluster.name} at once.", remedy="Try again.")


def claims_release(*, workspace: Workspace) -> int:
    """Give the workspace's nodes back; safe to repeat. The number given back."""
    return Claim.objects.filter(workspace=workspace, released_at=None).update(
        released_at=timezone.now()
    )
