"""Start-up checks: every URL declares who may call it, and every write its own verb."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.urls import URLPattern, URLResolver, get_resolver

from fleetportal.kit.roles import VERBS

READS = {"get", "head", "options"}
READING_VERBS = {"public", "view", "audit.view"}


def declared_verb(callback: Any) -> str | None:
    """The verb of a view function, class-based view or API view set, or None."""
    for candidate in (
        callback,
        getattr(callback, "cls", None),
        getattr(callback, "view_class", None),
    ):
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


def undeclared(callback: Any) -> Iterator[str]:
    """What a view leaves unsaid about who may call it."""
    verb = declared_verb(callback)
    if verb is None:
        yield "does not declare who may call it"
    verbs: Mapping[str, str] = getattr(getattr(callback, "cls", None), "verbs", {})
    for name in sorted({*verbs.values()} - {*VERBS}):
        yield f"declares {name!r}, which is not in kit.roles.VERBS"
    actions: Mapping[str, str] = getattr(callback, "actions", None) or {}
    for method, action in actions.items():
        if method not in READS and action not in verbs and verb in READING_VERBS:
            yield f"writes in {action!r} without a verb of its own"


@register(Tags.security)
def every_url_declares_a_verb(**_: Any) -> list[CheckMessage]:
    return [
        Error(
            f"/{route} {problem}",
            hint="Use fleetportal.accounts.principal.declares(verb); view sets also `verbs`.",
            id="accounts.E001",
        )
        for route, pattern in walk(get_resolver().url_patterns)
        for problem in undeclared(pattern.callback)
    ]
