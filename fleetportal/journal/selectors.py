"""Reading the journal: for the Audit page, an object's History, and the API."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event, EventQuerySet

PAGE_SIZE = 50

# Name of a filter -> ORM lookup. The Audit page and `events/` take the same ones.
LOOKUPS = {
    "actor": "actor_name",
    "action": "action",
    "object_type": "object_type",
    "object_id": "object_id",
    "object": "object_name__icontains",
    "team": "team__slug",
    "scope": "scope",
    "since": "at__gte",
    "until": "at__lt",
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters of the Audit page offer: only words that occur in visible events."""

    actors: list[str]
    actions: list[str]
    object_types: list[str]


def events_for(principal: Principal) -> EventQuerySet:
    """Every event the principal may see, newest first."""
    return Event.objects.visible_to(principal).select_related("team")


def history(*, principal: Principal, scope: str, limit: int = 100) -> list[Event]:
    """The newest events of one scope ("deployment:<id>"): an object's tab History."""
    return list(events_for(principal).filter(scope=scope)[:limit])


def told(event: Event) -> str:
    """ "stage test: passed", "rollout of chat r1: waiting": what happened to what.

    What was only observed is told by the state that it was found in.
    """
    verb = event.action.rpartition(".")[2]
    if verb == "observed":
        verb = str(event.after.get("state", verb))
    name = event.object_name
    named = name if name.startswith(event.object_type) else f"{event.object_type} {name}"
    return f"{named}: {verb.replace('_', ' ')}"


def filter_choices(events: QuerySet[Event]) -> Choices:
    """The words to choose from; `events`: all that the principal may see, from `events_for`."""
    rows = events.order_by()
    return Choices(
        actors=_distinct(rows, "actor_name"),
        actions=_distinct(rows, "action"),
        object_types=_distinct(rows, "object_type"),
    )


def _distinct(rows: QuerySet[Event], field: str) -> list[str]:
    return sorted(rows.values_list(field, flat=True).distinct()[:200])
