"""A real Prometheus scrapes a simulated cluster; what it tells agrees with the direct road.

It runs behind TLS with a CA of its own, so the portal's whole way to an external
Prometheus is walked: judged address, verified certificate, PromQL, readings, differences.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pytest

from clusters.engine.telemetry import promql
from clusters.engine.telemetry.differences import difference
from clusters.engine.telemetry.quantiles import quantile
from clusters.engine.telemetry.types import RuntimeReading, Scrape, Target
from clusters.gateway.stream import StreamClient
from clusters.selectors.metrics import MetricsSettings
from clusters.telemetry.asking import Prometheus, prometheus_of
from clusters.telemetry.direct import DirectRoad
from clusters.telemetry.prometheus import PrometheusRoad
from tests.engine.pki import make_ca, make_leaf
from tests.fleet.metered import asking, serving_cluster, targets_of
from tests.simfleet import SimCluster, SimFleet

BINARY = shutil.which("prometheus")
EVERY = 1.0  # seconds between two scrapes of the Prometheus
WATCHED = 20.0  # seconds that are compared

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="there is no prometheus here (apt: prometheus)"),
]


class Served(NamedTuple):
    url: str
    ca_pem: str


@pytest.fixture(scope="module")
def cluster(sim: SimFleet) -> Iterator[SimCluster]:
    made = serving_cluster(sim, past=900, load=[{"rate": 10.0}])
    yield made
    sim.control("DELETE", f"/_sim/clusters/{made.name}")


@pytest.fixture(scope="module")
def real(cluster: SimCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Prometheus with one target for each pod that the portal would scrape."""
    folder = tmp_path_factory.mktemp("prometheus")
    port = _free_port()
    ca = make_ca("prometheus-ca")
    leaf = make_leaf(ca, "prometheus", hosts=("127.0.0.1",))
    (folder / "server.pem").write_text(leaf.cert_pem)
    (folder / "server.key").write_text(leaf.key_pem)
    (folder / "cluster-ca.pem").write_text(cluster.ca_pem)
    _write(folder / "web.yml", {"tls_server_config": _tls()})
    _write(folder / "prometheus.yml", _config(cluster, asking(cluster, targets_of), folder))
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(_command(folder, port), cwd=folder, stdout=output, stderr=output)
    try:
        _until_it_listens(process, port, folder)
        yield Served(f"https://127.0.0.1:{port}", ca.cert_pem)
    finally:
        process.terminate()
        process.wait(20)


def test_both_roads_agree_within_what_buckets_and_scrapes_allow(
    cluster: SimCluster, real: Served
) -> None:
    seen = asking(cluster, lambda client: _watch(client, real))
    first, last = seen[0], seen[-1]
    assert {scrape.problem for look in seen for scrape in (look.direct, look.told)} == {""}
    _counts_lie_between(seen)
    _same_quantiles(first, last)
    _same_gauges(seen)
    _same_cards(seen)


class Look(NamedTuple):
    """Both roads at nearly the same moment. `done`: when the direct one had ended; `stamp`: when
    the Prometheus took what it told (None: it scraped while it was asked). Unix seconds.
    """

    direct: Scrape
    done: float
    told: Scrape
    stamp: float | None


async def _watch(client: StreamClient, real: Served) -> list[Look]:
    """Looks for a while, once the Prometheus knows every target."""
    metrics = MetricsSettings(road="prometheus", url=real.url, ca_pem=real.ca_pem)
    prometheus = prometheus_of(metrics, client, "")
    assert prometheus is not None
    targets = await targets_of(client)
    await _all_up(prometheus, len(targets))
    direct, other = DirectRoad(StreamClient(client.connection)), PrometheusRoad(prometheus, metrics)
    seen: list[Look] = []
    began = time.monotonic()
    try:
        while time.monotonic() - began < WATCHED:
            found, done = await direct.scrape(targets), time.time()
            before = await _stamp(prometheus)
            told = await other.scrape(targets)
            stamp = before if before == await _stamp(prometheus) else None
            seen.append(Look(found, done, told, stamp))
            await asyncio.sleep(EVERY / 4)
    finally:
        direct.close()
        other.close()
    return seen


async def _all_up(prometheus: Prometheus, count: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        found = await prometheus.query("sum(up)", at=time.time(), deadline=5)
        if found.lines and found.lines[0].points[-1][1] == count:
            return
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.3)


async def _stamp(prometheus: Prometheus) -> float:
    """When it scraped the engine last."""
    found = await prometheus.query(promql.newest(), at=time.time(), deadline=5)
    return found.lines[0].points[-1][1]


def _readings(one: Scrape, other: Scrape) -> tuple[RuntimeReading, RuntimeReading]:
    (before,), (after,) = one.readings.values(), other.readings.values()
    return before, after


