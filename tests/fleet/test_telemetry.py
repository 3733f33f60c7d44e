"""Metrics from a cluster to rows: by the collector itself, and the past by a Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest

from clusters.engine.shapes import Pod
from clusters.engine.telemetry.chunks import UNKNOWN, decode
from clusters.engine.telemetry.prometheus import Answer
from clusters.engine.telemetry.types import GpuSample, Scrape, Tick
from clusters.gateway.errors import Garbage
from clusters.gateway.stream import StreamClient
from clusters.models import Cluster, GpuHour, HeatRow, ServingPack, ServingTick, Telemetry, Watch
from clusters.selectors.metrics import MetricsSettings, metrics_of
from clusters.selectors.telemetry import measured, pack_tick, ticks
from clusters.services.telemetry_backfill import REACH
from clusters.telemetry.asking import Prometheus, prometheus_of
from clusters.telemetry.backfill import Backfill
from clusters.telemetry.direct import DirectRoad
from clusters.telemetry.scraper import PERIOD, Scraper
from clusters.telemetry.storing import Storer
from tests.clusters.rows import make_cluster
from tests.fleet.harness import Portal, until
from tests.fleet.metered import SUBJECT, asking, pods_of, serving_cluster, targets_of
from tests.simfleet import SimCluster, SimFleet

HOUR = 3600
TOKEN = 5


@pytest.fixture(scope="module")
def cluster(sim: SimFleet) -> Iterator[SimCluster]:
    """Its engine counts as a week old, with clients all the time."""
    made = serving_cluster(sim, past=900)
    yield made
    sim.control("DELETE", f"/_sim/clusters/{made.name}")


@pytest.fixture
def row(transactional_db: None) -> Cluster:
    made = make_cluster("past")
    Watch.objects.create(cluster=made, lease_token=TOKEN)
    return made


def ticks_of(row: Cluster, resolution: int) -> dict[int, Tick]:
    found = ticks(
        clusters=[row.pk],
        subjects=[SUBJECT],
        resolution=resolution,
        start=_at(0),
        end=_at(time.time()),
    )
    return {int(one.at.timestamp()): one.tick for one in found}


def read_back(cluster: SimCluster, row: Cluster, hours: int, token: int = TOKEN) -> int:
    """Read the last `hours` of the week back, those that are the furthest away. The oldest hour."""
    began = time.time()
    oldest = int((began - REACH.total_seconds()) // HOUR * HOUR)
    Telemetry.objects.update_or_create(
        cluster=row,
        defaults={
            "backfill_from": datetime.fromtimestamp(began, UTC),
            "backfilled_to": datetime.fromtimestamp(oldest + hours * HOUR, UTC),
        },
    )
    with_storer(cluster, lambda client, storer: _past(client, storer, row.pk, token))
    return oldest


async def _past(
    client: StreamClient, storer: Storer, pk: UUID, token: int, reach: timedelta = REACH
) -> None:
    metrics = MetricsSettings(found="monitoring/prometheus:9090")
    prometheus = prometheus_of(metrics, client, "")
    assert prometheus is not None
    pods = await pods_of(client)
    turns = asyncio.Semaphore(1)
    past = Backfill(pk, token, prometheus, metrics, storer, lambda: pods, turns, reach=reach)
    await past.run()


def with_storer(
    cluster: SimCluster, work: Callable[[StreamClient, Storer], Awaitable[None]]
) -> None:
    async def run(client: StreamClient) -> None:
        storer = Storer()
        storing = asyncio.create_task(storer.run())
        try:
            await work(client, storer)
        finally:
            storing.cancel()
            await asyncio.gather(storing, return_exceptions=True)

    asking(cluster, run)


def test_the_past_is_read_back_in_minutes_and_hours(cluster: SimCluster, row: Cluster) -> None:
    oldest = read_back(cluster, row, 2)
    minutes, hours = ticks_of(row, 60), ticks_of(row, HOUR)
    assert min(minutes) >= oldest and max(minutes) == oldest + 2 * HOUR - 60
    assert len(minutes) >= 60
    assert {tick.road for tick in minutes.values()} == {"backfill"}
    assert all(tick.seconds == 60 and not tick.pods for tick in minutes.values())
    whole = [tick for at, tick in minutes.items() if at >= oldest + HOUR]
    assert hours[oldest + HOUR].counters["requests"] == sum(t.counters["requests"] for t in whole)
    assert hours[oldest + HOUR].counters["requests"] > 0
    telemetry = Telemetry.objects.get(cluster=row)
    assert telemetry.backfilled_to == datetime.fromtimestamp(oldest, UTC)


def test_hours_of_cards_are_read_back_every_five_minutes(cluster: SimCluster, row: Cluster) -> None:
    oldest = read_back(cluster, row, 2)  # of the first hour the simulator knows a part only
    hour = GpuHour.objects.filter(cluster=row).latest("hour")
    assert hour.backfilled and hour.hour.timestamp() == oldest + HOUR
    table = decode(bytes(hour.packed))
    assert len(table.cards) == 4
    assert (table.util != UNKNOWN).all()
    assert (hour.minutes, hour.gpu, hour.measured) == (60, 240, 240)
    assert 0 < hour.busy < 240
    busiest = table.util.max(axis=1)
    assert sorted(busiest)[:3] == [0, 0, 0] and busiest.max() > 0  # one card serves


def test_cards_that_idle_now_are_known_to_have_idled_for_as_long_as_the_past_tells(
    cluster: SimCluster, row: Cluster
) -> None:
    second = read_back(cluster, row, 2) + HOUR
    table = decode(bytes(GpuHour.objects.get(cluster=row, hour__gte=_at(second)).packed))
    now = second + HOUR + 20.0
    cards = [
        GpuSample("renamed", index, uuid, "nvidia", "L4", util=0.0, idle_since=now)
        for _, index, uuid in table.cards
    ]
    Telemetry.objects.filter(cluster=row).update(
        gpus_at=_at(now), gpus_packed=msgspec.msgpack.encode(cards)
    )
    read_back(cluster, row, 2)
    found = measured([row.pk])[row.pk].gpus
    assert found is not None and len(found) == 4
    for gpu, minutes in zip(found, table.util, strict=True):
        busy = np.flatnonzero((minutes >= 5) & (minutes != UNKNOWN))
        if len(busy):
            assert gpu.idle_since == (second + 60 * (busy[-1] + 1) if busy[-1] < 59 else now)
        else:
            assert gpu.idle_since is not None and gpu.idle_since <= second


def test_what_is_older_than_the_minutes_is_read_back_by_the_hour(
    cluster: SimCluster, row: Cluster
) -> None:
    """As if it had begun in the time to come, so that the hours by the minute are over now."""
    first = read_back(cluster, row, 8) + HOUR  # of the first hour the simulator knows a part only
    minutes, whole = ticks_of(row, HOUR), {h.hour: h for h in GpuHour.objects.all()}
    ServingPack.objects.all().delete()
    ServingTick.objects.all().delete()
    GpuHour.objects.all().delete()
    beyond = first + 7 * HOUR  # hours before are beyond the minutes
    Telemetry.objects.filter(cluster=row).update(
        backfill_from=_at(beyond) + REACH, backfilled_to=_at(beyond)
    )
    reach = REACH + timedelta(hours=7)  # a window of six hours, and one of one
    with_storer(cluster, lambda client, storer: _past(client, storer, row.pk, TOKEN, reach))
    hours = ticks_of(row, HOUR)
    assert ticks_of(row, 60) == {}
    assert set(hours) == set(range(first, beyond, HOUR))
    for at, tick in hours.items():
        assert tick.counters == minutes[at].counters
        assert tick.histograms.keys() == minutes[at].histograms.keys()
        assert tick.seconds == HOUR
    assert Telemetry.objects.get(cluster=row).backfilled_to == _at(first)
    sums = list(GpuHour.objects.filter(cluster=row))
    assert {hour.hour for hour in sums} == {_at(at) for at in hours}
    for hour in sums:
        known = whole[hour.hour]
        assert (hour.gpu, hour.measured, hour.busy) == (known.gpu, known.measured, known.busy)
        assert hour.backfilled and not hour.packed


def _at(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def test_what_the_portal_saw_itself_is_never_written_over(
    cluster: SimCluster, row: Cluster
) -> None:
    second = read_back(cluster, row, 2) + HOUR  # of the first one the simulator knows a part only
    at = datetime.fromtimestamp(second + 600, UTC)
    ServingPack.objects.all().delete()
    ServingTick.objects.create(
        cluster=row, subject=SUBJECT, resolution=60, at=at, packed=_one_tick(1234)
    )
    assert GpuHour.objects.filter(cluster=row).update(packed=b"ours", backfilled=False) >= 1
    read_back(cluster, row, 2)
    found = {start: tick for start, tick in ticks_of(row, 60).items() if start >= second}
    assert len(found) == 60
    assert found[second + 600].counters["requests"] == 1234
    total = sum(tick.counters["requests"] for tick in found.values())
    assert ticks_of(row, HOUR)[second].counters["requests"] == total
    assert {bytes(hour.packed) for hour in GpuHour.objects.filter(cluster=row)} == {b"ours"}


def _one_tick(requests: int) -> bytes:
    nothing: dict[str, Any] = {"histograms": {}, "gauges": {}, "means": {}, "exported": ()}
    return pack_tick(
        Tick(60.0, 1, 1, {"requests": requests}, runtime="vllm", road="direct", **nothing)
    )


def test_an_hour_that_is_too_large_is_read_in_halves(cluster: SimCluster, row: Cluster) -> None:
    """The simulator refuses what is longer than a quarter of an hour, as a cap on bytes would."""
    second = read_back(cluster, row, 2) + HOUR
    whole = ticks_of(row, 60)
    ServingPack.objects.all().delete()
    found: dict[float, Tick] = {}

    async def read(client: StreamClient) -> None:
        metrics = MetricsSettings(found="monitoring/prometheus:9090")
        prometheus = prometheus_of(metrics, client, "")
        assert prometheus is not None
        past = Backfill(
            row.pk,
            TOKEN,
            _Narrow(prometheus),
            metrics,
            Storer(),
            await _known(client),
            asyncio.Semaphore(1),
        )
        found.update((await past._engines(second, second + HOUR, 60))[SUBJECT])

    asking(cluster, read)
    assert found == {at: tick for at, tick in whole.items() if at >= second}


def test_clusters_take_turns_so_that_the_newest_hours_of_all_come_first(
    cluster: SimCluster, row: Cluster
) -> None:
    other = make_cluster("other")
    Watch.objects.create(cluster=other, lease_token=TOKEN)
    began = time.time()
    oldest = int((began - REACH.total_seconds()) // HOUR * HOUR)
    for one in (row, other):
        Telemetry.objects.create(
            cluster=one, backfill_from=_at(began), backfilled_to=_at(oldest + 2 * HOUR)
        )
    asked: list[tuple[str, float]] = []

    async def work(client: StreamClient, storer: Storer) -> None:
        metrics, turns = MetricsSettings(found="monitoring/prometheus:9090"), asyncio.Semaphore(1)
        await asyncio.gather(
            *(
                Backfill(
                    *(one.pk, TOKEN, _Empty(one.name, asked), metrics, storer, list, turns),
                    turn=1,
                    reach=REACH,
                ).run()
                for one in (row, other)
            )
        )

    with_storer(cluster, work)
    turns = [name for (name, _), (after, _) in pairwise([*asked, ("", 0.0)]) if name != after]
    assert turns == ["past", "other", "past", "other"]
    assert {start for _, start in asked[: len(asked) // 2]} == {oldest + HOUR, oldest + HOUR - 60}


class _Empty(Prometheus):
    """A Prometheus that never scraped anything, and remembers what it was asked for."""

    def __init__(self, name: str, asked: list[tuple[str, float]]) -> None:
        self._name, self._asked = name, asked

    async def query_range(
        self, text: str, *, start: float, end: float, step: int, deadline: float
    ) -> Answer:
        self._asked.append((self._name, start))
        return Answer()


class _Narrow(Prometheus):
    """A Prometheus whose answers are too large above a quarter of an hour."""

    def __init__(self, behind: Prometheus) -> None:
        self._behind = behind

    async def query_range(
        self, text: str, *, start: float, end: float, step: int, deadline: float
    ) -> Answer:
        if end - start > 960:
            raise Garbage("The answer is larger than 32 MiB.")
        return await self._behind.query_range(
            text, start=start, end=end, step=step, deadline=deadline
        )


async def _known(client: StreamClient) -> Callable[[], list[Pod]]:
    pods = await pods_of(client)
    return lambda: pods


def test_a_collector_that_lost_the_watch_reads_no_past(cluster: SimCluster, row: Cluster) -> None:
    read_back(cluster, row, 1, token=TOKEN - 1)
    assert not ServingTick.objects.filter(cluster=row).exists()
    assert not ServingPack.objects.filter(cluster=row).exists()
    assert not GpuHour.objects.filter(cluster=row).exists()


def test_the_scraper_goes_on_after_failures_and_stops_when_the_cluster_is_not_well(
    cluster: SimCluster,
) -> None:
    seen: list[Scrape] = []
    well = [True]

    async def run(client: StreamClient) -> None:
        targets = await targets_of(client)
        road = DirectRoad(StreamClient(client.connection))

        def put(_: UUID, scrape: Scrape) -> None:
            seen.append(scrape)

        pk = UUID(int=500)
        scraper = Scraper(pk, road, lambda: targets, lambda: well[0], put, period=0.3)
        task = asyncio.create_task(scraper.run())
        await _enough(lambda: len(seen) >= 3)
        well[0] = False
        await asyncio.sleep(0.2)
        count = len(seen)
        await asyncio.sleep(0.5)
        assert len(seen) <= count + 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asking(cluster, run)
    assert all(len(scrape.readings) == 1 for scrape in seen)


async def _enough(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.slow
def test_the_collector_scrapes_what_it_watches(portal: Portal, sim: SimFleet) -> None:
    cluster = serving_cluster(sim)
    portal.clusters[cluster.name] = cluster
    portal.register(cluster)
    portal.ready(cluster)
    row = portal.row(cluster)
    until(
        "two looks and what they differ by",
        lambda: ServingTick.objects.filter(cluster=row, resolution=15).count() >= 2,
        seconds=90,
    )
    found = measured([row.pk])[row.pk]
    assert (found.road, found.problem) == ("direct", "")
    assert found.gpus is not None and len(found.gpus) == 4
    (pod,) = found.serving_of(SUBJECT)
    assert (pod.pod, pod.problem, pod.runtime) == ("chat-0", "", "vllm")
    assert any(tick.counters["requests"] > 0 for tick in ticks_of(row, 15).values())
    assert HeatRow.objects.get(cluster=row).at is not None
    until(
        "the Prometheus is found, and the past is read",
        lambda: Telemetry.objects.filter(cluster=row, backfilled_to__isnull=False).exists(),
    )
    row.refresh_from_db()
    assert metrics_of(row).found == "monitoring/prometheus:9090"
    age = datetime.now(UTC) - (Telemetry.objects.get(cluster=row).at or datetime.min)
    assert age < timedelta(seconds=2 * PERIOD + 5)
