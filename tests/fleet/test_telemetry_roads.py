"""The two roads against simulated clusters: what they read, and how they bear what goes wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from clusters.engine.telemetry.types import Scrape
from clusters.gateway.stream import StreamClient
from clusters.selectors.metrics import MetricsSettings
from clusters.telemetry.asking import prometheus_of
from clusters.telemetry.direct import DirectRoad
from clusters.telemetry.finding import place_of, prometheus_service
from clusters.telemetry.prometheus import PrometheusRoad
from tests.fleet.metered import SUBJECT, asking, serving_cluster, targets_of
from tests.simfleet import SimCluster, SimFleet

READ_ONLY = [
    {"verbs": ["get", "list", "watch"], "resources": ["pods", "services", "namespaces", "nodes"]}
]


@pytest.fixture(scope="module")
def cluster(sim: SimFleet) -> Iterator[SimCluster]:
    made = serving_cluster(sim)
    yield made
    sim.control("DELETE", f"/_sim/clusters/{made.name}")


@pytest.fixture
def faulty(cluster: SimCluster) -> Iterator[SimCluster]:
    yield cluster
    cluster.clear_faults()


async def direct(client: StreamClient) -> tuple[Scrape, float]:
    road = DirectRoad(StreamClient(client.connection))
    try:
        return await road.scrape(await targets_of(client)), road.hold
    finally:
        road.close()


async def by_prometheus(
    client: StreamClient, service: str | None = None, url: str = ""
) -> tuple[Scrape, float]:
    place = await prometheus_service(client) if service is None else service
    metrics = MetricsSettings(road="prometheus", service=place, url=url)
    prometheus = prometheus_of(metrics, StreamClient(client.connection), "")
    assert prometheus is not None
    road = PrometheusRoad(prometheus, metrics)
    try:
        return await road.scrape(await targets_of(client)), road.hold
    finally:
        road.close()


def asked(cluster: SimCluster, after: int) -> list[str]:
    return [entry["path"] for entry in cluster.log(after) if "/proxy" in entry["path"]]


def last(cluster: SimCluster) -> int:
    return max((entry["seq"] for entry in cluster.log()), default=0)


def test_the_direct_road_reads_engines_and_cards_by_the_pod_proxy(cluster: SimCluster) -> None:
    scrape, hold = asking(cluster, direct)
    (reading,) = scrape.readings.values()
    assert (reading.runtime, scrape.problem, hold) == ("vllm", "", 0.0)
    assert {"requests", "generation_tokens"} <= reading.counters.keys()
    assert {"ttft", "itl", "e2e"} <= reading.histograms.keys()
    assert scrape.gpus is not None
    assert len(scrape.gpus) == 4
    assert sum(gpu.pods == (f"{SUBJECT}-0",) for gpu in scrape.gpus) == 1
    assert not scrape.problems


def test_both_roads_say_the_same_of_the_same_cluster(cluster: SimCluster) -> None:
    async def both(client: StreamClient) -> tuple[Scrape, Scrape]:
        one, other = await asyncio.gather(direct(client), by_prometheus(client))
        return one[0], other[0]

    here, there = asking(cluster, both)
    assert there.problem == ""
    assert here.readings.keys() == there.readings.keys()
    (one,), (other,) = here.readings.values(), there.readings.values()
    assert one.exported == other.exported
    assert one.histograms["ttft"].bounds == other.histograms["ttft"].bounds
    assert abs(one.counters["requests"] - other.counters["requests"]) <= 50
    assert here.gpus is not None and there.gpus is not None
    known = [(gpu.node, gpu.index, gpu.uuid, gpu.pods, gpu.memory_total) for gpu in here.gpus]
    found = [(gpu.node, gpu.index, gpu.uuid, gpu.pods, gpu.memory_total) for gpu in there.gpus]
    assert known == found


def test_without_the_permission_the_problem_names_it(cluster: SimCluster) -> None:
    token = cluster.new_token(user="reader", rules=READ_ONLY)
    after = last(cluster)
    scrape, hold = asking(cluster, direct, token)
    assert scrape.readings == {} and not scrape.gpus
    assert "pods/proxy" in scrape.problem and "stay unknown" in scrape.problem
    assert set(scrape.problems) == {target.uid for target in scrape.targets}
    assert hold == 15.0
    assert len(asked(cluster, after)) <= 4  # once or twice for each namespace
    scrape, _ = asking(cluster, by_prometheus, token)
    assert "services/proxy" in scrape.problem and "monitoring/prometheus:9090" in scrape.problem


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "status", "code": 500}, "simulated fault"),
        ({"kind": "status", "code": 429, "retry_after": 40}, "try again later"),
        ({"kind": "blackhole"}, "within 3 s"),
        ({"kind": "reset"}, "connection"),
    ],
)
def test_a_cluster_in_trouble_is_left_alone(
    faulty: SimCluster, fault: dict[str, object], said: str
) -> None:
    faulty.fault(resource="pods/proxy", **{str(k): v for k, v in fault.items()})  # type: ignore[arg-type]
    after, began = last(faulty), time.monotonic()
    scrape, hold = asking(faulty, direct)
    assert scrape.readings == {}
    assert said in scrape.problem
    assert len(asked(faulty, after)) <= 6
    assert time.monotonic() - began < 12
    assert hold >= (40 if fault.get("code") == 429 else 15)


def test_one_silent_pod_costs_its_own_numbers_only(sim: SimFleet, cluster: SimCluster) -> None:
    async def with_a_stranger(client: StreamClient) -> Scrape:
        targets = await targets_of(client)
        gone = type(targets[0])("serving", "team", "gone-0", "u", "n", 5000, "/metrics", "team/x")
        road = DirectRoad(StreamClient(client.connection))
        try:
            return await road.scrape([gone, *targets])
        finally:
            road.close()

    scrape = asking(cluster, with_a_stranger)
    assert len(scrape.readings) == 1
    assert list(scrape.problems) == ["u"]
    assert scrape.problem == ""


def test_a_prometheus_that_is_not_there_is_named(cluster: SimCluster) -> None:
    async def elsewhere(client: StreamClient) -> tuple[Scrape, float]:
        return await by_prometheus(client, service="monitoring/nothing:9090")

    scrape, hold = asking(cluster, elsewhere)
    assert "There is no Prometheus at monitoring/nothing:9090" in scrape.problem
    assert hold == 15.0


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/",
        "https://[fd00:ec2::254]/",
        "https://0.0.0.0/",
        "https://224.0.0.1",
    ],
)
def test_an_external_address_of_a_refused_kind_is_never_connected_to(
    cluster: SimCluster, url: str
) -> None:
    async def outside(client: StreamClient) -> tuple[Scrape, float]:
        return await by_prometheus(client, service="", url=url)

    scrape, _ = asking(cluster, outside)
    assert scrape.problem
    assert scrape.readings == {}


def test_an_external_address_must_have_a_certificate_that_verifies(cluster: SimCluster) -> None:
    """The simulator's CA is known to nobody but its own clusters' rows."""

    async def outside(client: StreamClient) -> tuple[Scrape, float]:
        return await by_prometheus(client, service="", url=client.connection.server)

    scrape, _ = asking(cluster, outside)
    assert "TLS" in scrape.problem


def test_an_external_prometheus_is_read_with_its_own_token_and_ca(cluster: SimCluster) -> None:
    address = f"{cluster.server}/api/v1/namespaces/monitoring/services/prometheus:9090/proxy"

    async def outside(client: StreamClient) -> Scrape:
        metrics = MetricsSettings(road="prometheus", url=address, ca_pem=cluster.ca_pem)
        prometheus = prometheus_of(metrics, client, cluster.admin_token)
        assert prometheus is not None
        road = PrometheusRoad(prometheus, metrics)
        try:
            return await road.scrape(await targets_of(client))
        finally:
            road.close()

    scrape = asking(cluster, outside)
    assert (scrape.problem, len(scrape.readings)) == ("", 1)


def test_a_service_is_a_prometheus_by_its_web_port() -> None:
    def service(*ports: object, **meta: str) -> dict[str, object]:
        return {"metadata": {"namespace": "m", "name": "p", **meta}, "spec": {"ports": list(ports)}}

    web = {"name": "http-web", "port": 80}
    assert place_of(service({"name": "grpc", "port": 10901}, web)) == "m/p:80"
    assert place_of(service({"port": 9090})) == "m/p:9090"
    assert place_of(service({"name": "grpc", "port": 10901})) == ""
    assert place_of(service({"name": "web", "port": "x"})) == ""
    assert place_of({"spec": None}) == ""
