"""Start-up check: every URL of the portal declares who may call it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.urls import URLPattern, URLResolver, get_resolver


def declared_verb(callback: Any) -> str | None:
    """The verb of a view function, class-based view or API view set, or None."""
    for candidate in (callback, getattr(callback, "cls", None), getattr(callback, "view_class", None)):
        verb = getattr(candidate, "fleet_verb", None)
        if isinstance(verb, str):
            return verb
    return None


def walk(patterns: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every URL pattern with its full route."""
    for entry in patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry.url_patterns, route)
        else:
            yield route, entry


@register(Tags.security)
def every_url_declares_a_verb(**_: Any) -> list[CheckMessage]:
    return [
        Error(
            f"/{route} does not declare who may call it",
            hint="Decorate the view with fleetportal.accounts.principal.declares(verb).",
            id="accounts.E001",
        )
        for route, pattern in walk(get_resolver().url_patterns)
        if declared_verb(pattern.callback) is None
    ]
