"""Ticks that move into packs: every answer stays what it was, whenever it is asked or killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from clusters.engine.telemetry.differences import merge
from clusters.engine.telemetry.types import Histogram, PodCount, Tick
from clusters.models import Cluster, ServingPack, ServingTick, Telemetry, Watch
from clusters.selectors.telemetry import TickAt, pack_tick, ticks
from clusters.services.telemetry import telemetry_store
from clusters.services.telemetry_backfill import backfill_store
from clusters.services.telemetry_packs import SETTLED, Due, packs_due, span_pack
from clusters.services.telemetry_retention import ticks_prune
from clusters.telemetry.storing import Storer
from fleetportal.console.selectors.usage import TICKS_OLD
from tests.clusters.rows import make_cluster
from tests.clusters.telemetry_rows import CHAT, NOON, TTFT, pack_all, reading, scrape, watched
from tests.support import race

HOUR, DAY = 3600, 86_400
AGO = 1000 * DAY  # long over
START = NOON - AGO
LATER = START + 2 * DAY  # when all that is stored below is over


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def tick(requests: int, **changes: Any) -> Tick:
    held: dict[str, Any] = {
        "seconds": 60.0,
        "pods_expected": 1,
        "pods_answered": 1,
        "counters": {"requests": requests, "errors": 0},
        "histograms": {"ttft": Histogram(TTFT, (0, requests, 0, 0), requests * 0.3)},
        "gauges": {"running": requests / 7},
        "means": {},
        "exported": ("errors", "requests", "ttft"),
        "runtime": "vllm",
        "road": "direct",
    }
    return Tick(**(held | changes))


def put(
    cluster: Cluster, held: Mapping[float, Tick], resolution: int = 60, subject: str = CHAT
) -> None:
    """Rows, by seconds after START."""
    rows = [
        ServingTick(
            cluster=cluster,
            subject=subject,
            resolution=resolution,
            at=moment(START + at),
            packed=pack_tick(one),
        )
        for at, one in held.items()
    ]
    ServingTick.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["cluster", "subject", "resolution", "at"],
        update_fields=["packed"],
    )


def told(
    *clusters: Cluster, resolution: int = 60, start: float = START - DAY, end: float = LATER
) -> list[TickAt]:
    """What is answered for all of these clusters."""
    return list(
        ticks(
            clusters=[one.pk for one in clusters],
            subjects=[CHAT, "fp-assist/other"],
            resolution=resolution,
            start=moment(start),
            end=moment(end),
        )
    )


def requests(cluster: Cluster, resolution: int = 60) -> dict[float, int]:
    found = told(cluster, resolution=resolution)
    return {one.at.timestamp() - START: one.tick.counters["requests"] for one in found}


def pack(now: float = LATER) -> int:
    """Everything that is due. How many spans."""
    return pack_all(moment(now))


@pytest.mark.django_db
def test_minutes_become_a_row_an_hour_and_hours_a_row_a_day() -> None:
    cluster = watched()
    put(cluster, {60 * minute: tick(minute) for minute in range(180)})
    put(cluster, {HOUR * hour: tick(hour) for hour in range(20)}, HOUR)
    before = [told(cluster), told(cluster, resolution=HOUR)]
    assert pack() == 5
    assert [told(cluster), told(cluster, resolution=HOUR)] == before
    assert not ServingTick.objects.exists()
    assert ServingPack.objects.filter(resolution=60).count() == 3
    assert ServingPack.objects.filter(resolution=HOUR).count() == 2  # START is not midnight
    assert pack() == 0


@pytest.mark.django_db
def test_a_span_is_packed_a_while_after_its_end_and_no_younger_tick() -> None:
    cluster = watched()
    put(cluster, {0: tick(1), HOUR - 60: tick(2), HOUR: tick(3)})
    put(cluster, {0: tick(1)}, 15)
    over = START + HOUR + SETTLED.total_seconds()
    assert pack(over - 1) == 0
    assert pack(over) == 1
    left = ServingTick.objects.values_list("resolution", "at")
    assert sorted(left) == [(15, moment(START)), (60, moment(START + HOUR))]
    assert requests(cluster) == {0: 1, HOUR - 60: 2, HOUR: 3}


def test_what_the_fleets_page_reads_from_rows_alone_is_never_packed() -> None:
    assert TICKS_OLD < SETTLED


@pytest.mark.django_db
def test_a_tick_that_comes_late_is_the_newer_one_before_and_after_it_is_packed() -> None:
    cluster = watched()
    put(cluster, {0: tick(1), 60: tick(2)})
    pack()
    put(cluster, {60: tick(20), 120: tick(3)})
    assert requests(cluster) == {0: 1, 60: 20, 120: 3}
    assert pack() == 1
    assert requests(cluster) == {0: 1, 60: 20, 120: 3}
    assert (ServingTick.objects.count(), ServingPack.objects.count()) == (0, 1)


@pytest.mark.django_db
def test_only_what_begins_in_the_asked_time_is_answered() -> None:
    east, west = watched("east"), watched("west")
    for cluster in (east, west):
        put(cluster, {60 * minute: tick(minute) for minute in range(120)})
        put(cluster, {0: tick(5)}, subject="fp-assist/other")
        put(cluster, {0: tick(6)}, subject="fp-assist/nobody-asked")
    spans = [(START + 60 * a, START + 60 * b) for a, b in ((0, 1), (1, 60), (59, 61), (60, 200))]
    asked = [partial(told, east, west, start=start, end=end) for start, end in spans]
    before = [ask() for ask in asked]
    span_pack(Due(east.pk, 60, moment(START), (CHAT,)))  # some, then all
    assert [ask() for ask in asked] == before
    pack()
    assert [ask() for ask in asked] == before
    assert len(before[0]) == 4


@pytest.mark.django_db
def test_a_roll_up_of_an_hour_that_is_packed_is_the_same() -> None:
    """The collector was away: the hour is rolled up again when it is back."""
    cluster = watched()
    for step in range(62):
        scraped = scrape(60 * step - AGO, {"a": reading(step)})
        assert telemetry_store(cluster=cluster, scrape=scraped, token=7)
    pack(START + 1.5 * HOUR)
    assert ServingPack.objects.count() == 1
    before = told(cluster, resolution=HOUR)
    ServingTick.objects.filter(resolution=HOUR).delete()
    Telemetry.objects.update(at=moment(START + HOUR - 30))
    telemetry_store(cluster=cluster, scrape=scrape(7200 - AGO, {"a": reading(62)}), token=7)
    assert told(cluster, resolution=HOUR)[:1] == before
    assert before[0].tick == merge(
        [one.tick for one in told(cluster) if one.at < moment(START + HOUR)]
    )


def past(cluster: Cluster, held: Mapping[float, int], token: int = 7) -> bool:
    """The hour of START, as a Prometheus told it."""
    return backfill_store(
        cluster_id=cluster.pk,
        token=token,
        start=START,
        ticks={CHAT: {START + at: tick(count, road="backfill") for at, count in held.items()}},
        gpus=None,
    )


@pytest.mark.django_db
def test_the_past_fills_holes_and_is_never_written_over_what_we_saw() -> None:
    cluster = watched()
    put(cluster, {0: tick(1), 60: tick(2)})
    pack()
    put(cluster, {120: tick(3)})
    assert past(cluster, dict.fromkeys((0, 60, 120, 180), 99))
    seen = {0: 1, 60: 2, 120: 3, 180: 99}
    assert requests(cluster) == seen
    assert past(cluster, {180: 77})  # a crash before it was noted, and again
    pack()
    assert requests(cluster) == seen
    assert requests(cluster, HOUR) == {0: sum(seen.values())}
    assert not ServingTick.objects.filter(resolution=60).exists()
    assert past(cluster, {240: 1}, token=6) is False
    assert requests(cluster) == seen


@pytest.mark.django_db
def test_a_past_that_nobody_saw_needs_one_row_an_hour() -> None:
    cluster = watched()
    past(cluster, {60 * minute: minute for minute in range(60)})
    assert ServingPack.objects.count() == 1
    assert not ServingTick.objects.filter(resolution=60).exists()
    assert requests(cluster) == {60 * minute: minute for minute in range(60)}


@pytest.mark.django_db
def test_what_cannot_be_read_stays_as_it_is_and_stops_nobody_else() -> None:
    cluster = watched()
    put(cluster, {0: tick(1)})
    put(cluster, {0: tick(2)}, subject="fp-assist/other")
    ServingTick.objects.filter(subject="fp-assist/other").update(packed=b"\x01broken")
    put(cluster, {HOUR: tick(3)})
    put(cluster, {2 * HOUR: tick(4)}, subject="fp-assist/other")
    bad = ServingPack.objects.create(
        cluster=cluster,
        subject="fp-assist/other",
        resolution=60,
        start=moment(START + 2 * HOUR),
        packed=b"\x01broken",
    )
    for due in packs_due(moment(LATER), most=9):
        span_pack(due)
    left = ServingTick.objects.order_by("at").values_list("subject", "at")
    assert list(left) == [
        ("fp-assist/other", moment(START)),
        ("fp-assist/other", moment(START + 2 * HOUR)),
    ]
    bad.refresh_from_db()
    assert bytes(bad.packed) == b"\x01broken"


@pytest.mark.django_db
def test_packs_go_when_all_of_them_is_too_old() -> None:
    cluster = watched()
    put(cluster, {0: tick(1), HOUR: tick(2)})
    put(cluster, {0: tick(3)}, HOUR)
    pack()
    old = moment(START + HOUR) + timedelta(days=14)
    assert ticks_prune(old - timedelta(seconds=1)) == 0
    assert ticks_prune(old) == 1
    assert requests(cluster) == {HOUR: 2}
    assert ticks_prune(moment(START) + timedelta(days=401)) == 2
    assert not ServingPack.objects.exists()


@pytest.mark.django_db
def test_packs_go_with_their_cluster() -> None:
    cluster = watched()
    put(cluster, {0: tick(1)})
    pack()
    cluster.delete()
    assert not ServingPack.objects.exists()


# --- killed at any statement, and at the same moment as others ----------------------------------


class Killed(Exception):
    """The process is gone."""


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do it until the statement with this number, which is never sent. False: it got through."""
    sent = 0

    def send(execute: Callable[..., object], *args: object) -> object:
        nonlocal sent
        sent += 1
        if sent == number:
            raise Killed
        return execute(*args)

    with connection.execute_wrapper(send):
        try:
            work()
        except Killed:
            return True
    return False


