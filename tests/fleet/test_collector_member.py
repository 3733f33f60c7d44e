"""One member by itself: audits, companions, and when it calls itself alive."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from clusters.collector.cache import Cache
from clusters.collector.member import Member
from clusters.engine.health import Contact
from clusters.gateway import Connection
from clusters.gateway.stream import StreamClient
from tests.fleet.collecting import DEVICES, LISTS, asked
from tests.simfleet import SimCluster, SimFleet

SERVED = [name for name in LISTS if name not in DEVICES]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    started = SimFleet.start(tmp_path_factory.mktemp("member"), actors=False)
    yield started
    started.stop()


class Heard:
    """What a member says, and a place to wait for it."""

    def __init__(self, cluster: SimCluster, **more: Any) -> None:
        self.contacts: list[Contact] = []
        self.flushed = 0
        connection = Connection(
            cluster_id=cluster.name,
            credential_version=1,
            server=cluster.server,
            ca_pem=cluster.ca_pem,
            token=cluster.token,
            allow_loopback=True,
        )
        client = StreamClient(connection)
        self.member = Member(client, cluster.uid, Cache(), self.report, self.flush, **more)

    async def report(self, contact: Contact, reason: str) -> None:
        self.contacts.append(contact)

    async def flush(self) -> None:
        self.flushed += 1

    async def live(self, seconds: float) -> bool:
        """Run for so long; was it alive at the end?"""
        task = asyncio.create_task(self.member.run())
        await asyncio.sleep(seconds)
        alive = self.member.alive and not task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return alive


def test_audits_list_each_kind_in_turn_and_not_all_at_once(quiet: SimFleet) -> None:
    cluster = quiet.add_cluster(bare=True)
    heard = Heard(cluster, audit=4.0)
    assert asyncio.run(heard.live(10.0))
    times: dict[str, list[float]] = defaultdict(list)
    for entry in asked(cluster, "list"):
        times[entry["resource"]].append(entry["mono"])
    for resource in SERVED:
        assert 3 <= len(times[resource]) <= 5, (resource, times[resource])
    first_audits = [times[resource][1] for resource in SERVED]
    assert max(first_audits) - min(first_audits) > 0.2
    assert set(heard.contacts) == {Contact.OK}


def test_a_companion_that_fails_ends_only_itself(quiet: SimFleet) -> None:
    cluster = quiet.add_cluster(bare=True)
    ran: list[str] = []

    async def good(client: StreamClient) -> None:
        ran.append((await client.get_raw("/version")).body.decode())

    async def bad(client: StreamClient) -> None:
        await client.get_raw("/api/v1/namespaces/none/pods/none")

    heard = Heard(cluster, companions=[bad, good])
    assert asyncio.run(heard.live(2.0))
    assert len(ran) == 1
    assert heard.contacts == [Contact.OK]


def test_a_cluster_that_asks_for_patience_gets_it(quiet: SimFleet) -> None:
    cluster = quiet.add_cluster(bare=True)
    cluster.fault("status", code=429, retry_after=4)
    heard = Heard(cluster)
    assert not asyncio.run(heard.live(7.0))
    assert len(cluster.log()) == 2
    assert set(heard.contacts) == {Contact.PARTIAL}


def test_a_cluster_that_was_away_for_a_moment_is_not_listed_again(quiet: SimFleet) -> None:
    cluster = quiet.add_cluster(bare=True)
    heard = Heard(cluster)

    async def story() -> bool:
        living = asyncio.create_task(heard.live(9.0))
        await asyncio.sleep(1.5)
        await asyncio.to_thread(cluster.hang_up)
        return await living

    assert asyncio.run(story())
    assert len(asked(cluster, "list")) == len(LISTS)
