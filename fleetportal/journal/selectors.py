"""Reading the journal: for the Audit page, an object's History, and the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet

from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event, EventQuerySet
from fleetportal.kit.errors import FieldProblem, Invalid

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


def events_page(
    *, principal: Principal, filters: Mapping[str, Any], page: int = 1, page_size: int = PAGE_SIZE
) -> Page[Event]:
    """One page of the Audit page. `filters`: a name of LOOKUPS -> value; empty values do not count.

    A page beyond the last is the last. Raises Invalid for a filter that does not exist.
    """
    rows = events_for(principal)
    for name, value in filters.items():
        if name not in LOOKUPS:
            known = ", ".join(LOOKUPS)
            raise Invalid(FieldProblem(name, "is no filter of the journal", f"Use {known}."))
        if value not in ("", None):
            rows = rows.filter(**{LOOKUPS[name]: _clean(name, value)})
    return Paginator(rows, page_size).get_page(page)


def history(*, principal: Principal, scope: str, limit: int = 100) -> list[Event]:
    """The newest events of one scope ("deployment:<id>"): an object's tab History."""
    return list(events_for(principal).filter(scope=scope)[:limit])


def filter_choices(principal: Principal) -> Choices:
    """The words to choose from."""
    rows = Event.objects.visible_to(principal).order_by()
    return Choices(
        actors=_distinct(rows, "actor_name"),
        actions=_distinct(rows, "action"),
        object_types=_distinct(rows, "object_type"),
    )


def _distinct(rows: QuerySet[Event], field: str) -> list[str]:
    return sorted(rows.values_list(field, flat=True).distinct()[:200])


def _clean(name: str, value: Any) -> Any:
    if name in ("since", "until") and not isinstance(value, datetime):
        raise Invalid(FieldProblem(name, "is no time"))
    if isinstance(value, str) and "\x00" in value:
        raise Invalid(FieldProblem(name, "holds a NUL character"))
    return value
