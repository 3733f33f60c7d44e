"""The process: files, start and stop, what a seed repeats; watches under faults."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tests.fleetsim.bodies import CONFIGMAPS, config_map
from tests.simfleet import ROOT, SimCluster, SimFleet


def open_watch(cluster: SimCluster, seconds: int = 60) -> list[bytes]:
    """The lines of a watch until it ends, however it ends."""
    url = f"{cluster.server}{CONFIGMAPS}?watch=1&timeoutSeconds={seconds}&resourceVersion="
    url += str(cluster.get(CONFIGMAPS)["metadata"]["resourceVersion"])
    request = urllib.request.Request(
        url, headers={"Authorization": f"Bearer {cluster.admin_token}"}
    )
    with urllib.request.urlopen(request, timeout=20, context=cluster.fleet.tls) as answer:
        try:
            return list(answer)
        except OSError:
            return []


def test_a_dropped_watch_ends_early_and_new_ones_end_too(cluster: SimCluster) -> None:
    start = time.monotonic()
    cluster.fault("watch_drop", resource="configmaps", seconds=0.2)
    assert open_watch(cluster) == []
    assert open_watch(cluster) == []
    assert time.monotonic() - start < 10


def test_a_stalled_watch_stays_open_and_says_nothing(cluster: SimCluster) -> None:
    cluster.fault("watch_stall", resource="configmaps")
    timer = threading.Timer(0.2, cluster.request, ("POST", CONFIGMAPS, config_map()))
    timer.start()
    start = time.monotonic()
    assert open_watch(cluster, seconds=1) == []
    timer.join()
    assert time.monotonic() - start >= 1
    assert [item["metadata"]["name"] for item in cluster.objects("ConfigMap")] == ["c"]


def test_the_same_seed_gives_the_same_uids_and_another_seed_others(
    cluster: SimCluster, tmp_path: Path
) -> None:
    found = []
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        fleet = SimFleet.start(tmp_path / name, seed=seed, actors=False)
        made = fleet.add_cluster("same", bare=True)
        body = config_map()
        body["metadata"] = {"generateName": "x-"}
        _, answer, _ = made.request("POST", CONFIGMAPS, body)
        found.append((made.uid, answer["metadata"]["name"], answer["metadata"]["uid"]))
        fleet.stop()
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_restart_keeps_the_authority_and_the_tokens(tmp_path: Path) -> None:
    first = SimFleet.start(tmp_path, actors=False)
    token = first.add_cluster("a", bare=True).token
    first.stop()
    second = SimFleet.start(tmp_path, actors=False)
    assert second.ca_pem == first.ca_pem
    assert second.admin_token == first.admin_token
    assert second.add_cluster("a", bare=True).token == token
    second.stop()


def test_secret_files_are_for_the_owner_only(bare_fleet: SimFleet) -> None:
    names = ("ready.json", "clusters.json", "fleet.kubeconfig", "server.key", "secret")
    for name in names:
        mode = stat.S_IMODE((bare_fleet.state_dir / name).stat().st_mode)
        assert mode == 0o600, name


def test_it_listens_on_the_loopback_address_only(bare_fleet: SimFleet) -> None:
    port = int(bare_fleet.url.rpartition(":")[2])
    assert bare_fleet.url.startswith("https://127.0.0.1:")
    with socket.socket() as probe:
        # The port is still free on another loopback address, so nothing listens on all of them.
        probe.bind(("127.0.0.2", port))


def test_sigterm_ends_it_at_once_even_with_open_watches(tmp_path: Path) -> None:
    fleet = SimFleet.start(tmp_path, actors=False)
    cluster = fleet.add_cluster("a", bare=True)
    watcher = threading.Thread(target=open_watch, args=(cluster,))
    watcher.start()
    deadline = time.monotonic() + 10
    while not any(entry["verb"] == "watch" for entry in cluster.log()):
        assert time.monotonic() < deadline
    start = time.monotonic()
    os.kill(fleet.process.pid, signal.SIGTERM)
    fleet.process.wait(10)
    assert time.monotonic() - start < 3
    watcher.join(10)


def test_a_taken_port_is_refused_in_words(bare_fleet: SimFleet, tmp_path: Path) -> None:
    port = bare_fleet.url.rpartition(":")[2]
    command = [sys.executable, "-m", "fleetsim", "--state-dir", str(tmp_path), "--port", port]
    command += ["--scenario", "empty", "--no-actors"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode != 0
    assert "Address already in use" in done.stderr


def test_removed_clusters_are_gone(bare_fleet: SimFleet) -> None:
    cluster = bare_fleet.add_cluster(bare=True)
    bare_fleet.control("DELETE", f"/_sim/clusters/{cluster.name}")
    assert cluster.request("GET", "/version")[0] == 404


def test_a_cluster_name_is_needed_and_is_unique(cluster: SimCluster) -> None:
    url = f"{cluster.fleet.url}/_sim/clusters"
    call, token = cluster.fleet.call, cluster.admin_token
    assert call("POST", url, {}, token=token)[0] == 400
    again = {"name": cluster.name, "bare": True}
    assert call("POST", url, again, token=token)[0] == 409


@pytest.mark.parametrize("path", ["/version", "/version/"])
def test_the_version_is_served_with_and_without_a_slash(cluster: SimCluster, path: str) -> None:
    assert cluster.get(path)["gitVersion"].startswith("v1.")


def test_bookmarks_come_at_the_interval_that_was_asked_for(tmp_path: Path) -> None:
    fleet = SimFleet.start(tmp_path, actors=False, bookmarks=0.2)
    cluster = fleet.add_cluster("a", bare=True)
    since = cluster.get(CONFIGMAPS)["metadata"]["resourceVersion"]
    url = f"{CONFIGMAPS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion={since}"
    lines = cluster.request("GET", url)[1].splitlines()
    fleet.stop()
    assert len(lines) >= 3
    assert {json.loads(line)["type"] for line in lines} == {"BOOKMARK"}


def test_a_foreign_edit_is_owned_by_kubectl_edit(cluster: SimCluster) -> None:
    cluster.request("POST", CONFIGMAPS, config_map())
    obj = cluster.edit("ConfigMap", "default", "c", {"data": {"a": "2"}})
    assert obj["data"] == {"a": "2"}
    assert "kubectl-edit" in {entry["manager"] for entry in obj["metadata"]["managedFields"]}


def test_the_kubeconfig_names_every_cluster_of_the_start(tmp_path: Path) -> None:
    fleet = SimFleet.start(tmp_path, scenario="story", actors=False)
    rows = json.loads((tmp_path / "clusters.json").read_text())
    assert len(rows) == 9
    assert {"name", "server", "ca_pem", "token", "uid"} <= rows[0].keys()
    text = (tmp_path / "fleet.kubeconfig").read_text()
    assert all(f"name: {row['name']}" in text for row in rows)
    fleet.stop()
