"""Tickets: what lets a page into the stream, for a minute and with this browser's session alone.

A ticket is signed, not secret: it says who, of which session (as a digest) and which topics. The
stream wants the session's cookie as well, so that a ticket out of a log opens nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable
from dataclasses import dataclass

from django.core import signing

from fleetportal.accounts.principal import Principal
from fleetportal.live.audience import MOST

SALT = "fleetportal.live"
GOOD_FOR = 60  # seconds
FRESH = 4.0  # seconds; whoever comes later is told nothing before their access was asked again


class BadTicket(Exception):
    """Forged, expired, or of another session."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """`session`: the key itself, from the cookie; the ticket holds only its digest. `fresh`: what
    it says of its holder's access was true a moment ago.
    """

    user: int
    session: str
    access: str  # the permission class when it was issued
    topics: frozenset[str]
    fresh: bool = True


def issue(principal: Principal, session: str, topics: Iterable[str]) -> str:
    """`topics` have been checked (audience.audible)."""
    body = {
        "u": principal.user.pk,
        "s": _digest(session),
        "a": principal.permission_class,
        "t": sorted(topics),
        "i": time.time(),
    }
    return signing.dumps(body, salt=SALT, compress=True)


def read(text: str, session: str) -> Ticket:
    """Raises BadTicket."""
    try:
        body = signing.loads(text, salt=SALT, max_age=GOOD_FOR)
    except signing.BadSignature as error:
        raise BadTicket from error
    if not session or not hmac.compare_digest(body["s"], _digest(session)):
        raise BadTicket
    fresh = time.time() - body["i"] < FRESH
    return Ticket(body["u"], session, body["a"], frozenset(body["t"][:MOST]), fresh)


def _digest(session: str) -> str:
    return hashlib.sha256(f"{SALT}:{session}".encode()).hexdigest()[:32]