def until_through(work: Callable[[], object], check: Callable[[], None]) -> int:
    """Kill it at each of its statements in turn. How many there are."""
    number = 1
    while killed_at(number, work):
        check()
        number += 1
    check()
    return number - 1


@pytest.mark.django_db(transaction=True)
def test_a_kill_at_any_statement_of_packing_loses_and_doubles_nothing() -> None:
    cluster = watched()
    put(cluster, {60 * minute: tick(minute) for minute in range(60)})
    pack()
    put(cluster, {60 * minute: tick(100 * minute) for minute in range(30, 70)})
    put(cluster, {0: tick(5)}, HOUR)
    before = [told(cluster), told(cluster, resolution=HOUR)]

    def check() -> None:
        assert [told(cluster), told(cluster, resolution=HOUR)] == before

    assert until_through(pack, check) >= 6
    assert not ServingTick.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_kill_at_any_statement_of_reading_back_is_made_good_by_the_next_time() -> None:
    cluster = watched()
    put(cluster, {0: tick(1)})
    pack()
    put(cluster, {60: tick(2)})
    allowed = [{0: 1, 60: 2}, {0: 1, 60: 2, 120: 99}]

    def check() -> None:
        assert requests(cluster) in allowed

    assert until_through(partial(past, cluster, dict.fromkeys((0, 60, 120), 99)), check) >= 6
    assert requests(cluster) == allowed[1]
    assert requests(cluster, HOUR) == {0: 102}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(5))
