"""What people do to a rollout that runs: pause, resume, retry, abort, roll back.

Each writes a wish and rings; the engine decides what follows and the step carries it out.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F

from fleetportal.accounts.principal import Principal, require
from fleetportal.journal.services import event_record
from fleetportal.kit.doorbell import ring
from fleetportal.kit.errors import Refused, Stale
from rollouts.models import Gate, Rollout, Target
from rollouts.services.approvals import approvals_ask_again
from rollouts.services.start import TASK
from rollouts.states import ROLLOUT


def rollout_pause(*, principal: Principal, rollout: Rollout, reason: str = "") -> None:
    """Start nothing new; what is on its way to a cluster is finished."""
    _wish(principal, rollout, "paused", reason, pause=True)


def rollout_resume(*, principal: Principal, rollout: Rollout, reason: str = "") -> None:
    _wish(principal, rollout, "resumed", reason, pause=False)


def rollout_abort(*, principal: Principal, rollout: Rollout, reason: str = "") -> None:
    """End it here. What was introduced and does not serve is taken away again."""
    _wish(principal, rollout, "abort_requested", reason, abort=True)


def rollout_rollback(*, principal: Principal, rollout: Rollout, reason: str = "") -> None:
    """Back to the previous revision on every cluster that was touched, in reverse order."""
    _wish(principal, rollout, "rollback_requested", reason, rollback=True)


def rollout_retry(*, principal: Principal, rollout: Rollout, reason: str = "") -> None:
    """Another attempt for everything that failed, another request for what nobody decided.

    Raises Refused where there is neither.
    """
    require(principal, "rollout.control", rollout)
    with transaction.atomic():
        targets = Target.objects.filter(rollout=rollout, state__in=["failed", "conflict"])
        gates = Gate.objects.filter(stage__rollout=rollout, state="failed")
        asked = targets.update(retry=True) + gates.update(retry=True)
        asked += approvals_ask_again(rollout)
        if not asked:
            raise Refused("Nothing of this rollout has failed.", type_="nothing-to-retry")
        _wish(principal, rollout, "retry_requested", reason)


def rollout_retire_now(*, principal: Principal, rollout: Rollout, reason: str = "") -> None:
    """Give up the kept old revision before its time."""
    _wish(principal, rollout, "retire_requested", reason, retire_now=True)


def _wish(principal: Principal, rollout: Rollout, action: str, reason: str, **fields: Any) -> None:
    require(principal, "rollout.control", rollout)
    if rollout.state in ROLLOUT.terminal:
        label = ROLLOUT.states[rollout.state].label.lower()
        raise Refused(f"This rollout has ended: {label}.", type_="rollout-ended")
    before = {key: getattr(rollout, key) for key in fields}
    with transaction.atomic():
        rows = Rollout.objects.filter(pk=rollout.pk, state__in=sorted(ROLLOUT.active))
        if not rows.update(version=F("version") + 1, not_before=None, **fields):
            raise Stale("This rollout has ended meanwhile.", remedy="Reload.")
        event_record(
            action=f"rollout.{action}",
            obj=rollout,
            principal=principal,
            reason=reason,
            before=before,
            after=fields,
        )
        ring(TASK, rollout.pk)
    rollout.refresh_from_db()
