"""One subscription to the news for each web process, and the pages that listen to it.

What waits for a page is a set of names: a slow one costs no memory beyond it, and where even the
names grow too many it is told that everything changed. No database here: access is asked again in
a thread (live.access), and whoever lost it is sent away.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from django.conf import settings

from fleetportal.kit import news
from fleetportal.live.access import revoked
from fleetportal.live.client import Client
from fleetportal.live.tickets import Ticket

log = logging.getLogger(__name__)

MOST_STREAMS = 20  # of one person in one process
LOOK_AGAIN = 5.0  # seconds between two looks at who still may listen; at most 10 with the asking
SPACING = 0.5  # seconds between two tellings of one name: a busy fleet is told twice a second
RETRY = 1.0  # seconds until the next try to reach Redis
ASK = 5.0  # seconds of silence after which Redis is asked whether it is there; as long to answer
ANSWER = 1.0  # seconds for a version
TEND = 1.0  # seconds between two looks at who is quiet


Check = Callable[[Mapping[Client, Ticket]], set[Client]]


class Hub:
    """Starts with its first client and lives in that event loop."""

    def __init__(
        self, *, check: Check = revoked, look_again: float = LOOK_AGAIN, ask: float = ASK
    ) -> None:
        """`check`: which tickets have lost their access; asked every `look_again` seconds."""
        self._check, self._look_again, self._ask = check, look_again, ask
        self.clients: set[Client] = set()
        self.by_topic: dict[str, set[Client]] = defaultdict(set)
        self.by_session: dict[str, set[Client]] = defaultdict(set)
        self.people: Counter[int] = Counter()
        self.hearing: bool | None = None  # Redis is subscribed; None: it has not been reached yet
        self.closing = False
        self.told: dict[str, float] = {}  # name -> when it was told last (loop time)
        self.later: set[str] = set()
        self._redis: Any = None
        self._versions: dict[tuple[str, ...], asyncio.Future[str | None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: ThreadPoolExecutor | None = None

    # ---- pages come and go ---------------------------------------------------------------------

    def join(self, ticket: Ticket) -> Client | None:
        """None: this person has as many streams as one may."""
        self._start()
        if self.people[ticket.user] >= MOST_STREAMS:
            return None
        client = Client(ticket, time.monotonic())
        self.clients.add(client)
        self.by_session[ticket.session].add(client)
        self.people[ticket.user] += 1
        for topic in ticket.topics:
            self.by_topic[topic].add(client)
        if self.hearing is not None:
            client.say("hearing" if self.hearing else "cut")
        return client

    def leave(self, client: Client) -> None:
        if client not in self.clients:
            return
        self.clients.discard(client)
        self.people -= Counter([client.ticket.user])  # a Counter's minus drops zeros
        self.by_session[client.ticket.session].discard(client)
        if not self.by_session[client.ticket.session]:
            del self.by_session[client.ticket.session]
        for topic in client.ticket.topics:
            listeners = self.by_topic[topic]
            listeners.discard(client)
            if not listeners:
                del self.by_topic[topic]
                self.told.pop(topic, None)

    def proven(self, session: str) -> Ticket | None:
        """A listener of this session whose access was asked within the last seconds."""
        found = self.by_session.get(session, ())
        return next((one.ticket for one in found if one.proven and not one.over), None)

    def close(self) -> None:
        """The process is about to end: pages come back to another, or to this one's successor."""
        self.closing = True
        for client in self.clients:
            client.end("restart")
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    # ---- news ----------------------------------------------------------------------------------

    def tell(self, names: list[str]) -> None:
        """To every page that asked for one of the names; a name told just now waits a little."""
        assert self._loop is not None  # noqa: S101 - only a started hub hears
        now = self._loop.time()
        ready: dict[Client, set[str]] = defaultdict(set)
        for name in names:
            listeners = self.by_topic.get(name)
            if not listeners or name in self.later:
                continue
            wait = self.told.get(name, -SPACING) + SPACING - now
            if wait > 0:
                self.later.add(name)
                self._loop.call_later(wait, self._tell_later, name)
                continue
            self.told[name] = now
            for client in listeners:
                ready[client].add(name)
        for client, heard in ready.items():
            client.hear(heard)

    def _tell_later(self, name: str) -> None:
        self.later.discard(name)
        self.told.pop(name, None)
        self.tell([name])

    def _say(self, word: str) -> None:
        for client in self.clients:
            client.say(word)

    # ---- the three things that run ---------------------------------------------------------------

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop and self._tasks:
            return
        self._loop, self.closing = loop, False
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="live-access")
        self._tasks = [
            loop.create_task(one) for one in (self._listen(), self._look(), self._tend())
        ]

    async def _listen(self) -> None:
        """Subscribed as long as Redis answers; pages are told of a cut and of its end."""
        while not self.closing:
            try:
                await self._subscription()
            except news.failures() as error:
                log.warning("live.cut", extra={"error": str(error)})
            except Exception:  # whatever it was, the pages' news must come back
                log.exception("live.cut")
            self._redis = None
            self._forget_versions()
            if self.hearing is not False:
                self.hearing = False
                self._say("cut")
            await asyncio.sleep(RETRY * random.uniform(0.5, 1.5))  # noqa: S311 - spreads tries

    async def _subscription(self) -> None:
        import redis.asyncio  # late: only a process whose pages listen needs it

        client: Any = redis.asyncio.Redis.from_url(
            settings.NEWS_URL, socket_connect_timeout=3, socket_keepalive=True
        )
        async with client, client.pubsub() as line:
            self._redis = client
            await line.subscribe(news.channel())
            asked = False
            while not self.closing:
                message = await line.get_message(timeout=self._ask)
                if message is None:
                    if asked:
                        raise redis.TimeoutError(f"Nothing for {2 * self._ask:g} s.")
                    await line.ping("there?")  # its answer is a message
                elif message["type"] == "subscribe":
                    self._back()
                elif message["type"] == "message":
                    self._heard(message["data"])
                asked = message is None

    def _back(self) -> None:
        self.hearing = True
        for client in self.clients:
            client.everything = True  # what was missed has no name
            client.say("hearing")

    def _heard(self, data: bytes) -> None:
        with suppress(ValueError):
            names = [str(name) for name in json.loads(data)]
            self._forget_versions()
            self.tell(names)

    async def version(self, topics: tuple[str, ...]) -> str | None:
        """As kit.news.versions, remembered until the next news; None: ask there.

        Those who want it at once share one question: each would open a connection of its own.
        """
        if not self.hearing or self._redis is None:
            return None
        known = self._versions.get(topics)
        if known is None:
            known = asyncio.ensure_future(self._ask_version(topics))
            self._versions[topics] = known
        return await asyncio.shield(known)

    async def _ask_version(self, topics: tuple[str, ...]) -> str | None:
        found = None
        try:
            async with asyncio.timeout(ANSWER):
                found = news.joined(await self._redis.mget(news.keys(topics)))
        except news.failures():
            log.warning("live.versions", exc_info=True)
        if found is None:
            self._versions.pop(topics, None)
        return found

    def _forget_versions(self) -> None:
        """What was read before the latest news is not given to whoever asks after it."""
        self._versions.clear()

    async def _look(self) -> None:
        """Send away who may listen no longer, and everybody when nobody can tell."""
        loop = asyncio.get_running_loop()
        while not self.closing:
            await asyncio.sleep(self._look_again)
            asked = {client: client.ticket for client in self.clients}
            if not asked:
                continue
            try:
                lost = await loop.run_in_executor(self._thread, self._check, asked)
            except Exception:  # without an answer nobody is known to be let in
                log.exception("live.access")
                lost = set(asked)
            for client in asked:
                client.prove(client not in lost)
            for client in lost:
                client.end("access")

    async def _tend(self) -> None:
        while not self.closing:
            await asyncio.sleep(TEND)
            now = time.monotonic()
            for client in self.clients:
                client.tend(now)


hub = Hub()
