"""The collector's lists and watches against the simulated fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

import pytest

from clusters.gateway import Connection, kinds
from clusters.gateway.decoding import LineBuffer, Object
from clusters.gateway.errors import Answer, Garbage, Gone, Unauthorized, Unreachable
from clusters.gateway.stream import StreamClient
from clusters.gateway.typed import DICTS, Event
from tests.fleet.raw_server import connection_to as raw_connection
from tests.fleet.raw_server import raw_server, reply
from tests.simfleet import SimCluster, SimFleet

T = TypeVar("T")
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    started = SimFleet.start(tmp_path_factory.mktemp("stream"), actors=False)
    yield started
    started.stop()


@pytest.fixture
def cluster(fleet: SimFleet) -> SimCluster:
    return fleet.add_cluster(bare=True)


def client_of(cluster: SimCluster, **changes: Any) -> StreamClient:
    values: dict[str, Any] = {
        "cluster_id": cluster.name,
        "credential_version": 1,
        "server": cluster.server,
        "ca_pem": cluster.ca_pem,
        "token": cluster.token,
        "allow_loopback": True,
    }
    return StreamClient(Connection(**(values | changes)))


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 30))


def add_pod(cluster: SimCluster, name: str) -> None:
    meta = {"name": name, "namespace": "default"}
    spec = {"containers": [{"name": "main", "image": "x"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    assert cluster.request("POST", PODS, body)[0] == 201


def test_a_clock_that_differs_is_heard_and_its_seconds_are_not_taken_for_moves() -> None:
    client = StreamClient(raw_connection(1))

    def heard(seconds: float) -> float:
        said = datetime.now(UTC) + timedelta(seconds=seconds)
        client.hear_clock(Answer(200, {"date": format_datetime(said)}, b""))
        return client.ahead

    assert heard(4) == 0.0
    ahead = heard(-3600)
    assert ahead == pytest.approx(-3600, abs=2)
    assert heard(-3597) == heard(-3603) == ahead
    for nonsense in ("", "soon", "Fri, 31 Dec 9999 23:59:59 -2359"):
        client.hear_clock(Answer(200, {"date": nonsense}, b""))
        assert client.ahead == ahead
    assert heard(1) == 0.0, "it was put right"


def test_a_list_reads_all_pages_on_one_connection(cluster: SimCluster) -> None:
    for number in range(5):
        add_pod(cluster, f"p{number}")

    async def work() -> None:
        client = client_of(cluster)
        listing = await client.list_objects(kinds.POD, DICTS, limit=2)
        again = await client.list_objects(kinds.POD, DICTS, namespace="default")
        client.close()
        assert [item["metadata"]["name"] for item in listing.items] == [f"p{n}" for n in range(5)]
        assert len(again.items) == 5
        assert client.ahead == 0.0, "the cluster's clock is ours"

    run(work())


def test_a_watch_hears_a_change_at_once(cluster: SimCluster) -> None:
    async def work() -> list[Event[Object]]:
        client = client_of(cluster)
        listing = await client.list_objects(kinds.POD, DICTS)
        seen = []
        async with aclosing(
            client.watch_objects(kinds.POD, DICTS, listing.resource_version)
        ) as events:
            await asyncio.to_thread(add_pod, cluster, "new")
            async for event in events:
                seen.append(event)
                if event.type == "ADDED":
                    break
        client.close()
        return seen

    assert run(work())[-1].key == ("default", "new")


def test_a_watch_ends_when_the_server_says_so(cluster: SimCluster) -> None:
    async def work() -> list[str]:
        client = client_of(cluster)
        version = (await client.list_objects(kinds.POD, DICTS)).resource_version
        events = client.watch_objects(kinds.POD, DICTS, version, timeout_seconds=1)
        return [event.type async for event in events]

    assert set(run(work())) <= {"BOOKMARK"}


def test_an_old_version_is_gone(cluster: SimCluster) -> None:
    async def work() -> None:
        client = client_of(cluster)
        version = (await client.list_objects(kinds.POD, DICTS)).resource_version
        await asyncio.to_thread(add_pod, cluster, "new")
        await asyncio.to_thread(cluster.compact)
        async for _ in client.watch_objects(kinds.POD, DICTS, version, timeout_seconds=2):
            pass

    with pytest.raises(Gone):
        run(work())


def test_silence_ends_a_watch(cluster: SimCluster) -> None:
    cluster.fault("watch_stall")

    async def work() -> None:
        client = client_of(cluster)
        version = (await client.list_objects(kinds.POD, DICTS)).resource_version
        async for _ in client.watch_objects(kinds.POD, DICTS, version, silence=0.3):
            pass

    with pytest.raises(Unreachable):
        run(work())


def test_a_wrong_token_is_unauthorized(cluster: SimCluster) -> None:
    with pytest.raises(Unauthorized):
        run(client_of(cluster, token="wrong").list_objects(kinds.POD, DICTS))


def test_a_kept_connection_that_the_server_closed_is_opened_anew() -> None:
    with raw_server(lambda _: iter([reply()])) as server:  # closes after each answer

        async def work() -> None:
            client = StreamClient(raw_connection(server.port))
            for _ in range(3):
                await client.get_raw("/version")
                await asyncio.sleep(0.05)  # time for the close to arrive
            client.close()

        run(work())
    assert server.connections == 3


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n",
        b"-1\r\n",
        b"fffffffff\r\n",
        b"\r\n",
        b"5;x=" + b"y" * 9_000 + b"\r\n",
    ],
)
def test_chunks_that_lie_are_garbage(body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with raw_server(lambda _: iter([head + body])) as server, pytest.raises(Garbage):
        run(StreamClient(raw_connection(server.port)).get_raw("/version"))


def test_a_chunked_body_may_come_in_any_pieces() -> None:
    whole = (
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'
    )

    def drip(_: str) -> Iterator[bytes]:
        for number in range(len(whole)):
            yield whole[number : number + 1]

    with raw_server(drip) as server:
        answer = run(StreamClient(raw_connection(server.port)).get_raw("/version"))
    assert answer.body == b'{"a":1}'


def test_an_event_without_an_end_is_garbage() -> None:
    buffer = LineBuffer()
    with pytest.raises(Garbage):
        for _ in range(40):
            buffer.feed(b"x" * (1 << 20))


def test_many_watches_share_one_process(cluster: SimCluster) -> None:
    async def one(client: StreamClient, version: str) -> str:
        async with aclosing(client.watch_objects(kinds.POD, DICTS, version)) as events:
            async for event in events:
                if event.type == "ADDED":
                    return event.key[1]
        return ""

    async def work() -> list[str]:
        client = client_of(cluster)
        version = (await client.list_objects(kinds.POD, DICTS)).resource_version
        watches = [asyncio.create_task(one(client, version)) for _ in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(add_pod, cluster, "new")
        return await asyncio.gather(*watches)

    assert run(work()) == ["new"] * 50
