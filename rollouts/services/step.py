"""One step of a rollout: look, decide, act, record; safe to call any number of times."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F
from django.utils import timezone

from fleetportal.kit import news
from fleetportal.kit.doorbell import ring
from fleetportal.kit.errors import Stale
from fleetportal.pulse import leases
from rollouts.engine.actions import Action, Effect, Wait
from rollouts.engine.steps import next_actions
from rollouts.models import Rollout
from rollouts.services import effects, looks, moves
from rollouts.services.snapshot import Loaded, load, said
from rollouts.services.start import TASK
from rollouts.states import ROLLOUT

log = logging.getLogger(__name__)

LEASE = 35.0  # seconds from the beginning of each effect; no effect may take longer
BUDGET = 25.0  # seconds after which a step leaves the rest to the next one
LOOK_AGAIN = timedelta(seconds=5)  # nothing observed meanwhile: look anyway
AFTER_A_MISS = timedelta(seconds=0.2)
AFTER_A_FAILURE = timedelta(seconds=5)
WISHES = ("state", "version", "pause", "abort", "rollback", "retire_now", "ended_outside")


def rollout_advance(pk: str) -> None:
    """Take the rollout as far as it goes now, then say when to look again."""
    rollout = _rollout(pk)
    if rollout is None or not leases.claim(rollout, seconds=LEASE):
        return
    until = timezone.now() + AFTER_A_FAILURE
    try:
        until = _drive(rollout)
    finally:
        leases.release(rollout, not_before=until)
    if Rollout.objects.filter(pk=pk, settled=False, not_before=None).exists():
        ring(TASK, pk)  # whoever asked for it rang while we held it


def _rollout(pk: str) -> Rollout | None:
    rows = Rollout.objects.select_related(
        "deployment__team", "revision__deployment", "plan", "requested_by"
    )
    return rows.filter(pk=pk, settled=False).first()


def _drive(rollout: Rollout) -> datetime:
    """Act until only waiting is left; the time of the next look."""
    deadline = time.monotonic() + BUDGET
    looks.loads_observe(rollout)
    while time.monotonic() < deadline:
        _refresh(rollout)
        looks.room_seek(rollout)
        now = timezone.now()
        loaded = load(rollout, now)
        actions = next_actions(loaded.snapshot, now)
        todo = [action for action in actions if not isinstance(action, Wait)]
        _say(rollout, loaded, now)
        if not todo:
            if rollout.state in ROLLOUT.terminal and not rollout.waiting_for:
                _settle(rollout)
            return _next_look(actions, now)
        if not _perform(todo, loaded, deadline):
            return timezone.now() + AFTER_A_MISS
    return timezone.now()


def _refresh(rollout: Rollout) -> None:
    """What people asked for since the last look."""
    rollout.refresh_from_db(fields=WISHES)
    rollout.deployment.refresh_from_db(fields=["held", "held_reason"])


def _perform(actions: Sequence[Action], loaded: Loaded, deadline: float) -> bool:
    """False when a row was not as it was seen: the next step looks afresh."""
    for action in actions:
        if time.monotonic() > deadline:
            return True
        try:
            if isinstance(action, Effect):
                leases.extend(loaded.rollout, seconds=LEASE)
                effects.perform(action, loaded)
            else:
                moves.perform(action, loaded)
        except (Stale, IntegrityError) as error:
            log.info("rollout.stale", extra={"rollout": str(loaded.rollout.pk), "why": str(error)})
            return False
    return True


def _next_look(actions: list[Action], now: datetime) -> datetime:
    times = [action.until for action in actions if isinstance(action, Wait) and action.until]
    return min([now + LOOK_AGAIN, *times])


def _settle(rollout: Rollout) -> None:
    """Ended, and nothing is owed any more: it needs no further look."""
    Rollout.objects.filter(pk=rollout.pk, lease_token=rollout.lease_token).update(settled=True)


def _say(rollout: Rollout, loaded: Loaded, now: datetime) -> None:
    """Keep the sentence about what the rollout waits for; written only when it changes."""
    words = said(loaded.snapshot, now)
    if words == rollout.waiting_for:
        return
    rows = Rollout.objects.filter(pk=rollout.pk, lease_token=rollout.lease_token)
    if rows.update(waiting_for=words, version=F("version") + 1):
        rollout.waiting_for = words
        rollout.version += 1
        news.changed_row(rollout)


def deployment_changed(deployment_pk: UUID) -> None:
    """Something about a deployment looks different now: look at its rollout soon."""
    for pk in (
        Rollout.objects.active().filter(deployment=deployment_pk).values_list("pk", flat=True)
    ):
        Rollout.objects.filter(pk=pk).update(not_before=None)
        ring(TASK, pk)
