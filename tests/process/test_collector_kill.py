"""kill -9 of the collector, again and again: observation goes on soon, nothing counts twice."""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from django.utils import timezone

from clusters.models import Cluster, Watch
from tests.fleet.collecting import registered
from tests.fleet.harness import L4, until
from tests.process import stack
from tests.simfleet import SimCluster, SimFleet
from tests.support import People, make_people

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(900)]

CLUSTERS = 6
KILLS = int(os.environ.get("FLEETPORTAL_TEST_KILLS", "20"))
GAP = 45.0  # seconds without a fresh observation, at most
TAKE_OVER = 20.0  # seconds until another collector has a killed one's clusters


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    started = SimFleet.start(tmp_path_factory.mktemp("fleet"), actors=False)
    yield started
    started.stop()


@pytest.fixture
def everybody(transactional_db: None) -> People:
    return make_people()


@dataclass
class Clock:
    """When each cluster was observed last, and the longest time between two observations."""

    rows: list[Cluster]
    longest: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    owners: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    _last: dict[str, datetime] = field(default_factory=dict)

    def look(self) -> None:
        seen = Cluster.objects.filter(pk__in=[row.pk for row in self.rows])
        now = timezone.now()
        for name, at in seen.values_list("name", "observed_at"):
            age = (now - at).total_seconds() if at else 0.0
            self.longest[name] = max(self.longest[name], age)
        held = Watch.objects.exclude(lease_holder="")
        for pk, token, holder in held.values_list("cluster_id", "lease_token", "lease_holder"):
            self.owners[str(pk), token].add(holder)

    def until_fresh(self, since: datetime) -> None:
        fresh = Cluster.objects.filter(observed_at__gt=since, state="ready")
        fresh = fresh.filter(pk__in=[row.pk for row in self.rows])

        def all_fresh() -> bool:
            self.look()
            return fresh.count() == len(self.rows)

        until("all clusters are observed again", all_fresh, 120)

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            time.sleep(0.2)


@pytest.fixture
def clusters(sim: SimFleet, everybody: People) -> list[SimCluster]:
    return [sim.add_cluster(nodes=[dict(L4)]) for _ in range(CLUSTERS)]


def collector(name: str, folder: Path) -> stack.CollectorProcess:
    return stack.CollectorProcess(name, folder, stack.environment("", folder))


def all_observed(rows: list[Cluster]) -> None:
    pks = [row.pk for row in rows]
    seen = Cluster.objects.filter(pk__in=pks, state="ready", observed_at__isnull=False)
    until("all clusters are observed", lambda: seen.count() == len(rows))


def check(clock: Clock) -> None:
    """No long gap, one owner per fence, and each GPU counted once."""
    assert max(clock.longest.values()) < GAP, dict(clock.longest)
    assert all(len(holders) == 1 for holders in clock.owners.values())
    for row in Cluster.objects.filter(pk__in=[one.pk for one in clock.rows]):
        assert (row.gpus_physical, row.pools.filter(gone_at=None).count()) == (4, 1)


def test_observation_outlives_a_collector_that_is_killed_again_and_again(
    everybody: People, clusters: list[SimCluster], tmp_path: Path
) -> None:
    rng = random.Random(1)
    rows = [registered(everybody, cluster) for cluster in clusters]
    clock, process = Clock(rows), collector("only", tmp_path)
    process.start()
    try:
        all_observed(rows)
        for number in range(KILLS):
            process.kill()
            killed = timezone.now()
            process.start()
            if number % 5 == 4:  # again, before it could do anything
                clock.wait(rng.uniform(0, 2))
                process.kill()
                process.start()
            clock.until_fresh(killed)
            clock.wait(rng.uniform(0, 3))
    finally:
        process.kill()
    check(clock)


def test_another_collector_takes_over_from_a_killed_one(
    everybody: People, clusters: list[SimCluster], tmp_path: Path
) -> None:
    rows = [registered(everybody, cluster) for cluster in clusters]
    first, second = collector("first", tmp_path), collector("second", tmp_path)
    clock = Clock(rows)
    first.start()
    try:
        all_observed(rows)
        second.start()
        until("they share", lambda: len(holders()) == 2)
        clock.wait(6)
        first.kill()
        killed = time.monotonic()
        until("the other one has all", lambda: len(holders()) == 1 and held() == CLUSTERS)
        assert time.monotonic() - killed < TAKE_OVER
        fresh = timezone.now()
        seen = Cluster.objects.filter(observed_at__gt=fresh)
        until("all are observed", lambda: seen.count() == CLUSTERS, TAKE_OVER)
        clock.look()
    finally:
        first.kill()
        second.kill()
    check(clock)


def holders() -> set[str]:
    now = timezone.now()
    return set(
        Watch.objects.filter(lease_expires_at__gt=now).values_list("lease_holder", flat=True)
    )


def held() -> int:
    return Watch.objects.filter(lease_expires_at__gt=timezone.now()).count()
