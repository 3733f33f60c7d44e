"""The time machine's ground truth: what was stored is what is read back, for every minute."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.engine import moments
from clusters.models import Cluster, GpuHour, InventoryMoment
from clusters.selectors import census, pack
from clusters.selectors.moments import fleet_at, use_at
from clusters.services.moments import KEEP, moment_store, moments_begin, moments_prune
from clusters.services.registration import cluster_cordon, cluster_remove
from fleetportal.accounts.principal import Principal
from tests.clusters.rows import make_cluster, node, pool
from tests.conftest import CountQueries
from tests.support import People

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 1, 12, 0, 20, tzinfo=UTC)
LAX = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 5, 30, 60, 61, 3600, 90_000]),  # seconds later
        st.integers(0, 3),  # GPUs in use
        st.sampled_from(["ready", "degraded", "unreachable"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture
def principal(people: People) -> Principal:
    return Principal(people.operator)


def write(cluster: Cluster, used: int, state: str, cordoned: bool) -> dict[str, Any]:
    """The row as it is from now on."""
    nodes = [node(used=used)]
    fields: dict[str, Any] = {
        "nodes_packed": pack(tuple(nodes)),
        "pools_packed": pack((pool("h100", nodes),)),
        "state": state,
        "cordoned": cordoned,
    }
    Cluster.objects.filter(pk=cluster.pk).update(**fields)
    return fields


def minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


@LAX
@given(STEPS)
def test_every_minute_reads_back_as_it_ended(
    principal: Principal, steps: list[tuple[int, int, str, bool]]
) -> None:
    cluster = make_cluster(f"c-{uuid4().hex[:12]}")
    at, ended = START, {}
    for later, used, state, cordoned in steps:
        at += timedelta(seconds=later)
        ended[minute(at)] = write(cluster, used, state, cordoned)
        moment_store(cluster=cluster, at=at)
    times = sorted(ended)
    for time, following in pairwise([*times, times[-1] + timedelta(days=1)]):
        for asked in (time, time + timedelta(seconds=59), following - timedelta(seconds=1)):
            found = {c.pk: c for c in fleet_at(principal, asked).clusters}[cluster.pk]
            assert {key: getattr(found, key) for key in ended[time]} == ended[time]
    rows = list(InventoryMoment.objects.filter(cluster=cluster).order_by("at"))
    assert len(rows) <= len(times)
    said = [(row.state, row.cordoned, bytes(row.packed)) for row in rows]
    assert all(one != other for one, other in pairwise(said))  # nothing is stored twice
    assert cluster.pk in {c.pk for c in fleet_at(principal, START - timedelta(days=1)).unknown}


def test_a_clock_that_goes_back_changes_the_newest_moment_only(principal: Principal) -> None:
    cluster = make_cluster("a")
    write(cluster, 1, "ready", False)
    moment_store(cluster=cluster, at=START)
    write(cluster, 2, "ready", False)
    moment_store(cluster=cluster, at=START - timedelta(hours=1))
    assert [row.at for row in InventoryMoment.objects.all()] == [minute(START)]
    (found,) = fleet_at(principal, START).clusters
    assert census.tally(found).allocated == 2


def test_a_minute_that_ends_as_it_began_leaves_no_trace() -> None:
    cluster = make_cluster("a")
    for seconds, used in ((0, 1), (60, 2), (70, 1)):
        write(cluster, used, "ready", False)
        moment_store(cluster=cluster, at=START + timedelta(seconds=seconds))
    assert InventoryMoment.objects.count() == 1


def test_the_fleet_of_a_moment_takes_two_queries_whatever_its_size(
    principal: Principal, count_queries: CountQueries
) -> None:
    for number in range(30):
        cluster = make_cluster(f"c-{number}", [node(used=1)])
        moment_store(cluster=cluster, at=START)
    with count_queries() as counted:
        past = fleet_at(principal, START)
        assert census.overview(past.clusters).total.allocated == 30
    assert len(counted) == 2


def test_what_could_not_be_seen_then_is_unknown_not_free(principal: Principal) -> None:
    gap = {"feature": "observe", "missing": "list pods", "cost": ""}
    cluster = make_cluster("a", [node()], capabilities={"gaps": [gap]})
    moment_store(cluster=cluster, at=START)
    Cluster.objects.filter(pk=cluster.pk).update(capabilities={})
    tally = census.overview(fleet_at(principal, START).clusters).total
    assert (tally.unknown, tally.free) == (8, 0)


def test_cordons_and_removals_are_moments_too(people: People) -> None:
    operator = Principal(people.operator)
    cluster = make_cluster("a", [node()])
    moment_store(cluster=cluster, at=timezone.now() - timedelta(hours=2))
    before = timezone.now() - timedelta(hours=1)
    cluster_cordon(principal=operator, cluster=cluster, reason="upgrade")
    assert not fleet_at(operator, before).clusters[0].cordoned
    assert fleet_at(operator, timezone.now()).clusters[0].cordoned
    cluster_remove(principal=operator, cluster=cluster)
    assert fleet_at(operator, timezone.now()).clusters == []
    assert len(fleet_at(operator, before).clusters) == 1  # it was there then


def test_clusters_of_other_teams_are_not_in_the_past_either(people: People) -> None:
    cluster = make_cluster("a", [node()], open_to_all=False)
    moment_store(cluster=cluster, at=START)
    assert fleet_at(Principal(people.viewer), START).clusters == []


def test_pruning_keeps_what_the_oldest_day_still_needs(principal: Principal) -> None:
    cluster, now = make_cluster("a"), START + KEEP + timedelta(days=10)
    for days in range(20):
        write(cluster, days % 4, "ready", False)
        moment_store(cluster=cluster, at=START + timedelta(days=days))
    edge = now - KEEP
    asked = [edge, edge + timedelta(days=3), now]
    before = [bytes(fleet_at(principal, at).clusters[0].nodes_packed) for at in asked]
    assert moments_prune(now) == 10
    assert moments_prune(now) == 0
    assert [bytes(fleet_at(principal, at).clusters[0].nodes_packed) for at in asked] == before


def test_a_cluster_that_never_changes_has_a_first_moment(principal: Principal) -> None:
    make_cluster("a", [node()])
    assert moments_begin(START) == 1
    assert moments_begin(START) == 0
    assert len(fleet_at(principal, START).clusters) == 1


def test_a_damaged_moment_is_a_cluster_that_nobody_could_see(principal: Principal) -> None:
    cluster = make_cluster("a", [node()])
    InventoryMoment.objects.create(cluster=cluster, at=START, state="ready", packed=b"odd")
    (found,) = fleet_at(principal, START).clusters
    assert census.unseen(found)


def test_the_dictionary_that_stored_moments_need_is_what_it_always_was() -> None:
    assert zlib.crc32(moments.DICTIONARY) == 2373293917


def test_a_small_clusters_moment_is_small() -> None:
    nodes = [node(f"node-{number}", used=number % 8) for number in range(10)]
    held = moments.Moment(pack(tuple(nodes)), pack((pool("h100", nodes),)))
    packed = moments.encode(held)
    assert len(packed) < 400
    assert moments.decode(packed) == held


def test_use_is_that_of_the_minute_or_else_of_the_hour() -> None:
    cluster, hour = make_cluster("a"), minute(START).replace(minute=0)
    GpuHour.objects.create(cluster=cluster, hour=hour, minutes=60, measured=120, busy=30)
    use = use_at([cluster], START)[cluster.pk]
    assert (use.share, use.gpus, use.by_minute) == (0.25, 2, False)
    assert use_at([cluster], START + timedelta(days=1)) == {}
