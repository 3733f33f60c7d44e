"""The gateway against the simulated fleet, over TLS, through the official client."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from clusters.engine.access import QUESTIONS
from clusters.engine.capabilities import read_capabilities
from clusters.engine.inventory import build_inventory
from clusters.engine.shapes import loose_node, loose_pod
from clusters.engine.types import ProvisionerMode
from clusters.gateway import Connection, Gateway, gateway_for, kinds, kube_system_uid, probe
from clusters.gateway.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerFault,
    TooMany,
    Unauthorized,
    Unreachable,
)
from tests.engine.gpu_nodes import lookup
from tests.simfleet import SimCluster, SimFleet


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    started = SimFleet.start(tmp_path_factory.mktemp("gateway"), speed=50)
    yield started
    started.stop()


@pytest.fixture
def cluster(fleet: SimFleet) -> SimCluster:
    return fleet.add_cluster()


def connection_to(cluster: SimCluster, **changes: Any) -> Connection:
    values: dict[str, Any] = {
        "cluster_id": cluster.name,
        "credential_version": 1,
        "server": cluster.server,
        "ca_pem": cluster.ca_pem,
        "token": cluster.token,
        "allow_loopback": True,
    }
    return Connection(**(values | changes))


@pytest.fixture
def gateway(cluster: SimCluster) -> Iterator[Gateway]:
    made = Gateway(connection_to(cluster))
    yield made
    made.close()


def settings(name: str = "settings", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": data or {"a": "1"},
    }


def test_an_apply_that_creates_returns_the_object(gateway: Gateway) -> None:
    made = gateway.apply(settings())
    again = gateway.apply(settings())
    assert made["metadata"]["uid"] == again["metadata"]["uid"]
    assert made["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    assert made["metadata"]["managedFields"][0]["manager"] == "fleetportal"
    found = gateway.get(kinds.CONFIG_MAP, "default", "settings")
    assert found is not None
    assert found["data"] == {"a": "1"}


def test_a_dry_run_leaves_nothing(gateway: Gateway) -> None:
    assert gateway.apply(settings(), dry_run=True)["data"] == {"a": "1"}
    assert gateway.get(kinds.CONFIG_MAP, "default", "settings") is None


def test_a_field_of_another_manager_is_a_conflict_that_names_it(gateway: Gateway) -> None:
    gateway.apply(settings(a="1"), field_manager="someone")
    with pytest.raises(Conflict) as caught:
        gateway.apply(settings(a="2"))
    assert caught.value.owners == (("someone", ".data.a"),)
    assert gateway.apply(settings(a="2"), force=True)["data"]["a"] == "2"


def test_an_apply_without_its_namespace_is_not_found(gateway: Gateway) -> None:
    lost = settings()
    lost["metadata"]["namespace"] = "nowhere"
    with pytest.raises(NotFound):
        gateway.apply(lost)


def test_a_delete_is_of_that_very_object(gateway: Gateway) -> None:
    uid = gateway.apply(settings())["metadata"]["uid"]
    with pytest.raises(Conflict):
        gateway.delete(kinds.CONFIG_MAP, "default", "settings", uid="another")
    assert gateway.delete(kinds.CONFIG_MAP, "default", "settings", uid=uid)
    assert not gateway.delete(kinds.CONFIG_MAP, "default", "settings", uid=uid)


def test_lists_are_read_in_pages(gateway: Gateway, cluster: SimCluster) -> None:
    for number in range(5):
        cluster.request("POST", "/api/v1/namespaces/default/services", service(f"s{number}"))
    items, version = gateway.list_raw(kinds.SERVICE, "default", limit=2)
    assert {item["metadata"]["name"] for item in items} >= {f"s{n}" for n in range(5)}
    assert version.isdigit()
    chosen, _ = gateway.list_raw(kinds.SERVICE, selector="part=odd")
    assert [item["metadata"]["name"] for item in chosen] == ["s1", "s3"]


def service(name: str) -> dict[str, Any]:
    part = "odd" if int(name[1:]) % 2 else "even"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "labels": {"part": part}},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 5000}]},
    }


def test_a_watch_brings_changes_and_bookmarks_and_ends(gateway: Gateway) -> None:
    _, version = gateway.list_raw(kinds.SERVICE, "default")
    gateway.apply(service("s1"))
    events = list(gateway.watch(kinds.SERVICE, version, namespace="default", timeout_seconds=1))
    assert [event.type for event in events] == ["ADDED", "BOOKMARK"]
    assert int(events[-1].resource_version) > int(version)


def test_a_watch_from_a_version_that_is_too_old_is_gone(
    gateway: Gateway, cluster: SimCluster
) -> None:
    _, version = gateway.list_raw(kinds.SERVICE)
    gateway.apply(service("s1"))
    cluster.compact()
    with pytest.raises(Gone):
        list(gateway.watch(kinds.SERVICE, version, timeout_seconds=2))


def test_a_silent_watch_is_given_up(gateway: Gateway, cluster: SimCluster) -> None:
    cluster.fault("watch_stall")
    _, version = gateway.list_raw(kinds.SERVICE)
    with pytest.raises(Unreachable):
        list(gateway.watch(kinds.SERVICE, version, timeout_seconds=60, silence=0.5))


def test_a_watch_that_is_cut_just_ends(gateway: Gateway, cluster: SimCluster) -> None:
    _, version = gateway.list_raw(kinds.SERVICE)
    events = gateway.watch(kinds.SERVICE, version, timeout_seconds=60)
    gateway.apply(service("s1"))
    assert next(events).type == "ADDED"
    cluster.hang_up()
    assert [event.type for event in events if event.type != "BOOKMARK"] == []


def test_a_wrong_token_is_unauthorized(cluster: SimCluster) -> None:
    with pytest.raises(Unauthorized):
        Gateway(connection_to(cluster, token="wrong")).read("/version")


def test_a_missing_permission_is_forbidden(cluster: SimCluster) -> None:
    token = cluster.new_token(user="poor", rules=[{"verbs": ["get"], "resources": ["nodes"]}])
    with pytest.raises(Forbidden):
        Gateway(connection_to(cluster, token=token)).list_raw(kinds.POD)


def test_faults_have_names_and_delays(gateway: Gateway, cluster: SimCluster) -> None:
    cluster.fault("status", code=429, retry_after=7, count=1)
    with pytest.raises(TooMany) as caught:
        gateway.list_raw(kinds.NODE)
    assert caught.value.delay == 7
    cluster.fault("status", code=500, count=1)
    with pytest.raises(ServerFault):
        gateway.list_raw(kinds.NODE)
    cluster.fault("reset", count=1)
    with pytest.raises(Unreachable):
        gateway.list_raw(kinds.NODE)
    assert gateway.list_raw(kinds.NODE)[0] == []


def test_what_the_schema_does_not_know_is_invalid(gateway: Gateway) -> None:
    wrong = {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": "w", "namespace": "default"},
        "resource": {"count": "many", "labelSelector": {"matchLabels": {"a": "b"}}},
    }
    with pytest.raises(Invalid) as caught:
        gateway.apply(wrong)
    assert any("resource.count" in cause.field for cause in caught.value.causes)


def test_a_probe_of_a_whole_cluster_finds_no_gap(gateway: Gateway, cluster: SimCluster) -> None:
    found = probe(gateway, team_namespace="default")
    capabilities = read_capabilities(found.answers)
    assert found.uid == cluster.uid == kube_system_uid(gateway)
    assert found.clock_skew is not None
    assert abs(found.clock_skew) < 5
    assert capabilities.gaps == ()
    assert (capabilities.kaito_version, capabilities.provisioner) == (
        "0.12.0",
        ProvisionerMode.BYO,
    )
    assert capabilities.inference_set_works


def test_every_permission_that_is_missing_is_a_gap(cluster: SimCluster) -> None:
    rules = [{"verbs": ["create"], "resources": [_REVIEWS]}]
    token = cluster.new_token(user="poor", rules=rules)
    found = probe(Gateway(connection_to(cluster, token=token)))
    capabilities = read_capabilities(found.answers)
    assert found.uid is None
    assert capabilities.provisioner is None
    assert {gap.missing for gap in capabilities.gaps} >= {q.missing for q in QUESTIONS}


_REVIEWS = "selfsubjectaccessreviews.authorization.k8s.io"


def test_nodes_of_the_simulator_make_pools(fleet: SimFleet) -> None:
    row = {"instance_type": "p5.48xlarge", "pool": "h100", "count": 4, "used": [7, 3, 2, 1]}
    gateway = Gateway(connection_to(fleet.add_cluster(nodes=[row])))
    inventory = build_inventory(
        filter(None, map(loose_node, gateway.list_raw(kinds.NODE)[0])),
        filter(None, map(loose_pod, gateway.list_raw(kinds.POD)[0])),
        skus=lookup,
        mode=ProvisionerMode.BYO,
    )
    (pool,) = inventory.pools
    assert (pool.nodes, pool.gpus_per_node, pool.free, pool.whole_free_nodes) == (4, 8, 19, 0)
    assert inventory.slots(pool.key, 4) == 3
    assert pool.selector
    assert inventory.warnings == ()


def test_a_proxy_without_a_service_is_an_error_of_the_api_server(gateway: Gateway) -> None:
    with pytest.raises((NotFound, ServerFault)):
        gateway.service_proxy("default", "nobody", 80, "GET", "/v1/models")


def test_threads_share_one_gateway(gateway: Gateway) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                assert gateway.get(kinds.NAMESPACE, "", "kube-system")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_gateway_is_kept_until_the_credential_changes(cluster: SimCluster) -> None:
    first = gateway_for(connection_to(cluster))
    assert gateway_for(connection_to(cluster)) is first
    assert gateway_for(connection_to(cluster, credential_version=2)) is not first


def test_a_forked_child_makes_its_own_gateway(cluster: SimCluster) -> None:
    first = gateway_for(connection_to(cluster))
    assert kube_system_uid(first) == cluster.uid
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        fresh = gateway_for(connection_to(cluster))
        good = fresh is not first and kube_system_uid(fresh) == cluster.uid
        os.write(writing, b"1" if good else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1) == b"1"
    os.close(reading)
    os.close(writing)
    assert kube_system_uid(first) == cluster.uid
