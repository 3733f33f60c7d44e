"""Whether those who listen still may: sessions, people, roles and objects, a few queries for all.

Runs in one thread beside the event loop; the loop itself never asks the database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import TypeVar

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connections
from django.utils import timezone

from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from fleetportal.live.audience import audible
from fleetportal.live.tickets import Ticket

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)  # whatever names a listener
CHUNK = 400  # keys in one query


def revoked(tickets: Mapping[K, Ticket]) -> set[K]:
    """The keys of those that may listen no longer."""
    try:
        return _revoked(tickets)
    finally:
        connections.close_all()  # this thread asks six times a minute: it keeps nothing open


def _revoked(tickets: Mapping[K, Ticket]) -> set[K]:
    people = _people({ticket.user for ticket in tickets.values()})
    access = {pk: principal.permission_class for pk, principal in people.items()}
    owners = _owners({ticket.session for ticket in tickets.values()}, people)
    lost: set[K] = set()
    classes: dict[Hashable, list[K]] = defaultdict(list)
    for key, ticket in tickets.items():
        held = owners.get(ticket.session) == ticket.user
        if held and access.get(ticket.user) == ticket.access:
            classes[ticket.access].append(key)
        else:
            lost.add(key)
    for keys in classes.values():
        topics = frozenset().union(*(tickets[key].topics for key in keys))
        heard = audible(people[tickets[keys[0]].user], topics)
        lost.update(key for key in keys if not tickets[key].topics <= heard)
    return lost


def _people(ids: Iterable[int]) -> dict[int, Principal]:
    """Active users, each with their memberships read."""
    found: dict[int, Principal] = {}
    for some in _chunks(sorted(ids)):
        users = User.objects.filter(pk__in=some, is_active=True)
        found.update((one.user.pk, one) for one in Principal.of_many(users))
    return found


def _owners(keys: Iterable[str], people: Mapping[int, Principal]) -> dict[str, int]:
    """Session key -> user, for sessions that still hold (not ended, password unchanged)."""
    hashes = {pk: one.user.get_session_auth_hash() for pk, one in people.items()}
    found = {}
    for some in _chunks(sorted(keys)):
        rows = Session.objects.filter(session_key__in=some, expire_date__gt=timezone.now())
        for key, data in rows.values_list("session_key", "session_data"):
            user, password = _claim(data)
            if user in hashes and hashes[user] == password:
                found[key] = user
    return found


@lru_cache(maxsize=4096)
def _claim(data: str) -> tuple[int, str]:
    """(user, hash of their password) that a session's data was made for. The same text, which is
    signed, always says the same.
    """
    found = SessionStore().decode(data)
    return int(found.get(SESSION_KEY, 0)), str(found.get(HASH_SESSION_KEY, ""))


def _chunks(rows: Sequence[T]) -> Iterator[list[T]]:
    left = iter(rows)
    while some := list(islice(left, CHUNK)):
        yield some
