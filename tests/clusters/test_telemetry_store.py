"""What scrapes become in rows: exact counts, one owner, honest gaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from clusters.engine.telemetry.chunks import UNKNOWN, decode
from clusters.engine.telemetry.looks import GAP
from clusters.engine.telemetry.types import Scrape
from clusters.models import Cluster, GpuHour, ServingTick, Telemetry, Watch
from clusters.services.telemetry import Seen, looks_store, telemetry_store
from clusters.services.telemetry_retention import hours_prune, ticks_prune
from tests.clusters.telemetry_rows import (
    CHAT,
    NOON,
    card,
    cards,
    counted,
    reading,
    scrape,
    serving,
    stored,
    target,
    watched,
)

pytestmark = pytest.mark.django_db


def store(cluster: Cluster, *scrapes: Scrape, token: int = 7) -> list[bool]:
    return [telemetry_store(cluster=cluster, scrape=one, token=token) for one in scrapes]


def test_the_first_look_is_a_base_and_the_next_one_a_tick() -> None:
    cluster = watched()
    assert store(cluster, scrape(0, {"a": reading(1000)})) == [True]
    assert stored(cluster) == {}
    store(cluster, scrape(16, {"a": reading(1040)}))
    tick = stored(cluster)[15]
    assert tick.counters["requests"] == 40
    assert tick.counters["generation_tokens"] == 4000
    assert tick.histograms["ttft"].counts == (0, 32, 8, 0)
    assert (tick.seconds, tick.pods_answered, tick.road) == (16.0, 1, "direct")
    assert tick.gauges["running"] == 2.0


def test_a_scrape_that_was_never_stored_is_made_good_by_the_next_one() -> None:
    cluster = watched()
    store(cluster, scrape(0, {"a": reading(10)}))
    # the collector dies with the scrape at 15 s in its hands: 25 requests so far
    store(cluster, scrape(31, {"a": reading(60)}))
    assert counted(cluster) == {30: 50}
    assert stored(cluster)[30].seconds == 31.0


def test_a_transaction_that_fails_leaves_the_base_as_it_was() -> None:
    cluster = watched()
    store(cluster, scrape(0, {"a": reading(10)}))
    with pytest.raises(RuntimeError), transaction.atomic():
        store(cluster, scrape(15, {"a": reading(30)}))
        raise RuntimeError("killed before the commit")
    store(cluster, scrape(15, {"a": reading(30)}))
    store(cluster, scrape(30, {"a": reading(35)}))
    assert counted(cluster) == {15: 20, 30: 5}


def test_a_collector_that_lost_the_watch_stores_nothing() -> None:
    cluster = watched(token=7)
    store(cluster, scrape(0, {"a": reading(10)}, gpus=(card(),)))
    Watch.objects.filter(cluster=cluster).update(lease_token=8)
    assert store(cluster, scrape(15, {"a": reading(20)}, gpus=(card(util=99.0),))) == [False]
    assert stored(cluster) == {}
    assert cards(cluster)[0].util == 50.0
    assert store(cluster, scrape(16, {"a": reading(22)}), token=8) == [True]
    assert counted(cluster) == {15: 12}


def test_two_collectors_count_every_request_once() -> None:
    """Both scrape; the one whose lease is gone is refused, whatever the order."""
    cluster = watched(token=1)
    store(cluster, scrape(0, {"a": reading(0)}), token=1)
    for step in range(1, 40):
        now = scrape(15 * step, {"a": reading(step * 3)})
        owner = 1 + step // 7
        Watch.objects.filter(cluster=cluster).update(lease_token=owner)
        order = (owner, owner - 1) if step % 2 else (owner - 1, owner)
        assert sum(store(cluster, now, token=token)[0] for token in order) == 1
    assert sum(counted(cluster).values()) == 39 * 3


def test_clusters_that_nobody_watches_store_nothing() -> None:
    cluster = watched()
    Watch.objects.all().delete()
    assert store(cluster, scrape(0, {"a": reading(1)})) == [False]
    assert not Telemetry.objects.exists()


def test_a_pod_that_starts_again_counts_what_it_did_since() -> None:
    cluster = watched()
    store(cluster, scrape(0, {"a": reading(500)}), scrape(15, {"a": reading(30)}))
    assert counted(cluster) == {15: 30}
    assert stored(cluster)[15].pods[0].reset


def test_a_pod_that_comes_while_we_watch_counts_from_its_first_request() -> None:
    cluster = watched()
    store(cluster, scrape(0, {"a": reading(10)}))
    store(cluster, scrape(15, {"a": reading(11), "b": reading(4)}))
    assert counted(cluster) == {15: 5}


def test_a_pod_that_we_were_not_allowed_to_read_does_not_bring_its_past() -> None:
    cluster = watched()
    both = (target("a"), target("b"))
    hidden = {"b": "Metrics may not be read: the portal lacks get on pods/proxy in x."}
    store(cluster, scrape(0, {"a": reading(10)}, targets=both, problems=hidden))
    assert Telemetry.objects.get().problem.startswith("Metrics may not be read")
    store(cluster, scrape(15, {"a": reading(11), "b": reading(9000)}))
    store(cluster, scrape(30, {"a": reading(11), "b": reading(9002)}))
    assert counted(cluster) == {15: 1, 30: 2}
    assert Telemetry.objects.get().problem == ""


def test_a_pod_that_misses_a_scrape_catches_up() -> None:
    cluster = watched()
    both = (target("a"), target("b"))
    store(cluster, scrape(0, {"a": reading(0), "b": reading(0)}))
    silent = scrape(15, {"a": reading(5)}, targets=both, problems={"b": "No metrics within 3 s."})
    store(cluster, silent)
    tick = stored(cluster)[15]
    assert (tick.pods_expected, tick.pods_answered) == (2, 1)
    assert {pod.uid: pod.problem for pod in serving(cluster)} == {
        "a": "",
        "b": "No metrics within 3 s.",
    }
    store(cluster, scrape(30, {"a": reading(10), "b": reading(7)}))
    assert counted(cluster) == {15: 5, 30: 12}


def test_after_a_long_silence_the_time_between_stays_unknown() -> None:
    cluster = watched()
    store(cluster, scrape(0, {"a": reading(10)}), scrape(3000, {"a": reading(900)}))
    assert stored(cluster) == {}
    store(cluster, scrape(3015, {"a": reading(905)}))
    assert counted(cluster) == {3015: 5}


def test_not_exported_no_data_and_zero_are_three_things() -> None:
    cluster = watched()
    tgi = reading(5, runtime="tgi", histograms={}, exported=("requests",))
    store(cluster, scrape(0, {"a": tgi}), scrape(15, {"a": tgi}))
    tick = stored(cluster)[15]
    assert "ttft" not in tick.exported  # not exported
    assert tick.counters["requests"] == 0  # zero
    silent = scrape(30, {}, targets=(target("a"),), problems={"a": "down"})
    store(cluster, silent)
    tick = stored(cluster)[30]
    assert (tick.counters, tick.pods_answered) == ({}, 0)  # no data


def test_a_look_without_any_answer_keeps_what_is_known_and_says_why() -> None:
    cluster = watched()
    store(cluster, scrape(0, {"a": reading(10)}, gpus=(card(),)))
    store(cluster, scrape(15, problem="The cluster's API server is busy."))
    row = Telemetry.objects.get()
    assert row.at is not None and row.at.timestamp() == NOON
    assert row.problem == "The cluster's API server is busy."
    assert len(cards(cluster)) == 1
    store(cluster, scrape(30, {"a": reading(12)}))
    assert (counted(cluster), Telemetry.objects.get().problem) == ({30: 2}, "")


def test_two_looks_in_the_same_fifteen_seconds_add_up() -> None:
    cluster = watched()
    store(cluster, scrape(14, {"a": reading(0)}))
    store(cluster, scrape(16, {"a": reading(10)}), scrape(29, {"a": reading(25)}))
    tick = stored(cluster)[15]
    assert tick.counters["requests"] == 25
    assert tick.seconds == 15.0
    assert [pod.counters["requests"] for pod in tick.pods] == [25]


def test_minutes_and_hours_are_the_sums_of_their_ticks() -> None:
    cluster = watched()
    for step in range(4 * 121):
        store(cluster, scrape(15 * step, {"a": reading(step)}))
    assert sum(counted(cluster, resolution=15).values()) == 4 * 121 - 1
    minutes = counted(cluster, resolution=60)
    assert len(minutes) == 120
    assert (minutes[0], minutes[60], minutes[119 * 60]) == (3, 4, 4)
    assert counted(cluster, resolution=3600) == {0: 239, 3600: 240}
    hour = stored(cluster, 3600)[3600]
    assert (hour.seconds, hour.pods, hour.gauges["running"]) == (3600.0, (), 2.0)
    assert sum(hour.histograms["ttft"].counts) == 240


def test_an_object_that_goes_leaves_its_last_minute_and_hour() -> None:
    cluster = watched()
    store(cluster, scrape(0, {"a": reading(0)}), scrape(15, {"a": reading(5)}), scrape(30, {}))
    assert counted(cluster, resolution=60) == {0: 5}
    assert counted(cluster, resolution=3600) == {0: 5}


def test_the_minute_of_gpus_is_a_mean_and_counts_once() -> None:
    cluster = watched()
    Cluster.objects.filter(pk=cluster.pk).update(gpus_physical=8, gpus_used=3)
    for step, util in enumerate((10.0, 20.0, 30.0, 40.0, 90.0)):
        store(cluster, scrape(15 * step, gpus=(card(util=util), card(1, util=None))))
    hour = GpuHour.objects.get()
    found = decode(bytes(hour.packed))
    assert found.util[0, 0] == 25
    assert (found.util[1, 0], found.util[0, 1]) == (UNKNOWN, UNKNOWN)
    assert found.memory[0, 0] == 25
    assert (hour.minutes, hour.gpu, hour.allocated, hour.measured) == (1, 8, 3, 1)
    assert hour.busy == pytest.approx(0.25)


def test_a_cluster_without_an_exporter_has_allocation_and_no_use() -> None:
    cluster = watched()
    Cluster.objects.filter(pk=cluster.pk).update(gpus_physical=8, gpus_used=8)
    store(cluster, scrape(0), scrape(60), scrape(120))
    hour = GpuHour.objects.get()
    assert (hour.minutes, hour.gpu, hour.allocated, hour.measured, hour.busy) == (0, 16, 16, 0, 0)
    assert Telemetry.objects.get().gpus_at is None


def test_an_hour_that_is_over_is_compressed() -> None:
    cluster = watched()
    for step in range(62):
        store(cluster, scrape(60 * step, gpus=(card(),)))
    first, second = GpuHour.objects.order_by("hour")
    assert (first.packed[:1], second.packed[:1]) == (b"\x01", b"\x00")
    assert (first.minutes, second.minutes) == (60, 1)
    assert first.busy == pytest.approx(30.0)


def test_a_card_is_idle_since_its_use_fell_and_its_pods_have_nothing_to_do() -> None:
    cluster = watched()
    holder = ("fp-assist/chat-a",)

    def idle(at: float, util: float, running: float) -> float | None:
        busy = reading(1, gauges={"running": running})
        store(cluster, scrape(at, {"a": busy}, gpus=(card(util=util, pods=holder),)))
        return cards(cluster)[0].idle_since

    assert idle(0, 60.0, 1.0) is None
    assert idle(15, 2.0, 1.0) is None  # low, but it serves
    assert idle(30, 2.0, 0.0) == NOON + 30
    assert idle(45, 0.0, 0.0) == NOON + 30
    assert idle(60, 4.9, 3.0) is None


@pytest.mark.parametrize(("silence", "kept"), [(GAP, True), (GAP + 1, False), (-60, False)])
def test_a_silence_that_nobody_knows_of_is_no_idle_time(silence: float, kept: bool) -> None:
    """Nor is what lies between a clock that jumped back and the one before."""
    cluster = watched()
    store(cluster, scrape(0, gpus=(card(util=0.0, xid=31),)))
    store(cluster, scrape(silence, gpus=(card(util=0.0, xid=31),)))
    (found,) = cards(cluster)
    assert found.idle_since == (NOON if kept else NOON + silence)
    assert not found.xid_changed, "the last error is still the one that was known"


def test_cards_of_an_exporter_that_is_silent_are_there_and_unknown() -> None:
    cluster = watched()
    exporter = (target("dcgm", "", "dcgm"),)
    store(cluster, scrape(0, targets=exporter, gpus=(card(util=1.0),)))
    for at in (15, 30):
        failed = scrape(at, targets=exporter, gpus=(), problems={"dcgm": "down"})
        store(cluster, failed)
        (found,) = cards(cluster)
        assert (found.uuid, found.util, found.power) == ("GPU-0", None, None)
        assert (found.idle_since is not None) == (at == 15)  # one miss is forgiven


def test_many_clusters_are_stored_together_and_each_by_its_own_token() -> None:
    clusters = [watched(f"c{number}", token=number) for number in range(5)]
    for at, requests in ((0, 0), (15, 9)):
        now = scrape(at, {"a": reading(requests)})
        looks = [Seen(one.pk, now, number) for number, one in enumerate(clusters)]
        looks[3] = Seen(clusters[3].pk, now, 99)
        assert looks_store(looks).clusters == {one.pk for one in clusters if one.name != "c3"}
    assert ServingTick.objects.count() == 4


def test_ticks_go_when_they_are_too_old() -> None:
    cluster = watched()
    now = datetime.fromtimestamp(NOON, UTC)
    for resolution, days in ((15, 0.2), (15, 0.3), (60, 13), (60, 15), (3600, 399), (3600, 401)):
        at = now - timedelta(days=days)
        ServingTick.objects.create(
            cluster=cluster, subject=CHAT, resolution=resolution, at=at, packed=b""
        )
    assert ticks_prune(now) == 3
    assert sorted(ServingTick.objects.values_list("resolution", flat=True)) == [15, 60, 3600]
    assert ticks_prune(now) == 0


def test_minutes_of_gpus_go_after_a_week_and_their_sums_stay() -> None:
    cluster = watched()
    now = datetime.fromtimestamp(NOON, UTC)
    for days in (6, 8, 401):
        hour = now - timedelta(days=days)
        GpuHour.objects.create(cluster=cluster, hour=hour, packed=b"\x00x", gpu=60)
    hours_prune(now)
    rows = GpuHour.objects.order_by("-hour").values_list("packed", "gpu")
    assert [(bool(packed), gpu) for packed, gpu in rows] == [(True, 60), (False, 60)]
