"""Who may hear of what: apps name, for each kind of topic, the objects that a principal sees.

Lists ("fleet", "rollouts") may be heard by everybody who is signed in: they say that something
moved, not what. An object that is not there and one that is hidden are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Set
from typing import Any
from uuid import UUID

from fleetportal.accounts.principal import Principal
from fleetportal.kit.news import LISTS

Look = Callable[[Principal, Set[str]], Iterable[object]]  # (principal, keys) -> those visible
MOST = 64  # topics of one page

_looks: dict[str, list[Look]] = defaultdict(list)


def hears(kind: str, look: Look) -> None:
    """`look` says which keys of "<kind>:<key>" a principal may hear of. Several add up."""
    _looks[kind].append(look)


def by_rows(rows: Callable[[Principal], Any]) -> Look:
    """A look over a query set of rows with UUID keys: `rows(principal)` are the visible ones."""

    def look(principal: Principal, keys: Set[str]) -> Iterable[object]:
        wanted = [key for key in keys if _is_uuid(key)]
        return rows(principal).filter(pk__in=wanted).values_list("pk", flat=True) if wanted else ()

    return look


def audible(principal: Principal, topics: Iterable[str]) -> frozenset[str]:
    """Those of `topics` that the principal may hear, at most one query for each kind."""
    kinds: dict[str, set[str]] = defaultdict(set)
    heard: set[str] = set()
    for topic in topics:
        kind, colon, key = topic.partition(":")
        if not colon and topic in LISTS:
            heard.add(topic)
        elif colon:
            kinds[kind].add(key)
    for kind, keys in kinds.items():
        for look in _looks.get(kind, ()):
            heard.update(f"{kind}:{key}" for key in look(principal, keys))
    return frozenset(heard)


def _is_uuid(key: str) -> bool:
    try:
        return str(UUID(key)) == key
    except ValueError:
        return False
