"""Lists take the filters and orderings that their view names; any other parameter is refused.

A view says `filters = {"state": Filter("state__in", "choice", ("ready",))}` and
`orderings = {"name": "name"}`. The schema describes both.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

from fleetportal.kit.errors import FieldProblem, Invalid

if TYPE_CHECKING:
    from rest_framework.views import APIView  # imports this module by its settings

PAGING = ("page", "page_size")
KINDS = ("text", "choice", "bool", "int", "time", "uuid")
LONGEST = 200  # characters of a text: no name is longer, and a database compares it with every row
WORDS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Filter:
    """`lookup`: the ORM's ("state__in", "team__slug"). `kind`: one of KINDS.

    A choice may be given more than once or with commas; its lookup ends in `__in`.
    """

    lookup: str
    kind: str = "text"
    choices: tuple[str, ...] = ()
    help: str = ""


class ListFilters(BaseFilterBackend):
    """Applies a view's `filters` and `orderings` to its list."""

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: APIView
    ) -> QuerySet[Any]:
        filters: Mapping[str, Filter] = getattr(view, "filters", {})
        orderings: Mapping[str, str] = getattr(view, "orderings", {})
        refuse_unknown(request, [*filters, *(["ordering"] if orderings else []), *PAGING])
        for name, one in filters.items():
            values = request.query_params.getlist(name)
            if values:
                queryset = queryset.filter(**{one.lookup: read(name, one, values)})
        wanted = request.query_params.get("ordering")
        return order(queryset, orderings, wanted) if orderings and wanted else queryset

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        filters: Mapping[str, Filter] = getattr(view, "filters", {})
        orderings: Mapping[str, str] = getattr(view, "orderings", {})
        rows = [_parameter(name, one) for name, one in filters.items()]
        if orderings:
            words = [word for name in orderings for word in (name, f"-{name}")]
            rows.append(
                {"name": "ordering", "in": "query", "schema": {"type": "string", "enum": words}}
            )
        return rows


def refuse_unknown(request: Request, known: list[str]) -> None:
    """Raise Invalid for query parameters that mean nothing here: a typo must not widen a list."""
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        remedy = f"Use {', '.join(sorted(known))}." if known else "Send none."
        raise Invalid(
            [FieldProblem(name, "is not a parameter of this list", remedy) for name in unknown]
        )


def order(queryset: QuerySet[Any], orderings: Mapping[str, str], wanted: str) -> QuerySet[Any]:
    """Sort by one allowed name, "-" for descending; the key breaks ties: pages never overlap."""
    sign, name = ("-", wanted[1:]) if wanted.startswith("-") else ("", wanted)
    if name not in orderings:
        raise Invalid(
            FieldProblem(
                "ordering", f"{wanted[:60]!r} is no ordering", f"Use {', '.join(orderings)}."
            )
        )
    return queryset.order_by(f"{sign}{orderings[name]}", f"{sign}pk")


def read(name: str, one: Filter, values: list[str]) -> Any:
    """The value of a filter as the ORM takes it. Raises Invalid."""
    if any("\x00" in value for value in values):
        raise Invalid(FieldProblem(name, "holds a NUL character", "Leave it out."))
    if one.kind == "choice":
        return _choices(name, one, values)
    if len(values) > 1:
        raise Invalid(FieldProblem(name, "is given more than once", "Give it once."))
    if len(values[0]) > LONGEST:
        raise Invalid(FieldProblem(name, "is too long", f"At most {LONGEST} characters."))
    try:
        return _READERS[one.kind](values[0])
    except (ValueError, KeyError, OverflowError) as error:
        what, example = _NAMES[one.kind]
        raise Invalid(
            FieldProblem(name, f"{values[0][:60]!r} is not a {what}", f"Give {example}.")
        ) from error


def _choices(name: str, one: Filter, values: list[str]) -> list[str]:
    words = [word for value in values for word in value.split(",") if word]
    wrong = [word for word in words if one.choices and word not in one.choices]
    if wrong or not words:
        raise Invalid(
            FieldProblem(
                name, f"{','.join(wrong)[:60]!r} is unknown", f"Use {', '.join(one.choices)}."
            )
        )
    return words


def _time(text: str) -> datetime:
    # A "+" that nobody encoded arrives as a space.
    moment = parse_datetime(text.replace(" ", "+") if "T" in text else text)
    if moment is None:
        raise ValueError(text)
    # Its zone may move it out of the calendar: said here and not by the database.
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _int(text: str) -> int:
    value = int(text)
    if abs(value) >= 1 << 63:
        raise OverflowError(text)
    return value


_READERS: dict[str, Any] = {
    "text": str,
    "bool": lambda text: WORDS[text.lower()],
    "int": _int,
    "time": _time,
    "uuid": uuid.UUID,
}
_NAMES = {  # what it should be, and an example
    "text": ("text", "a word"),
    "bool": ("truth value", "true or false"),
    "int": ("whole number", "a number such as 3"),
    "time": ("time", "a time such as 2026-01-31T12:00:00Z"),
    "uuid": ("UUID", "the id of an object"),
}
_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "time": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
}


def _parameter(name: str, one: Filter) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "in": "query", "description": one.help}
    if one.kind != "choice":
        return row | {"schema": _TYPES[one.kind]}
    item = {"type": "string", **({"enum": list(one.choices)} if one.choices else {})}
    return row | {"schema": {"type": "array", "items": item}, "explode": False, "style": "form"}
