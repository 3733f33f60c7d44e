"""Thirty bad clusters among a hundred: good ones stay as fresh, bad ones are left in peace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from tests.fleet.relay import Relay
from tests.simfleet import SimCluster, SimFleet
from tests.support import People

GOOD, BAD = 70, 30
SETTLE = 6.0  # seconds until the collector has met every fault
WATCHED_FOR = 14.0  # seconds: nearly three beats
JUST = 0.8  # seconds: what was stored just now
MORE_LOOKS = 2  # a busy machine's hiccup passes, what bad clusters cost stays
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
    {"kind": "expired_certificate"},
    {"kind": "expired_token"},
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


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
    """Over whole beats, from just after one to just after another: part of one would look fresh."""
    until("a beat", lambda: max(ages_of(rows)) < JUST)
    ages: list[float] = []
    pages: list[float] = []
    end = time.monotonic() + WATCHED_FOR
    while time.monotonic() < end or (
        max(ages[-len(rows) :]) > JUST and time.monotonic() < end + 15
    ):
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


def strike(cluster: SimCluster, fault: Mapping[str, Any]) -> None:
    """From now on the cluster is bad."""
    if fault["kind"] == "expired_token":
        cluster.new_token(token=cluster.token, expires_in=0)
    else:
        cluster.fault(**fault)
    cluster.hang_up()


@pytest.fixture
def relays(sim: SimFleet) -> Iterator[Callable[[SimCluster], Relay]]:
    """Counts connections to a cluster's spare server: a handshake that fails is in no log."""
    opened: list[Relay] = []

    def before(cluster: SimCluster) -> Relay:
        opened.append(Relay(cluster.spare_server))
        return opened[-1]

    yield before
    for relay in opened:
        relay.close()


def requests_of(cluster: SimCluster, relay: Relay | None, since: float, to: float) -> list[float]:
    """When the collector asked or tried to, by the simulator's clock, which is this machine's."""
    moments = relay.opened if relay else [entry["mono"] for entry in cluster.log()]
    return [at for at in moments if since <= at <= to]


def test_bad_clusters_cost_the_good_ones_nothing_and_are_asked_seldom(
    sim: SimFleet,
    everybody: People,
    relays: Callable[[SimCluster], Relay],
    record_property: Callable[[str, object], None],
) -> None:
    clusters = [sim.add_cluster(nodes=[dict(L4)]) for _ in range(GOOD + BAD)]
    fault_of = {each.name: FAULTS[at % len(FAULTS)] for at, each in enumerate(clusters[GOOD:])}
    expiring = [name for name, fault in fault_of.items() if fault["kind"] == "expired_certificate"]
    fronts = {each.name: relays(each) for each in clusters if each.name in expiring}
    rows = [
        registered(everybody, each, fronts[each.name].server if each.name in fronts else "")
        for each in clusters
    ]
    good, bad = rows[:GOOD], clusters[GOOD:]
    browser = Client()
    browser.force_login(everybody.operator)
    browser.get("/fleet/")  # the first one compiles templates
    with collecting():
        observed(*rows, seconds=150.0)
        quiet = felt(good, browser)
        for cluster in bad:
            strike(cluster, fault_of[cluster.name])
        time.sleep(SETTLE)
        begun = time.monotonic()
        noisy = felt(good, browser)
        for _ in range(MORE_LOOKS):
            if noisy.worse_than(quiet):
                noisy = felt(good, browser)
        ended = time.monotonic()
        noticed_soon(clusters[0], good[0])
    record_property("without_bad_clusters", str(quiet))
    record_property("with_bad_clusters", str(noisy))
    assert not noisy.worse_than(quiet), (noisy, quiet)
    for cluster in bad:
        fault = fault_of[cluster.name]
        asked = requests_of(cluster, fronts.get(cluster.name), begun, ended)
        assert len(asked) <= MOST * (ended - begun), (fault, len(asked))
        if fault.get("code") == 429:
            gaps = [later - earlier for earlier, later in pairwise(asked)]
            assert all(gap >= RETRY_AFTER for gap in gaps), gaps
    assert states_of(*(row.name for row in good)) == {"ready"}
    refused = {"expired_certificate": "certificate", "expired_token": "nauthorized"}
    for kind, word in refused.items():
        names = [name for name, fault in fault_of.items() if fault["kind"] == kind]
        assert states_of(*names) == {"credentials_refused"}, kind
        for row in Cluster.objects.filter(name__in=names):
            assert word in row.state_reason, row.state_reason


def states_of(*names: str) -> set[str]:
    return set(Cluster.objects.filter(name__in=names).values_list("state", flat=True))


def noticed_soon(cluster: SimCluster, row: Cluster) -> None:
    """A change on a good cluster is stored within moments."""
    name = cluster.objects("Node")[0]["metadata"]["name"]
    cluster.edit("Node", "", name, {"spec": {"unschedulable": True}})
    begun = time.monotonic()
    until("it is stored", lambda: Cluster.objects.get(pk=row.pk).gpus_free != row.gpus_physical, 5)
    assert time.monotonic() - begun < 3
