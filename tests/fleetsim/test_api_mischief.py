"""Faults of whole fleets: spoilt and slow answers, expired certificates, watches, a file."""

from __future__ import annotations

import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fleetsim.faults import FaultBook
from fleetsim.store import Fleet
from tests.fleetsim.bodies import CONFIGMAPS, config_map
from tests.simfleet import SimCluster, SimFleet

NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"


@pytest.fixture
def calm(bare_fleet: SimFleet) -> Iterator[SimFleet]:
    """The fleet, without faults afterwards."""
    yield bare_fleet
    bare_fleet.clear_faults()


def raw(cluster: SimCluster, path: str) -> tuple[int, bytes]:
    """Status and undecoded body."""
    request = urllib.request.Request(
        cluster.server + path, headers={"Authorization": f"Bearer {cluster.admin_token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20, context=cluster.fleet.tls) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def readable(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("mode", "json_still"), [
    ("bytes", False), ("json", False), ("html", False), ("types", True),
])  # fmt: skip
def test_garbage_keeps_the_status_and_spoils_the_body(
    cluster: SimCluster, mode: str, json_still: bool
) -> None:
    for number in range(5):
        cluster.request("POST", CONFIGMAPS, config_map(f"c{number}"))
    fine = raw(cluster, CONFIGMAPS)
    cluster.fault("garbage", mode=mode)
    status, body = raw(cluster, CONFIGMAPS)
    assert status == 200 and body != fine[1] and readable(body) is json_still
    cluster.clear_faults()
    assert raw(cluster, CONFIGMAPS) == fine


def test_a_watch_may_bring_garbage(cluster: SimCluster) -> None:
    cluster.fault("garbage", mode="html", verb="watch")
    assert b"Bad Gateway" in raw(cluster, f"{PODS}?watch=1")[1]


def test_a_watch_may_say_410_and_a_list_too(cluster: SimCluster) -> None:
    cluster.fault("gone")
    _, body = raw(cluster, f"{PODS}?watch=1&resourceVersion=1")
    event = json.loads(body)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == (
        "ERROR", 410, "Expired",
    )  # fmt: skip
    assert raw(cluster, PODS)[0] == 410


def test_a_slow_answer_trickles_and_is_whole_in_the_end(cluster: SimCluster) -> None:
    fine = raw(cluster, NODES)
    size = len(fine[1]) // 4 + 1
    cluster.fault("slow", size=size, seconds=0.2)
    begin = time.monotonic()
    assert raw(cluster, NODES) == fine
    assert time.monotonic() - begin >= 0.6


@pytest.mark.parametrize("code", [401, 429, 500])
def test_a_kind_may_be_a_status(cluster: SimCluster, code: int) -> None:
    cluster.fault(str(code), retry_after=3 if code == 429 else None)
    status, _, headers = cluster.request("GET", NODES)
    assert status == code and headers.get("retry-after") == ("3" if code == 429 else None)


def test_a_fault_may_come_after_some_requests(cluster: SimCluster) -> None:
    cluster.fault("500", resource="nodes", after=2)
    assert [cluster.request("GET", NODES)[0] for _ in range(4)] == [200, 200, 500, 500]


def test_globs_and_lists_choose_clusters_verbs_and_resources(calm: SimFleet) -> None:
    names = ("glob-a1", "glob-a2", "glob-b1")
    clusters = [calm.add_cluster(name, bare=True) for name in names]
    calm.fault("500", cluster="glob-a*", verb=["list", "get"], resource="nodes,pods")
    assert [each.request("GET", NODES)[0] for each in clusters] == [500, 500, 200]
    assert clusters[0].request("GET", CONFIGMAPS)[0] == 200
    calm.clear_faults()
    calm.fault("500", cluster=["glob-a1", "glob-b1"])
    assert [each.request("GET", PODS)[0] for each in clusters] == [500, 200, 500]


