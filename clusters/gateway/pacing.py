"""How often and how many at once: what keeps one cluster from being hammered, and all from waiting.

Time is the event loop's. Nothing here knows what is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SPACING = 1.0  # seconds between two requests to a cluster that failed lately
SLOW_FOR = 60.0  # seconds that a failure is remembered
FLOOD = 8 << 20  # bytes a second that the watches of one cluster may bring
MOST_HOLD = 300.0  # seconds; a cluster may not park us for longer


class Pace:
    """A healthy cluster is asked at once; one that failed lately once a second, one after another.

    `hold` is for Retry-After: nothing is sent before it has passed.
    """

    def __init__(self) -> None:
        self._slow_until = 0.0
        self._next = 0.0

    @property
    def slow(self) -> bool:
        """Did the cluster fail within SLOW_FOR seconds?"""
        return asyncio.get_running_loop().time() < self._slow_until

    def failed(self) -> None:
        """Something went wrong there: slowly, for a while."""
        now = asyncio.get_running_loop().time()
        self._slow_until = now + SLOW_FOR
        self._next = max(self._next, now + SPACING)

    def hold(self, seconds: float) -> None:
        """Nothing more for so long, since the cluster asked for it."""
        self.failed()
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now + min(seconds, MOST_HOLD))

    async def turn(self) -> None:
        """Wait until the next request may be sent."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        if now < self._slow_until:
            self._next = at + SPACING
        if at > now:
            await asyncio.sleep(at - now)


class Intake:
    """Lets FLOOD bytes a second through; beyond that the sender has to wait."""

    def __init__(self) -> None:
        self._since = 0.0
        self._taken = 0

    async def take(self, size: int) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._since > 1:
            self._since, self._taken = now, 0
        self._taken += size
        if self._taken > FLOOD:
            await asyncio.sleep(self._since + 1 - now)


class Slots:
    """So many at once over all clusters. A slot comes back when its holder is done, or after
    `budget` seconds: clusters that hang cannot keep the others waiting.
    """

    def __init__(self, count: int, budget: float) -> None:
        self._free = asyncio.Semaphore(count)
        self._budget = budget

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        await self._free.acquire()
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                self._free.release()

        timer = asyncio.get_running_loop().call_later(self._budget, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()
