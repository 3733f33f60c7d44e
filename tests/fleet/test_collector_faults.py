"""Thirty bad clusters among a hundred: good ones stay as fresh, bad ones are left in peace."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, quantiles
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from clusters.models import Cluster
from tests.fleet.collecting import collecting, observed, registered
from tests.fleet.harness import L4, until
from tests.simfleet import SimCluster, SimFleet
from tests.support import People

GOOD, BAD = 70, 30
SETTLE = 6.0  # seconds until the collector has met every fault
WATCHED_FOR = 15.0  # seconds: three beats
MOST = 1.2  # requests a second to a failing cluster
RETRY_AFTER = 6  # seconds
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "blackhole"},
    {"kind": "latency", "seconds": 12.0},
    {"kind": "status", "code": 429, "retry_after": RETRY_AFTER},
    {"kind": "status", "code": 401},
    {"kind": "status", "code": 500},
    {"kind": "reset"},
    {"kind": "garbage"},
    {"kind": "watch_drop", "seconds": 0.0},
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    started = SimFleet.start(tmp_path_factory.mktemp("faults"), actors=False)
    yield started
    started.stop()


@dataclass(frozen=True, slots=True)
class Felt:
    """What people feel, in seconds: ages of what is stored, and how long the fleet's page takes."""

    mean: float
    p95: float
    page_p95: float

    def worse_than(self, other: Felt) -> bool:
        """By more than 10 %, and by more than a busy machine's noise."""
        pairs = (
            (self.mean, other.mean),
            (self.p95, other.p95),
            (self.page_p95, other.page_p95),
        )
        return any(mine > 1.1 * theirs and mine - theirs > 0.25 for mine, theirs in pairs)


def felt(rows: Sequence[Cluster], browser: Client) -> Felt:
    """Over whole beats: from just after one."""
    until("a beat", lambda: max(ages_of(rows)) < 0.5)
    ages: list[float] = []
    pages: list[float] = []
    end = time.monotonic() + WATCHED_FOR
    while time.monotonic() < end:
        ages += ages_of(rows)
        begun = time.monotonic()
        assert browser.get("/fleet/").status_code == 200
        pages.append(time.monotonic() - begun)
        time.sleep(0.2)
    return Felt(fmean(ages), quantiles(ages, n=20)[-1], quantiles(pages, n=20)[-1])


def ages_of(rows: Sequence[Cluster]) -> list[float]:
    now = timezone.now()
    seen = Cluster.objects.filter(pk__in=[row.pk for row in rows], observed_at__isnull=False)
    return [(now - at).total_seconds() for at in seen.values_list("observed_at", flat=True) if at]


def requests_of(cluster: SimCluster, since: float, until_: float) -> list[float]:
    """When the collector asked, by the simulator's clock, which is this machine's."""
    return [entry["mono"] for entry in cluster.log() if since <= entry["mono"] <= until_]


def test_bad_clusters_cost_the_good_ones_nothing_and_are_asked_seldom(
    sim: SimFleet, everybody: People
) -> None:
    clusters = [sim.add_cluster(nodes=[dict(L4)]) for _ in range(GOOD + BAD)]
    rows = [registered(everybody, cluster) for cluster in clusters]
    good, bad = rows[:GOOD], clusters[GOOD:]
    browser = Client()
    browser.force_login(everybody.operator)
    browser.get("/fleet/")  # the first one compiles templates
    with collecting():
        observed(*rows, seconds=150.0)
        quiet = felt(good, browser)
        for number, cluster in enumerate(bad):
            cluster.fault(**FAULTS[number % len(FAULTS)])
            cluster.hang_up()
        time.sleep(SETTLE)
        begun = time.monotonic()
        noisy = felt(good, browser)
        ended = time.monotonic()
        noticed_soon(clusters[0], good[0])
    assert not noisy.worse_than(quiet), (noisy, quiet)
    for number, cluster in enumerate(bad):
        fault = FAULTS[number % len(FAULTS)]
        asked = requests_of(cluster, begun, ended)
        assert len(asked) <= MOST * (ended - begun), (fault, len(asked))
        if fault.get("code") == 429:
            gaps = [later - earlier for earlier, later in pairwise(asked)]
            assert all(gap >= RETRY_AFTER for gap in gaps), gaps
    assert set(
        Cluster.objects.filter(pk__in=[row.pk for row in good]).values_list("state", flat=True)
    ) == {"ready"}


def noticed_soon(cluster: SimCluster, row: Cluster) -> None:
    """A change on a good cluster is stored within moments."""
    name = cluster.objects("Node")[0]["metadata"]["name"]
    cluster.edit("Node", "", name, {"spec": {"unschedulable": True}})
    begun = time.monotonic()
    until("it is stored", lambda: Cluster.objects.get(pk=row.pk).gpus_free != row.gpus_physical, 5)
    assert time.monotonic() - begun < 3
