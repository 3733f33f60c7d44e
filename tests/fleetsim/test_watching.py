"""What a client that goes on from the last version has heard of: everything, whatever the moment at
which things change and watches end."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.http.messages import Request
from fleetsim.http.targets import parse
from fleetsim.http.watching import Watch
from fleetsim.store import ClusterStore, Fleet
from tests.fleetsim.bodies import CONFIGMAPS, config_map

WRITES = st.lists(st.integers(0, 3), max_size=6)


class Client:
    """Watches ConfigMaps. While the n-th piece of a watch is on its way, `writes[n]` are made."""

    def __init__(self, store: ClusterStore) -> None:
        self.store = store
        self.version = str(store.rv)
        self.heard: set[str] = set()
        self.made: set[str] = set()
        self._writes: Iterator[int] = iter(())

    def write(self) -> None:
        name = f"c{len(self.made)}"
        self.store.create(config_map(name))
        self.made.add(name)

    async def watch(self, writes: list[int], *, seconds: int = 0, pause: float = 9.0) -> None:
        """One watch from the last version to its end."""
        self._writes = iter(writes)
        query = {"watch": "1", "resourceVersion": self.version, "timeoutSeconds": str(seconds)}
        query["allowWatchBookmarks"] = "true"
        request = Request("GET", CONFIGMAPS, query, {}, self._receive, self._send, {})
        target = parse("GET", CONFIGMAPS, watching=True)
        await Watch(self.store, self.store.kind("ConfigMap"), target, request, pause).run()

    async def _receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("nobody leaves")

    async def _send(self, message: dict[str, Any]) -> None:
        for line in message.get("body", b"").splitlines():
            event = json.loads(line)
            meta = event["object"]["metadata"]
            self.version = meta["resourceVersion"]
            if event["type"] == "BOOKMARK":
                unheard = self.made - self.heard
                assert not unheard, f"bookmark {self.version} passes over {unheard}"
            else:
                self.heard.add(meta["name"])
        for _ in range(next(self._writes, 0)):
            self.write()


def client() -> Client:
    return Client(Fleet(seed=1, speed=1).add_cluster("here"))


@given(st.lists(WRITES, max_size=4))
@settings(max_examples=25, deadline=None)
def test_watches_that_end_while_things_change_pass_over_nothing(watches: list[list[int]]) -> None:
    mine = client()

    async def story() -> None:
        for writes in watches:
            await mine.watch(writes)
        await mine.watch([])

    asyncio.run(story())
    assert mine.heard == mine.made


def test_a_bookmark_does_not_overtake_a_change_of_the_same_moment() -> None:
    mine = client()

    async def story() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, time.sleep, 0.06)  # busy: the pause ends with the change's moment
        loop.call_later(0.04, mine.write)
        await mine.watch([], seconds=1, pause=0.02)

    asyncio.run(story())
    assert mine.heard == mine.made == {"c0"}