def test_packing_reading_back_and_late_ticks_at_the_same_moment(round_: int) -> None:
    cluster = watched()
    put(cluster, {60 * minute: tick(minute) for minute in range(40)})
    seen: list[Sequence[TickAt]] = []

    def work(number: int) -> object:
        if number == 0:
            seen.extend(told(cluster, end=START + 1800) for _ in range(20))
            return None
        if number == 1:
            return past(cluster, dict.fromkeys(range(0, HOUR, 60), 99))
        return pack()

    before = told(cluster, end=START + 1800)
    for result in race(work, 4):
        if isinstance(result, Exception):
            raise result
    assert all(one == before for one in seen)
    pack()
    assert requests(cluster) == {60 * at: at if at < 40 else 99 for at in range(60)}
    assert not ServingTick.objects.filter(resolution=60).exists()


@pytest.mark.django_db(transaction=True)
def test_the_storer_packs_what_is_over() -> None:
    cluster = watched()
    ago = (time.time() - 2 * DAY) // HOUR * HOUR - START
    put(cluster, {ago: tick(1)})
    before = told(cluster, end=time.time())
    assert len(before) == 1

    async def run() -> None:
        storer = Storer(prune_every=0.01)
        task = asyncio.create_task(storer.run())
        async with asyncio.timeout(30):
            while not storer.packed:
                await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert told(cluster, end=time.time()) == before
    assert ServingPack.objects.count() == 1
    assert not ServingTick.objects.exists()


