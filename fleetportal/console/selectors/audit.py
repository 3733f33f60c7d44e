"""The Audit page: rows of the journal in words, its filters, and the same rows as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.dateparse import parse_date, parse_datetime

from fleetportal.journal.models import Event
from fleetportal.journal.selectors import LOOKUPS
from fleetportal.kit import sheets
from fleetportal.kit.errors import FieldProblem, Invalid
from fleetportal.kit.format import exact
from fleetportal.kit.paths import path_to

TEXTS = ("actor", "action", "object_type", "object_id", "object", "team")
TIMES = ("since", "until")
FILTERS = (*TEXTS, *TIMES)
PAGES = {  # object type -> name of its page, taking the object's id
    "deployment": "deployment",
    "rollout": "rollout",
    "approval": "approval",
    "plan": "plan",
}
MOST_CSV = 100_000
COLUMNS = (
    *("time", "actor", "via", "action", "object_type", "object", "object_id"),
    *("team", "reason", "before", "after"),
)


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One row of the page. `changes`: (field, before, after)."""

    event: Event
    words: str
    url: str
    changes: list[tuple[str, str, str]]


def read_filters(asked: Mapping[str, str]) -> dict[str, Any]:
    """The page's query as filters of the journal. Raises Invalid for a time that is none."""
    found: dict[str, Any] = {
        name: asked.get(name, "").replace("\x00", "").strip() for name in TEXTS
    }
    for name in TIMES:
        found[name] = _moment(name, asked.get(name, "").strip())
    return found


def _moment(name: str, text: str) -> datetime | None:
    """A day or a moment, in UTC unless it says otherwise; `until` a day includes it."""
    if not text:
        return None
    try:
        day = parse_date(text)
        moment = parse_datetime(text) if day is None else datetime(day.year, day.month, day.day)
        if moment is not None and day is not None and name == "until":
            moment += timedelta(days=1)
        if moment is not None:
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the latter: it leads out of the calendar
        moment = None
    if moment is None:
        raise Invalid(FieldProblem(name, f"{text[:40]!r} is no date", "Write it as 2026-01-31."))
    return moment


def filtered(rows: QuerySet[Event], filters: Mapping[str, Any]) -> QuerySet[Event]:
    for name, value in filters.items():
        if value not in ("", None):
            rows = rows.filter(**{LOOKUPS[name]: value})
    return rows


def lines_of(events: Iterable[Event]) -> list[AuditLine]:
    return [AuditLine(event, words_of(event), url_of(event), changes_of(event)) for event in events]


def words_of(event: Event) -> str:
    """ "cluster.quota_declared" -> "quota declared"; the object's type has a column of its own."""
    return event.action.rpartition(".")[2].replace("_", " ")


def url_of(event: Event) -> str:
    if event.object_type == "cluster":
        return reverse("cluster", args=[event.object_name])
    name = PAGES.get(event.object_type)
    return path_to(name, event.object_id) if name else ""


def changes_of(event: Event) -> list[tuple[str, str, str]]:
    """What differs, field by field."""
    keys = [*event.before, *(key for key in event.after if key not in event.before)]
    return [
        (key, _shown(event.before.get(key)), _shown(event.after.get(key)))
        for key in keys
        if event.before.get(key) != event.after.get(key)
    ]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value)
    return "" if value is None else str(value)


def csv_lines(rows: QuerySet[Event]) -> Iterator[str]:
    """The rows as CSV, a line at a time, so that memory does not grow with the journal."""
    events = rows[:MOST_CSV].iterator(chunk_size=500)
    return sheets.csv_lines(COLUMNS, ([*_cells(event)] for event in events))


def _cells(event: Event) -> Iterable[str]:
    yield exact(event.at)
    yield from (event.actor_name, event.via, event.action, event.object_type, event.object_name)
    yield from (event.object_id, event.team.slug if event.team else "", event.reason)
    yield from (_shown(event.before), _shown(event.after))
