"""Discovery of 1,000 clusters, each with 10 nodes and 40 pods: the product against raw bytes.

Floor: uvloop's protocols and msgspec with the few fields that sums need, nothing checked. Product:
the collector's client with its pacing, bounds and checks, the shapes, the choice of pods; once
more with the inventory built from them. All ask the same servers for the same answers, plain and
by TLS; plain is the harder comparison, as handshakes cost both the same. CPU time of the client.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import ipaddress
import json
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.report import Line, ms
from clusters.collector.cache import WATCHED, Cache, Watching
from clusters.engine.inventory import build_inventory
from clusters.engine.skus import sku_facts
from clusters.engine.types import ProvisionerMode
from clusters.gateway import Connection
from clusters.gateway.pacing import Slots
from clusters.gateway.stream import StreamClient

ROOT = Path(__file__).resolve().parents[1]
CLUSTERS, ROUNDS, AT_ONCE = 1_000, 3, 10
TYPED = 30  # clusters that the official client's models are measured on; the rest is arithmetic
TOKEN = "bench-token-of-a-usual-length"
MOST, LEAST_GAIN = 2.0, 20.0
INVENTORY: tuple[Watching, ...] = WATCHED[:2]


@dataclass(frozen=True, slots=True)
class Servers:
    plain: int
    tls: int
    ca_pem: str


class PlainConnection(Connection):
    """The collector speaks TLS only; without it, what the client itself costs is easier to see."""

    @property
    def tls_name(self) -> str:
        return None  # type: ignore[return-value]

    def ssl_context(self) -> ssl.SSLContext:
        return None  # type: ignore[return-value]


def lines() -> list[Line]:
    """Raises AssertionError where the totals differ."""
    with servers() as found:
        plain = _measure(found, tls=False)
        secure = _measure(found, tls=True)
        typed = _cpu(lambda: _typed(found)) / TYPED * CLUSTERS
    return [
        _line("fetch and parse, plain HTTP", plain["client"], plain["floor"], MOST),
        _line("fetch and parse, TLS", secure["client"], secure["floor"], MOST),
        _line("with inventories, TLS", secure["inventory"], secure["floor"], None),
        Line(
            f"discovery of {CLUSTERS:,} clusters: the official client's models (scaled)",
            ms(secure["client"]),
            ms(typed),
            typed / secure["client"],
            f">= {LEAST_GAIN:g}x faster",
            typed / secure["client"] >= LEAST_GAIN,
        ),
    ]


def _line(what: str, product: float, floor: float, most: float | None) -> Line:
    ratio = product / floor
    return Line(
        f"discovery of {CLUSTERS:,} clusters: {what}",
        ms(product),
        ms(floor),
        ratio,
        "" if most is None else f"<= {most:g}x",
        None if most is None else ratio <= most,
    )


def _measure(servers: Servers, *, tls: bool) -> dict[str, float]:
    """Least CPU milliseconds by way; all ways see the same GPUs."""
    ways: dict[str, Callable[[], int]] = {
        "floor": lambda: uvloop.run(_floor(servers, tls)),
        "client": lambda: uvloop.run(_product(servers, tls, _gpus_of_nodes)),
        "inventory": lambda: uvloop.run(_product(servers, tls, _gpus_of_inventory)),
    }
    best = dict.fromkeys(ways, inf)
    totals = {name: way() for name, way in ways.items()}  # warm-up
    assert len(set(totals.values())) == 1, totals
    for _ in range(ROUNDS):
        for name, way in ways.items():
            gc.collect()
            best[name] = min(best[name], _cpu(way))
    return best


def _cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1e3


# -- the product -----------------------------------------------------------------------------------


async def _product(servers: Servers, tls: bool, count: Callable[[Cache], int]) -> int:
    connects = Slots(AT_ONCE, 60)

    async def one(number: int) -> int:
        client, cache = StreamClient(_connection(servers, tls, number), connects), Cache()
        for watching in INVENTORY:
            cache.replace(watching.kind, await client.list_objects(watching.kind, watching.reader))
        client.close()
        return count(cache)

    return await _all(one)


def _connection(servers: Servers, tls: bool, number: int) -> Connection:
    values = {
        "cluster_id": str(number),
        "credential_version": 1,
        "ca_pem": servers.ca_pem,
        "token": TOKEN,
        "allow_loopback": True,
    }
    port = servers.tls if tls else servers.plain
    kind = Connection if tls else PlainConnection
    return kind(server=f"https://127.0.0.1:{port}/clusters/{number}", **values)  # type: ignore[arg-type]


def _gpus_of_nodes(cache: Cache) -> int:
    capacities = [node.status.capacity or {} for node in cache.nodes]
    return sum(int(capacity.get("nvidia.com/gpu", "0")) for capacity in capacities)


def _gpus_of_inventory(cache: Cache) -> int:
    found = build_inventory(cache.nodes, cache.pods, skus=sku_facts, mode=ProvisionerMode.BYO)
    assert found.totals.used == len(cache.pods)
    return found.totals.gpus


async def _all(one: Callable[[int], Coroutine[Any, Any, int]]) -> int:
    """Every cluster, AT_ONCE at a time; the sum."""
    numbers = iter(range(CLUSTERS))

    async def some() -> int:
        return sum([await one(number) for number in numbers])

    return sum(await asyncio.gather(*(some() for _ in range(AT_ONCE))))


# -- the floor -------------------------------------------------------------------------------------


class _Meta(msgspec.Struct):
    name: str = ""
    labels: dict[str, str] | None = None


class _NodeStatus(msgspec.Struct):
    capacity: dict[str, str] | None = None
    allocatable: dict[str, str] | None = None


class _Node(msgspec.Struct):
    metadata: _Meta
    status: _NodeStatus


class _Nodes(msgspec.Struct):
    items: list[_Node]


class _Resources(msgspec.Struct):
    requests: dict[str, str] | None = None


class _Container(msgspec.Struct):
    resources: _Resources


class _PodSpec(msgspec.Struct):
    containers: list[_Container]
    nodeName: str = ""


class _PodMeta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None


class _Pod(msgspec.Struct):
    metadata: _PodMeta
    spec: _PodSpec


class _Pods(msgspec.Struct):
    items: list[_Pod]


_nodes = msgspec.json.Decoder(_Nodes)
_pods = msgspec.json.Decoder(_Pods)


class _Fetch(asyncio.Protocol):
    """One connection that asks for one body after the other."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._missing = -1
        self._start = 0
        self.done: asyncio.Future[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own do not inherit from it

    def get(self, path: str) -> asyncio.Future[bytes]:
        self._data, self._missing = bytearray(), -1
        self.done = asyncio.get_running_loop().create_future()
        head = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        self.transport.write(head.encode())
        return self.done

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._missing < 0:
            head, _, _ = self._data.partition(b"\r\n\r\n")
            self._start = len(head) + 4
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            self._missing = self._start + int(length)
        if len(self._data) >= self._missing:
            self.done.set_result(bytes(memoryview(self._data)[self._start :]))


async def _floor(servers: Servers, tls: bool) -> int:
    loop = asyncio.get_running_loop()
    port = servers.tls if tls else servers.plain

    async def one(number: int) -> int:
        # A context per cluster, as each has its own CA.
        context = _connection(servers, tls, number).ssl_context()
        name = "127.0.0.1" if tls else None
        _, fetch = await loop.create_connection(
            _Fetch, "127.0.0.1", port, ssl=context, server_hostname=name
        )
        nodes = _nodes.decode(await fetch.get(f"/clusters/{number}/api/v1/nodes"))
        _pods.decode(await fetch.get(f"/clusters/{number}/api/v1/pods"))
        fetch.transport.abort()
        capacities = [node.status.capacity or {} for node in nodes.items]
        return sum(int(capacity.get("nvidia.com/gpu", "0")) for capacity in capacities)

    return await _all(one)


# -- the official client ---------------------------------------------------------------------------


def _typed(servers: Servers) -> None:
    from kubernetes import client

    for number in range(TYPED):
        settings = client.Configuration()
        settings.host = f"http://127.0.0.1:{servers.plain}/clusters/{number}"
        with client.ApiClient(settings) as api:
            core = client.CoreV1Api(api)
            assert len(core.list_node().items) == 10
            assert len(core.list_pod_for_all_namespaces().items) == 40


# -- the servers -----------------------------------------------------------------------------------


@contextmanager
def servers() -> Iterator[Servers]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        ca_pem = _certificate(Path(folder))
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.apiserver", "--tls", folder],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            plain, tls = json.loads(process.stdout.readline())
            yield Servers(plain, tls, ca_pem)
        finally:
            process.kill()
            process.wait()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _certificate(folder: Path) -> str:
    """A certificate that vouches for itself, with its key, in the folder; its PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.pem").write_bytes(pem + secret)
    return pem.decode()
