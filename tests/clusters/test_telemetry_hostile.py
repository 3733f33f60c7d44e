"""Whatever a pod answers is stored or left out; it stops nobody else and never counts down."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.engine.telemetry.gpus import WANTED as GPU_NAMES
from clusters.engine.telemetry.gpus import read_gpus
from clusters.engine.telemetry.looks import NONSENSE
from clusters.engine.telemetry.runtimes import WANTED, read_runtime
from clusters.engine.telemetry.types import Histogram
from clusters.models import Telemetry, Watch
from clusters.services.telemetry import Seen, looks_store
from tests.clusters.telemetry_rows import (
    counted,
    reading,
    scrape,
    serving,
    stored,
    target,
    watched,
)

pytestmark = pytest.mark.django_db

NUMBERS = ("0", "1", "-1", "5", "NaN", "+Inf", "-Inf", "1e400", "1e308", "9.3e18", "1_0", "x", "")
LABELS = st.sampled_from(
    ("", '{le="1"}', '{le="+Inf"}', '{le="x"}', '{gpu="0",UUID="u",Hostname="n"}', '{gpu="-1"}',
     '{UUID="u",GPU_I_ID="1",GPU_I_PROFILE="1g"}', '{a="\\"}', '{a="\\n",', "{,}", '{status="5xx"}')
)  # fmt: skip
NAMES = sorted({*WANTED, *(name for names in GPU_NAMES.values() for name in names)})
LINE = st.builds(
    lambda name, labels, number: f"{name}{labels} {number}",
    st.sampled_from(NAMES),
    LABELS,
    st.sampled_from(NUMBERS),
)
PAGE = st.one_of(
    st.lists(LINE, max_size=40).map(lambda lines: "\n".join(lines).encode() + b"\n"),
    st.binary(max_size=200),
)


@settings(max_examples=150)
@given(pages=st.lists(st.tuples(PAGE, PAGE), min_size=1, max_size=4))
def test_no_page_stops_the_store_or_counts_down(pages: list[tuple[bytes, bytes]]) -> None:
    cluster, neighbour = watched("hostile"), watched("good")
    try:
        for step, (engine, exporter) in enumerate(pages):
            found = read_runtime(engine)
            now = scrape(
                15 * step,
                {} if found is None else {"a": found},
                targets=(target("a"), target("dcgm", "", "dcgm")),
                gpus=read_gpus(exporter, "dcgm", "node-0"),
            )
            fine = scrape(15 * step, {"b": reading(step * 10)})
            looks = [Seen(cluster.pk, now, 7), Seen(neighbour.pk, fine, 7)]
            assert looks_store(looks).clusters == {cluster.pk, neighbour.pk}
        assert list(counted(neighbour).values()) == [10] * (len(pages) - 1)
        for tick in stored(cluster).values():
            assert all(value >= 0 for value in tick.counters.values())
            assert all(min(h.counts) >= 0 for h in tick.histograms.values())
    finally:
        for one in (cluster, neighbour):
            one.delete()


def test_counters_that_no_database_holds_are_left_out_and_said() -> None:
    cluster = watched()
    for step, requests in enumerate((10, 2**80, 15)):
        look = Seen(cluster.pk, scrape(15 * step, {"a": reading(requests)}), 7)
        assert looks_store([look]).clusters == {cluster.pk}
        assert (serving(cluster)[0].problem == NONSENSE) == (step == 1)
    assert counted(cluster) == {30: 5}


def test_buckets_that_change_between_two_looks_are_another_process() -> None:
    cluster = watched()
    other = reading(60, histograms={"ttft": Histogram((1.0,), (60, 0), 20.0)})
    for step, now in enumerate((reading(50), other)):
        looks_store([Seen(cluster.pk, scrape(15 * step, {"a": now}), 7)])
    tick = stored(cluster)[15]
    assert (tick.pods[0].reset, tick.histograms["ttft"].counts) == (True, (60, 0))


def test_a_stored_base_that_cannot_be_read_is_not_forever() -> None:
    """A row that was damaged is begun anew, and the other clusters of the batch are stored."""
    cluster, neighbour = watched("damaged"), watched("good")
    both = [Seen(one.pk, scrape(0, {"a": reading(1)}), 7) for one in (cluster, neighbour)]
    looks_store(both)
    Telemetry.objects.filter(cluster=cluster).update(counters_packed=b"\x01nonsense")
    for at in (15, 30, 45):
        looks = [
            Seen(one.pk, scrape(at, {"a": reading(1 + at)}), 7) for one in (cluster, neighbour)
        ]
        assert neighbour.pk in looks_store(looks).clusters
    assert len(counted(neighbour)) == 3
    assert counted(cluster) == {30: 15, 45: 15}
    assert Watch.objects.count() == 2
