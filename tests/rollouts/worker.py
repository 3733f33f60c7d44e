"""A worker in place of the broker: it answers every pre-flight at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models.signals import post_save
from django.utils import timezone

from clusters.models import Check
from rollouts.selectors.approvals import PREFLIGHT


@contextmanager
def preflights_find(why: str = "", cluster: str = "prod-weu") -> Iterator[None]:
    """Every pre-flight asked for within is done, and `why` is what stands in the way there."""

    def finish(sender: type[Check], instance: Check, created: bool, **_: Any) -> None:
        if not created or instance.kind != PREFLIGHT:
            return
        result = {"targets": [{"cluster": cluster, "why": why}], "ready": int(not why), "of": 1}
        found = Check.objects.filter(pk=instance.pk)
        found.update(state="done", result=result, finished_at=timezone.now())
        instance.refresh_from_db()

    post_save.connect(finish, sender=Check, weak=False, dispatch_uid="preflights_find")
    try:
        yield
    finally:
        post_save.disconnect(sender=Check, dispatch_uid="preflights_find")
