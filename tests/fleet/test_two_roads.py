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
from pathlib import Path
from typing import NamedTuple

import pytest

from clusters.engine.telemetry.differences import difference
from clusters.engine.telemetry.quantiles import quantile
from clusters.engine.telemetry.types import RuntimeReading, Scrape, Target
from clusters.gateway.stream import StreamClient
from clusters.services.metrics import MetricsSettings
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
    assert {scrape.problem for pair in seen for scrape in pair} == {""}
    _same_counts(first, last)
    _same_quantiles(first, last)
    _same_gauges(seen)
    _same_cards(seen)


Pair = tuple[Scrape, Scrape]  # direct, by the Prometheus


async def _watch(client: StreamClient, real: Served) -> list[Pair]:
    """Looks by both roads at the same moments, once the Prometheus knows every target."""
    metrics = MetricsSettings(road="prometheus", url=real.url, ca_pem=real.ca_pem)
    prometheus = prometheus_of(metrics, client, "")
    assert prometheus is not None
    targets = await targets_of(client)
    await _all_up(prometheus, len(targets))
    direct, other = DirectRoad(StreamClient(client.connection)), PrometheusRoad(prometheus, metrics)
    seen: list[Pair] = []
    began = time.monotonic()
    try:
        while time.monotonic() - began < WATCHED:
            seen.append((await direct.scrape(targets), await other.scrape(targets)))
            await asyncio.sleep(EVERY / 2)
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


def _readings(one: Scrape, other: Scrape) -> tuple[RuntimeReading, RuntimeReading]:
    (before,), (after,) = one.readings.values(), other.readings.values()
    return before, after


def _same_counts(first: Pair, last: Pair) -> None:
    here = difference(*_readings(first[0], last[0]), first_counts=False).counters
    there = difference(*_readings(first[1], last[1]), first_counts=False).counters
    assert here.keys() == there.keys()
    assert here["requests"] > 20
    slack = 3 * EVERY / WATCHED  # each end of the span may be a scrape late
    for name, value in here.items():
        assert abs(value - there[name]) <= 5 + (slack + 0.05) * value, name


def _same_quantiles(first: Pair, last: Pair) -> None:
    """The bucket of one road's quantile is the other's, or one beside it."""
    here = difference(*_readings(first[0], last[0]), first_counts=False).histograms
    there = difference(*_readings(first[1], last[1]), first_counts=False).histograms
    assert here.keys() == there.keys()
    assert {"ttft", "itl", "e2e"} <= here.keys()
    for name in here:
        assert here[name].bounds == there[name].bounds
        for share in (0.5, 0.95):
            one, other = quantile(here[name], share), quantile(there[name], share)
            assert one is not None and other is not None, name
            assert one.low <= (other.high or one.low), (name, share, one, other)
            assert other.low <= (one.high or other.low), (name, share, one, other)


def _same_gauges(seen: list[Pair]) -> None:
    """What the Prometheus tells is what was true at its last scrape, or is still."""
    matched = 0
    for number in range(4, len(seen)):
        (reading,) = seen[number][1].readings.values()
        near = [next(iter(pair[0].readings.values())) for pair in seen[number - 4 : number + 1]]
        values = [held.gauges["running"] for held in near]
        matched += min(values) <= reading.gauges["running"] <= max(values)
    assert matched >= 0.8 * (len(seen) - 4)


def _same_cards(seen: list[Pair]) -> None:
    here, there = seen[-1][0].gpus, seen[-1][1].gpus
    assert here is not None and there is not None
    assert [(gpu.node, gpu.index, gpu.uuid, gpu.model, gpu.pods) for gpu in here] == [
        (gpu.node, gpu.index, gpu.uuid, gpu.model, gpu.pods) for gpu in there
    ]
    for place, card in enumerate(there):
        near = [pair[0].gpus[place] for pair in seen[-6:] if pair[0].gpus]
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