def test_chance_repeats_with_the_seed() -> None:
    def hits() -> list[int]:
        book = FaultBook(Fleet(seed=3).rng("faults"))
        book.add({"kind": "reset", "probability": 0.3})
        return [len(book.met_by("c", "get", "pods")) for _ in range(200)]

    assert hits() == hits() and 30 < sum(hits()) < 90


def trusted(cluster: SimCluster, server: str) -> bool:
    """Whether a fresh connection's certificate holds."""
    place = urlsplit(server)
    assert place.hostname and place.port
    try:
        with (
            socket.create_connection((place.hostname, place.port), 5) as bare,
            cluster.fleet.tls.wrap_socket(bare, server_hostname=place.hostname),
        ):
            return True
    except ssl.SSLCertVerificationError as error:
        assert "expired" in str(error)
        return False


def test_the_spare_port_shows_an_expired_certificate_while_the_fault_lasts(
    cluster: SimCluster,
) -> None:
    assert trusted(cluster, cluster.spare_server)
    url = cluster.spare_server + NODES
    assert cluster.fleet.call("GET", url, token=cluster.admin_token)[0] == 200
    cluster.fault("expired_certificate")
    assert not trusted(cluster, cluster.spare_server) and trusted(cluster, cluster.server)
    cluster.clear_faults()
    assert trusted(cluster, cluster.spare_server)


def test_open_connections_end_when_the_certificate_expires(cluster: SimCluster) -> None:
    place = urlsplit(cluster.spare_server)
    assert place.hostname and place.port
    with (
        socket.create_connection((place.hostname, place.port), 5) as bare,
        cluster.fleet.tls.wrap_socket(bare, server_hostname=place.hostname) as held,
    ):
        held.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert held.recv(100).startswith(b"HTTP/1.1 200")
        cluster.fault("expired_certificate")
        held.settimeout(5)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            while held.recv(1000):
                pass
            raise ConnectionError
    cluster.clear_faults()


@pytest.mark.parametrize(("body", "word"), [
    ({"kind": "surprise"}, "kind"), ({"kind": "garbage", "mode": "x"}, "mode"),
    ({"kind": "slow", "speed": 1}, "speed"),
])  # fmt: skip
def test_a_bad_fault_is_refused_by_name(
    cluster: SimCluster, body: dict[str, Any], word: str
) -> None:
    url = f"{cluster.fleet.url}/_sim/faults"
    status, answer, _ = cluster.fleet.call("POST", url, body, token=cluster.admin_token)
    assert status == 400 and word in answer["message"]


def test_the_help_lists_calls_kinds_and_fields(bare_fleet: SimFleet) -> None:
    told = bare_fleet.control("GET", "/_sim")
    assert "POST /_sim/faults" in told["calls"] and "load" in told["settings"]
    assert {"garbage", "slow", "expired_certificate", "gone"} <= set(told["faults"]["kinds"])


def within(seconds: float, status: int, cluster: SimCluster) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if cluster.request("GET", NODES)[0] == status:
            return True
        time.sleep(0.05)
    return False


def test_a_file_of_faults_is_followed(tmp_path: Path) -> None:
    rules = tmp_path / "faults.yaml"
    rules.write_text("- {kind: '503', cluster: 'a*'}\n")
    fleet = SimFleet.start(tmp_path / "sim", actors=False, faults=rules)
    try:
        one, other = fleet.add_cluster("a1", bare=True), fleet.add_cluster("b1", bare=True)
        assert within(5, 503, one) and other.request("GET", NODES)[0] == 200
        other.fault("500")
        rules.write_text("- {kind: nonsense}\n")  # changes nothing
        time.sleep(1)
        assert one.request("GET", NODES)[0] == 503
        rules.write_text(json.dumps([{"kind": "429", "cluster": "a*"}]))
        assert within(5, 429, one)
        rules.unlink()
        assert within(5, 200, one) and other.request("GET", NODES)[0] == 500
    finally:
        fleet.stop()
