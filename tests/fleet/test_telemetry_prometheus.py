"""A Prometheus that comes, moves and goes while the portal watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from uuid import uuid4

import pytest

from clusters.engine.telemetry import promql
from clusters.engine.telemetry.prometheus import Answer, Line
from clusters.engine.telemetry.types import RuntimeReading, Scrape, Target
from clusters.gateway.stream import StreamClient
from clusters.selectors.metrics import MetricsSettings
from clusters.telemetry.asking import Prometheus
from clusters.telemetry.fallback import GONE, MEANWHILE, Fallback
from clusters.telemetry.finding import SELECTORS, Lookout
from clusters.telemetry.prometheus import PrometheusRoad
from tests.fleet.metered import asking
from tests.simfleet import SimCluster, SimFleet

SERVICES = "/api/v1/namespaces/default/services"
AGAIN = 0.3  # seconds in place of an hour


@pytest.fixture
def cluster(sim: SimFleet) -> Iterator[SimCluster]:
    made = sim.add_cluster(bare=True)
    yield made
    sim.control("DELETE", f"/_sim/clusters/{made.name}")


def install(cluster: SimCluster, name: str = "metrics", selector: str = SELECTORS[0]) -> None:
    key, _, value = selector.partition("=")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "labels": {key: value}},
        "spec": {"ports": [{"name": "web", "port": 9090}], "selector": {"app": name}},
    }
    status, answer, _ = cluster.request("POST", SERVICES, service)
    assert status == 201, answer


def asked(cluster: SimCluster, after: int = 0) -> list[str]:
    return [one["path"] for one in cluster.log(after) if "/services" in one["path"]]


def looking(cluster: SimCluster, steps: Callable[[list[str]], Awaitable[None]]) -> list[str]:
    """What a lookout tells while `steps` run; as in a collector it then looks at what it told."""

    async def work(client: StreamClient) -> list[str]:
        told, pk, lookout = [""], uuid4(), Lookout(again=AGAIN)

        async def look() -> None:
            while True:
                task = asyncio.create_task(lookout.run(pk, client, told[-1], tell))
                await heard.wait()
                heard.clear()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        async def tell(service: str) -> None:
            told.append(service)
            heard.set()

        heard = asyncio.Event()
        task = asyncio.create_task(look())
        try:
            async with asyncio.timeout(20):
                await steps(told)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return told[1:]

    return asking(cluster, work)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_prometheus_that_is_installed_later_is_found(cluster: SimCluster, selector: str) -> None:
    async def steps(told: list[str]) -> None:
        await until(lambda: len(asked(cluster)) > len(SELECTORS))
        install(cluster, selector=selector)
        await until(lambda: len(told) > 1)

    assert looking(cluster, steps) == ["default/metrics:9090"]


def test_one_that_goes_is_noticed_and_one_that_moved_is_found_again(cluster: SimCluster) -> None:
    install(cluster)

    async def steps(told: list[str]) -> None:
        await until(lambda: len(told) == 2)
        cluster.request("DELETE", f"{SERVICES}/metrics")
        await until(lambda: len(told) == 3)
        install(cluster, "first")
        await until(lambda: len(told) == 4)
        install(cluster, "second")
        cluster.request("DELETE", f"{SERVICES}/first")
        await until(lambda: len(told) == 5)

    places = ["default/metrics:9090", "", "default/first:9090", "default/second:9090"]
    assert looking(cluster, steps) == places


def test_looking_again_costs_one_small_request_each_time(cluster: SimCluster) -> None:
    async def steps(_: list[str]) -> None:
        await until(lambda: len(asked(cluster)) >= len(SELECTORS) + 4)

    began = time.monotonic()
    assert looking(cluster, steps) == []
    later = len(asked(cluster)) - len(SELECTORS)
    assert 4 <= later <= (time.monotonic() - began) / (0.8 * AGAIN) + 1


class Road:
    """Says what it is told to; its readings are those of `name`."""

    def __init__(self, name: str) -> None:
        self.hold = 0.0
        self.problem = ""
        self.looks = 0
        self.closed = False
        self._name = name

    async def scrape(self, targets: object) -> Scrape:
        self.looks += 1
        target = Target("serving", "team", "chat-0", "u", "n", 5000, "/metrics", "team/chat")
        reading = RuntimeReading("vllm", "m", {"requests": self.looks}, {}, {}, {}, ())
        found = {} if self.problem else {"u": reading}
        return Scrape(0.0, self._name, found, (target,), None, {}, self.problem)

    def close(self) -> None:
        self.closed = True


def test_without_its_prometheus_a_cluster_is_read_directly_until_it_is_back() -> None:
    first, other, now = Road("prometheus"), Road("direct"), [0.0]
    road = Fallback(first, other, clock=lambda: now[0])

    def looks(count: int = 1) -> list[tuple[str, str]]:
        found = [asyncio.run(road.scrape([])) for _ in range(count)]
        return [(scrape.road, scrape.problem) for scrape in found]

    assert looks() == [("prometheus", "")]
    first.problem = "There is no Prometheus."
    assert looks(GONE - 1) == [("prometheus", first.problem)] * (GONE - 1)
    assert looks(5) == [("direct", first.problem + MEANWHILE)] * 5
    assert (first.looks, other.looks) == (GONE + 1, 5), "it is not asked at every look"
    now[0] = 1000.0
    assert looks() == [("direct", first.problem + MEANWHILE)]
    other.problem = "Metrics may not be read."
    assert looks() == [("direct", first.problem)], "neither answers"
    first.problem, now[0] = "", 2000.0
    assert looks(2) == [("prometheus", "")] * 2
    road.close()
    assert first.closed and other.closed


class Remembering(Prometheus):
    """Knows one number of requests of team/chat-0, and when it scraped it."""

    def __init__(self) -> None:
        self.requests, self.scraped = 1000, 90.0
        self.asked: list[str] = []

    async def query(self, text: str, *, at: float, deadline: float) -> Answer:
        self.asked.append(text)
        pod = {"namespace": "team", "pod": "chat-0"}
        if text == promql.newest():
            return Answer((Line(pod, ((at, self.scraped),)),))
        if text != promql.raw_counters():
            return Answer()
        name = {"__name__": "vllm:request_success_total", "finished_reason": "stop"}
        return Answer((Line({**pod, **name}, ((at, float(self.requests)),)),))


def test_what_was_scraped_of_the_pod_before_is_not_that_of_its_successor() -> None:
    """A pod of a StatefulSet comes back under its name, while the old one's last look lives on."""
    prometheus, now = Remembering(), [100.0]
    road = PrometheusRoad(prometheus, MetricsSettings(), clock=lambda: now[0])

    def requests(uid: str, started: float) -> int | None:
        pod = ("serving", "team", "chat-0", uid, "n", 5000, "/metrics", "team/chat", started)
        found = asyncio.run(road.scrape([Target(*pod)]))
        assert found.problem == ""
        return found.readings[uid].counters["requests"] if uid in found.readings else None

    assert requests("old", 10.0) == 1000
    asked = prometheus.asked.count(promql.newest())
    assert requests("old", 10.0) == 1000
    assert prometheus.asked.count(promql.newest()) == asked, "one question for each pod"
    now[0] = 200.0
    assert requests("new", 150.0) is None
    prometheus.requests, prometheus.scraped = 3, 195.0
    assert requests("new", 150.0) == 3
