"""Writes that only the present holder of a rollout's lease can make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from fleetportal.kit import news
from fleetportal.kit.errors import Stale
from rollouts.models import Rollout


class LostLease(Stale):
    """Another worker took the rollout over; this one has nothing more to say."""


@contextmanager
def fenced(rollout: Rollout, *, as_seen: bool = False) -> Iterator[None]:
    """A transaction in which nobody else can take the rollout over. Raises LostLease.

    `as_seen`: nor has a person asked for anything since the snapshot; raises Stale. An answer of a
    cluster is recorded without it: it happened, whatever is wished by now.
    """
    with transaction.atomic():
        ours = Rollout.objects.select_for_update().filter(
            pk=rollout.pk, lease_token=rollout.lease_token
        )
        version = ours.values_list("version", flat=True).first()
        if version is None:
            raise LostLease("The lease of this rollout has moved on.")
        if as_seen and version != rollout.version:
            raise Stale("Somebody asked for something meanwhile.")
        yield
        news.changed_row(rollout)  # whatever was written, its page shows it