# --- any ticks ------------------------------------------------------------------------------

NAMES = st.sampled_from(("requests", "errors", "preemptions"))
COUNTS = st.dictionaries(NAMES, st.integers(0, 2**62), max_size=3)
SUMS = st.floats(0, 1e6)
HISTOGRAMS = st.dictionaries(
    st.sampled_from(("ttft", "e2e")),
    st.builds(Histogram, st.just(TTFT), st.tuples(*[st.integers(0, 2**40)] * 4), SUMS),
)
TICKS = st.builds(
    Tick,
    seconds=SUMS,
    pods_expected=st.integers(0, 9),
    pods_answered=st.integers(0, 9),
    counters=COUNTS,
    histograms=HISTOGRAMS,
    gauges=st.dictionaries(st.sampled_from(("running", "kv_usage")), SUMS),
    means=st.dictionaries(st.sampled_from(("e2e",)), st.tuples(SUMS, st.integers(0, 99))),
    exported=st.lists(NAMES, unique=True).map(tuple),
    runtime=st.sampled_from(("vllm", "tgi")),
    road=st.sampled_from(("direct", "backfill")),
    pods=st.lists(st.builds(PodCount, st.just("a"), st.just("u"), COUNTS, HISTOGRAMS)).map(tuple),
)
WRITES = st.lists(st.dictionaries(st.integers(0, 180), TICKS, max_size=8), max_size=4)


class TestAnyTicks(TestCase):
    @settings(max_examples=25)
    @given(WRITES, st.sampled_from((60, HOUR)), st.booleans())
    def test_are_answered_as_they_were_written_last(
        self, writes: list[dict[int, Tick]], resolution: int, between: bool
    ) -> None:
        cluster = make_cluster("any")
        Watch.objects.create(cluster=cluster, lease_token=7)
        wanted: dict[float, Tick] = {}
        for write in writes:
            held = {float(place * resolution): one for place, one in write.items()}
            put(cluster, held, resolution)
            wanted |= held
            if between:
                pack(LATER + 10 * DAY)
        for _ in range(2):
            found = told(cluster, resolution=resolution, end=LATER + 10 * DAY)
            assert {one.at.timestamp() - START: one.tick for one in found} == wanted
            pack(LATER + 10 * DAY)
        assert not ServingTick.objects.exists()
