"""The collector against simulated clusters: what it keeps, how it goes on, what it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from clusters.models import Cluster, ObservedObject, Watch
from tests.fleet.collecting import (
    DEVICES,
    LISTS,
    asked,
    collecting,
    last,
    listed,
    observed,
    observed_from_now,
    registered,
)
from tests.fleet.harness import Collector, until
from tests.simfleet import SimCluster, SimFleet
from tests.support import People

NODES = "/api/v1/nodes"
READ = ["get", "list", "watch"]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    """A simulator without actors, whose watches bring a bookmark every second."""
    started = SimFleet.start(tmp_path_factory.mktemp("quiet"), actors=False, bookmarks=1)
    yield started
    started.stop()


def node(name: str, gpus: int = 8) -> dict[str, Any]:
    resources = {"nvidia.com/gpu": str(gpus), "cpu": "96", "memory": "1000Gi"}
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-L4",
        "nvidia.com/gpu.count": str(gpus),
        "nvidia.com/gpu.memory": "23034",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(name: str, gpus: int = 0, **labels: str) -> dict[str, Any]:
    asks = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    container = {"name": "main", "image": "x", "resources": {"limits": asks, "requests": asks}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"nodeName": "n0", "containers": [container]},
        "status": {"phase": "Running"},
    }


def create(cluster: SimCluster, body: dict[str, Any]) -> None:
    path = NODES if body["kind"] == "Node" else "/api/v1/namespaces/default/pods"
    status, answer, _ = cluster.request("POST", path, body)
    assert status == 201, answer
    name = body["metadata"]["name"]
    if "status" in body:
        status, answer, _ = cluster.request(
            "PATCH",
            f"{path}/{name}/status",
            {"status": body["status"]},
            content_type="application/merge-patch+json",
        )
        assert status == 200, answer


def used(row: Cluster) -> int | None:
    return Cluster.objects.values_list("gpus_used", flat=True).get(pk=row.pk)


def physical(row: Cluster) -> int | None:
    return Cluster.objects.values_list("gpus_physical", flat=True).get(pk=row.pk)


def state_of(row: Cluster) -> str:
    return Cluster.objects.values_list("state", flat=True).get(pk=row.pk)


@pytest.fixture
def cluster(quiet: SimFleet) -> SimCluster:
    made = quiet.add_cluster(bare=True)
    create(made, node("n0"))
    return made


def test_of_pods_only_those_are_kept_that_matter(everybody: People, cluster: SimCluster) -> None:
    create(cluster, pod("web"))
    create(cluster, pod("trainer", 2))
    create(cluster, pod("chat-0", 1, **{"kaito.sh/workspace": "chat"}))
    row = registered(everybody, cluster)
    with collecting():
        observed(row)
        until("both are counted", lambda: used(row) == 3)
        create(cluster, pod("later", 4))
        until("a change is heard", lambda: used(row) == 7)
        cluster.request("DELETE", "/api/v1/namespaces/default/pods/trainer")
        until("an end is heard", lambda: used(row) == 5)
    kept = ObservedObject.objects.get()
    assert (kept.kind, kept.name, kept.owner) == ("Pod", "chat-0", "chat")
    assert kept.body["kind"] == "Pod"
    assert "managedFields" not in kept.body["metadata"]


def test_a_steady_cluster_is_listed_once_and_then_only_watched(
    everybody: People, cluster: SimCluster
) -> None:
    row = registered(everybody, cluster)
    with collecting():
        observed(row)
        for _ in range(3):
            cluster.hang_up()
            create(cluster, node(f"more-{last(cluster)}"))
            observed_from_now(row)
        until("all nodes are counted", lambda: physical(row) == 32)
    assert listed(cluster) == sorted(LISTS)
    assert len(asked(cluster, "watch")) >= 8  # begun again from where they were


def test_a_watch_that_is_cut_goes_on_without_a_list(everybody: People, cluster: SimCluster) -> None:
    row = registered(everybody, cluster)
    with collecting():
        observed(row)
        after = last(cluster)
        cluster.fault("watch_drop", seconds=0.2, count=4)
        cluster.hang_up()
        create(cluster, node("late"))
        until("nothing is missed", lambda: physical(row) == 16)
    assert listed(cluster, after) == []


def test_a_version_that_is_too_old_means_one_more_list(
    everybody: People, cluster: SimCluster
) -> None:
    row = registered(everybody, cluster)
    with collecting():
        observed(row)
        after = last(cluster)
        cluster.fault("status", code=500, verb="watch")
        cluster.hang_up()
        create(cluster, node("late"))
        cluster.compact()
        cluster.clear_faults()
        until("nothing is missed", lambda: physical(row) == 16)
    assert "nodes" in listed(cluster, after)


def test_another_cluster_at_the_address_is_never_stored(
    everybody: People, cluster: SimCluster
) -> None:
    row = registered(everybody, cluster)
    with collecting():
        observed(row)
        cluster.fault("other_uid")
        cluster.hang_up()
        until("it is noticed", lambda: state_of(row) == "different_cluster")
        create(cluster, node("foreign"))
        after = last(cluster)
        until("it is asked again", lambda: asked(cluster, "get", after))
    assert physical(row) == 8


def test_what_may_not_be_listed_is_unknown_and_not_zero(everybody: People, quiet: SimFleet) -> None:
    made = quiet.add_cluster(
        bare=True, rules=[{"verbs": READ, "resources": ["nodes", "namespaces"]}]
    )
    create(made, node("n0"))
    row = registered(everybody, made)
    with collecting():
        until("it is degraded", lambda: state_of(row) == "degraded")
    row.refresh_from_db()
    assert "pods" in row.state_reason
    assert row.gpus_used is None
    assert row.gpus_free is None


def test_a_cluster_whose_devices_may_not_be_read_is_fine(
    everybody: People, cluster: SimCluster
) -> None:
    for resource in DEVICES:
        cluster.fault("status", code=403, resource=resource)
    row = registered(everybody, cluster)
    with collecting():
        observed(row)
        observed_from_now(row)
    assert {entry["code"] for entry in cluster.log() if entry["resource"] in DEVICES} == {403}
    assert state_of(row) == "ready"


def test_a_second_collector_takes_half_and_all_when_the_first_ends(
    everybody: People, quiet: SimFleet
) -> None:
    rows = [registered(everybody, quiet.add_cluster(bare=True)) for _ in range(4)]
    with collecting(Collector("first")) as (first,):
        observed(*rows)
        second = Collector("second")
        second.start()
        try:
            until("they share", lambda: owners() == {"first": 2, "second": 2}, 30)
            observed_from_now(*rows)
            assert first.stop()
            until("the second has all", lambda: owners() == {"second": 4}, 30)
            observed_from_now(*rows)
        finally:
            assert second.stop()
    assert owners() == {}


def owners() -> dict[str, int]:
    """Clusters by the name of their collector."""
    held = Watch.objects.filter(lease_expires_at__gt=timezone.now())
    names = [holder.partition("/")[0] for holder in held.values_list("lease_holder", flat=True)]
    return {name: names.count(name) for name in names}
