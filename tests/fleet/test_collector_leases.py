"""Leases of clusters: fair shares, one owner at a time, and nothing stored by one who lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from clusters.engine.health import Contact
from clusters.models import Cluster, ObservedObject, Watch
from clusters.services.inventory import inventory_store
from clusters.services.observation import contact_record, objects_store, seen
from clusters.services.watches import (
    KIND,
    Fence,
    FenceLost,
    watches_claim,
    watches_owned,
    watches_release,
    watches_renew,
    watches_share,
)
from fleetportal.pulse import heartbeats
from tests.clusters.rows import make_cluster
from tests.support import race


def fleet(count: int) -> list[Cluster]:
    return [make_cluster(f"cluster-{number}") for number in range(count)]


def run_out(holder: str) -> None:
    """As if its holder had been silent for longer than a lease."""
    past = timezone.now() - timedelta(seconds=1)
    Watch.objects.filter(lease_holder=holder).update(lease_expires_at=past)


def fence_of(row: Cluster, holder: str) -> Fence:
    return Fence(str(row.pk), holder, watches_owned(holder=holder)[str(row.pk)])


@pytest.mark.django_db
def test_one_collector_takes_all_and_two_share() -> None:
    fleet(5)
    heartbeats.beat(KIND, "a")
    assert watches_share() == 5
    assert watches_claim(holder="a", most=5) == 5
    heartbeats.beat(KIND, "b")
    assert watches_share() == 3
    assert watches_claim(holder="b", most=3) == 0
    watches_release(holder="a", clusters=list(watches_owned(holder="a"))[3:])
    assert watches_claim(holder="b", most=3) == 2
    assert not set(watches_owned(holder="a")) & set(watches_owned(holder="b"))


@pytest.mark.django_db
def test_a_silent_collector_is_not_counted_and_its_clusters_are_taken() -> None:
    row = fleet(1)[0]
    heartbeats.beat(KIND, "a")
    watches_claim(holder="a", most=1)
    old = fence_of(row, "a")
    assert watches_claim(holder="b", most=1) == 0
    run_out("a")
    assert watches_claim(holder="b", most=1) == 1
    assert fence_of(row, "b").token == old.token + 1
    assert watches_renew(holder="a") == {}


@pytest.mark.django_db
def test_a_lease_that_nobody_took_is_renewed_with_the_same_token() -> None:
    row = fleet(1)[0]
    watches_claim(holder="a", most=1)
    token = fence_of(row, "a").token
    run_out("a")
    assert watches_renew(holder="a") == {str(row.pk): token}


@pytest.mark.django_db
def test_retired_and_unidentified_clusters_are_not_watched() -> None:
    make_cluster("retired", state="retired")
    make_cluster("unknown", uid="")
    assert watches_share() == 0
    assert watches_claim(holder="a", most=9) == 0


Store = Callable[[Cluster, Fence], object]


def store_inventory(row: Cluster, fence: Fence) -> object:
    return inventory_store(cluster=row, nodes=[], pods=[], at=timezone.now(), fence=fence)


def store_objects(row: Cluster, fence: Fence) -> object:
    body = {"metadata": {"name": "chat", "namespace": "fp", "uid": "u", "resourceVersion": "1"}}
    return objects_store(cluster=row, kind="Workspace", bodies=[body], install="main", fence=fence)


def store_contact(row: Cluster, fence: Fence) -> object:
    reason = "Nobody answers."
    return contact_record(cluster=row, contact=Contact.UNREACHABLE, reason=reason, fence=fence)


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize("store", [store_inventory, store_objects, store_contact])
@pytest.mark.parametrize("lost", ["taken", "expired"])
def test_whoever_lost_a_cluster_stores_nothing_of_it(store: Store, lost: str) -> None:
    row = make_cluster("prod", observed_at=None)
    watches_claim(holder="a", most=1)
    fence = fence_of(row, "a")
    run_out("a")
    if lost == "taken":
        watches_claim(holder="b", most=1)
    before = Cluster.objects.values().get(pk=row.pk)
    with pytest.raises(FenceLost):
        store(row, fence)
    assert Cluster.objects.values().get(pk=row.pk) == before
    assert not ObservedObject.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("store", [store_inventory, store_objects, store_contact])
def test_whoever_holds_a_cluster_stores_what_it_saw(store: Store) -> None:
    row = make_cluster("prod")
    watches_claim(holder="a", most=1)
    store(row, fence_of(row, "a"))


@pytest.mark.django_db
def test_a_sign_of_life_counts_only_for_clusters_that_are_held() -> None:
    ours, theirs = fleet(2)
    watches_claim(holder="a", most=1)
    held = watches_owned(holder="a")
    ours, theirs = (ours, theirs) if str(ours.pk) in held else (theirs, ours)
    watches_claim(holder="b", most=1)
    at = timezone.now()
    seen([ours.pk, theirs.pk], at, holder="a")
    stamps = dict(Cluster.objects.values_list("pk", "observed_at"))
    assert stamps[ours.pk] == at
    assert stamps[theirs.pk] != at


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_collectors_that_grab_at_once_each_cluster_goes_to_one() -> None:
    fleet(12)
    taken = race(lambda number: watches_claim(holder=f"c{number}", most=12), 4)
    assert sum(n for n in taken if isinstance(n, int)) == 12, taken
    assert set(Watch.objects.values_list("lease_token", flat=True)) == {1}


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_in_any_order_of_events_a_cluster_has_one_owner_whose_fence_holds(seed: int) -> None:
    rng, holders = random.Random(seed), ("a", "b", "c")
    rows = fleet(4)
    given: dict[tuple[str, int], str] = {}  # cluster and token -> who was given it
    for _ in range(40):
        holder = rng.choice(holders)
        step = rng.choice(["claim", "claim", "renew", "release", "silence"])
        if step == "claim":
            watches_claim(holder=holder, most=rng.randrange(1, 5))
        elif step == "renew":
            watches_renew(holder=holder)
        elif step == "release":
            watches_release(holder=holder, clusters=list(watches_owned(holder=holder))[:2])
        else:
            run_out(holder)
        check_owners(holders, given)
    assert len(rows) == Watch.objects.count()


def check_owners(holders: Sequence[str], given: dict[tuple[str, int], str]) -> None:
    owners: dict[str, str] = {}
    for holder in holders:
        for pk, token in watches_owned(holder=holder).items():
            assert owners.setdefault(pk, holder) == holder
            assert given.setdefault((pk, token), holder) == holder
    for (pk, token), holder in given.items():
        fence = Fence(pk, holder, token)
        now = Watch.objects.get(cluster_id=pk)
        expires = now.lease_expires_at
        holds = (now.lease_holder, now.lease_token) == (holder, token)
        if holds and expires is not None and expires > timezone.now():
            with transaction.atomic():
                fence.hold()
        else:
            with pytest.raises(FenceLost), transaction.atomic():
                fence.hold()
