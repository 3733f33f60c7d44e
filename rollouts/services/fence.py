"""Writes that only the present holder of a rollout's lease can make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from fleetportal.kit.errors import Stale
from rollouts.models import Rollout


class LostLease(Stale):
    """Another worker took the rollout over; this one has nothing more to say."""


@contextmanager
def fenced(rollout: Rollout) -> Iterator[None]:
    """A transaction in which nobody else can take the rollout over. Raises LostLease."""
    with transaction.atomic():
        ours = Rollout.objects.select_for_update().filter(
            pk=rollout.pk, lease_token=rollout.lease_token
        )
        if not ours.exists():
            raise LostLease("The lease of this rollout has moved on.")
        yield