def _counts_lie_between(seen: list[Look]) -> None:
    """Counters only grow: what was told lies between the direct looks before and after it."""
    compared = 0
    for look in seen:
        if look.stamp is None:
            continue
        earlier = [one.direct for one in seen if one.done <= look.stamp]
        later = [one.direct for one in seen if one.direct.at >= look.stamp + EVERY]
        if earlier and later:
            _between(earlier[-1], look.told, later[0])
            compared += 1
    assert compared >= 5
    grown = difference(*_readings(seen[0].told, seen[-1].told), first_counts=False)
    assert grown.counters["requests"] > 20
    assert not grown.reset


def _between(before: Scrape, told: Scrape, after: Scrape) -> None:
    low, value = _readings(before, told)
    _, high = _readings(before, after)
    assert low.counters.keys() == value.counters.keys() == high.counters.keys()
    for name, count in value.counters.items():
        assert low.counters[name] <= count <= high.counters[name], name
    assert low.histograms.keys() == value.histograms.keys()
    for name, held in value.histograms.items():
        parts = (low.histograms[name], held, high.histograms[name])
        below = [list(accumulate(part.counts)) for part in parts]  # at or below each bound
        assert all(a <= b <= c for a, b, c in zip(*below, strict=True)), (name, below)


def _same_quantiles(first: Look, last: Look) -> None:
    """The bucket of one road's quantile is the other's, or one beside it."""
    here = difference(*_readings(first.direct, last.direct), first_counts=False).histograms
    there = difference(*_readings(first.told, last.told), first_counts=False).histograms
    assert here.keys() == there.keys()
    assert {"ttft", "itl", "e2e"} <= here.keys()
    for name in here:
        assert here[name].bounds == there[name].bounds
        for share in (0.5, 0.95):
            one, other = quantile(here[name], share), quantile(there[name], share)
            assert one is not None and other is not None, name
            assert one.low <= (other.high or one.low), (name, share, one, other)
            assert other.low <= (one.high or other.low), (name, share, one, other)


def _same_gauges(seen: list[Look]) -> None:
    """What the Prometheus tells is what was true at its last scrape, or is still."""
    matched = 0
    for number in range(4, len(seen)):
        (reading,) = seen[number].told.readings.values()
        near = [next(iter(look.direct.readings.values())) for look in seen[number - 4 : number + 1]]
        values = [held.gauges["running"] for held in near]
        matched += min(values) <= reading.gauges["running"] <= max(values)
    assert matched >= 0.8 * (len(seen) - 4)


def _same_cards(seen: list[Look]) -> None:
    here, there = seen[-1].direct.gpus, seen[-1].told.gpus
    assert here is not None and there is not None
    assert [(gpu.node, gpu.index, gpu.uuid, gpu.model, gpu.pods) for gpu in here] == [
        (gpu.node, gpu.index, gpu.uuid, gpu.model, gpu.pods) for gpu in there
    ]
    for place, card in enumerate(there):
        near = [look.direct.gpus[place] for look in seen[-6:] if look.direct.gpus]
        uses = [held.util for held in near if held.util is not None]
        assert card.util is not None
        assert min(uses) - 15 <= card.util <= max(uses) + 15
        assert card.memory_total == near[-1].memory_total


def _config(cluster: SimCluster, targets: list[Target], folder: Path) -> dict[str, object]:
    """As a PodMonitor would come out: target labels of the pod, scraped through the API server."""
    host, _, base = cluster.server.removeprefix("https://").partition("/")
    static = [
        {
            "targets": [host],
            "labels": {
                "__metrics_path__": f"/{base}/api/v1/namespaces/{target.namespace}/pods/"
                f"{target.pod}:{target.port}/proxy{target.path}",
                "namespace": target.namespace,
                "pod": target.pod,
                "instance": f"{target.pod}:{target.port}",
            },
        }
        for target in targets
    ]
    job = {
        "job_name": "pods",
        "scheme": "https",
        "scrape_interval": f"{EVERY:.0f}s",
        "scrape_timeout": f"{EVERY:.0f}s",
        "authorization": {"credentials": cluster.token},
        "tls_config": {"ca_file": str(folder / "cluster-ca.pem")},
        "static_configs": static,
    }
    return {"scrape_configs": [job]}


def _tls() -> dict[str, str]:
    return {"cert_file": "server.pem", "key_file": "server.key"}


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content))  # JSON is YAML


def _command(folder: Path, port: int) -> list[str]:
    assert BINARY is not None
    return [
        BINARY,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--web.config.file={folder / 'web.yml'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--log.level=warn",
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_it_listens(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, (folder / "output.txt").read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
