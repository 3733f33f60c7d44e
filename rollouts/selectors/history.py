"""What the journal says of one rollout: its tab History, and how it ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.journal.selectors import events_for, told
from rollouts.models import Rollout

SHOWN = 200
ASKED = ("rollout.abort_requested", "rollout.rollback_requested")
AFTERMATH = timedelta(minutes=1)  # what belongs to the end is written shortly after it


def events_of(principal: Principal, rollout: Rollout) -> list[dict[str, Any]]:
    """The deployment's events while this rollout ran, as components/timeline.html takes them."""
    rows = events_for(principal).filter(
        scope=rollout.journal_scope, at__gte=rollout.created_at - AFTERMATH
    )
    if rollout.ended_at:
        rows = rows.filter(at__lte=rollout.ended_at + AFTERMATH)
    return [_line(event) for event in rows[:SHOWN]]


def ended_because(rollout: Rollout) -> tuple[str, str]:
    """The reason written with the last change of state, and who asked for it and why."""
    rows = Event.objects.filter(object_type="rollout", object_id=str(rollout.pk))
    last = rows.filter(after__state=rollout.state).only("reason").first()
    asked = rows.filter(action__in=ASKED).first()
    who = f"Asked for by {asked.actor_name}: {asked.reason}" if asked and asked.reason else ""
    return last.reason if last else "", who


def _line(event: Event) -> dict[str, Any]:
    return {
        "at": event.at,
        "actor": event.actor_name,
        "action": told(event),
        "reason": event.reason,
        "changes": _changes(event) if event.actor_id else [],
    }


def _changes(event: Event) -> list[tuple[str, Any, Any]]:
    return [
        (key, event.before.get(key, "nothing"), value)
        for key, value in event.after.items()
        if key != "state" and event.before.get(key) != value
    ]
