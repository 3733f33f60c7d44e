"""One open page as the hub knows it: what it was not told yet, and how long it has been quiet.

Times are of time.monotonic. Pages have no timers of their own: five hundred of them would cost more
with every nudge than all that is told.
"""

from __future__ import annotations

import asyncio
import json
from functools import lru_cache
from math import inf

from fleetportal.live.tickets import Ticket

MOST_NAMES = 40  # that wait for one page; beyond, it hears that everything changed
PING = 15.0  # seconds between two signs of life
SEND_WITHIN = 20.0  # seconds; a page that takes nothing for so long is gone
LASTS = 5 * 60.0  # seconds; then the page asks for another ticket, and so proves its session


class Client:
    """`pending`: names it has not been sent yet; `said`: other words, in order."""

    def __init__(self, ticket: Ticket, now: float) -> None:
        self.ticket = ticket
        self.pending: set[str] = set()
        self.everything = False
        self.said: list[str] = []
        self.over = ""  # why it was ended, for the page
        self.woken = asyncio.Event()
        self.proven = False  # its access was asked since it came
        self.trusted = ticket.fresh  # may be told names
        self.told_at = now  # when it was sent something last
        self.sending = False  # it has not taken that yet
        self.patience = asyncio.timeout(None)  # around all that is sent
        self._ends_at = now + LASTS
        self._pinged = False

    def hear(self, names: set[str]) -> None:
        self.pending |= names
        if len(self.pending) > MOST_NAMES:
            self.pending.clear()
            self.everything = True
        self.woken.set()

    def say(self, word: str) -> None:
        if word not in self.said:
            self.said.append(word)
        self.woken.set()

    def end(self, why: str) -> None:
        self.over = self.over or why
        self.woken.set()

    def tend(self, now: float) -> None:
        """Every second or so: a sign of life where it was quiet, an end for one that has listened
        for long enough or takes nothing.
        """
        quiet = now - self.told_at
        if now > self._ends_at:
            self.end("again")
        if self.sending and quiet > SEND_WITHIN:
            self.patience.reschedule(-inf)
        elif not self.sending and quiet > PING:
            self._pinged = True
            self.woken.set()

    def prove(self, held: bool) -> None:
        """Its access was asked: what was kept back until then may be told."""
        self.proven = held
        if held and not self.trusted:
            self.trusted = True
            self.woken.set()

    def _names(self) -> bytes:
        """What changed, once it may be told."""
        if not self.trusted:
            return b""
        told = b""
        if self.everything:
            told = _event("everything")
        elif self.pending:
            told = _changed(frozenset(self.pending))
        self.pending.clear()
        self.everything = False
        return told

    def take(self) -> bytes:
        """What to send now, as server-sent events; may be nothing."""
        parts = [_event(word) for word in self.said]
        self.said.clear()
        if names := self._names():
            parts.append(names)
        elif self._pinged:
            parts.append(b": ping\n\n")
        self._pinged = False
        self.woken.clear()
        if self.over:
            parts.append(_event("over", self.over))
        return b"".join(parts)


def _event(word: str, data: str = "") -> bytes:
    return f"event: {word}\ndata: {data}\n\n".encode()


@lru_cache(maxsize=64)
def _changed(names: frozenset[str]) -> bytes:
    """Most pages that hear of a change hear of the same names."""
    return _event("changed", json.dumps(sorted(names)))
