"""The collector, a real process, watching 1,000 clusters: how soon, how much memory, how much CPU.

Clusters are bench.apiserver's, by TLS, with 10 nodes and 40 pods each; six kinds are listed and
four of them watched. Nothing changes on them while the steady state is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from django.utils import timezone

from bench import portal
from bench.discovery import ROOT, Servers, servers
from bench.report import Line
from clusters.models import Cluster

CLUSTERS, STEADY, PATIENCE = 1_000, 20.0, 240.0


def lines() -> list[Line]:
    """Raises AssertionError when GPUs are missing, or a LIST is sent in the steady state."""
    with servers() as found:
        Cluster.objects.all().delete()
        Cluster.objects.bulk_create(rows(found, CLUSTERS), portal.BATCH)
        begun = time.monotonic()
        process = start()
        try:
            wait(CLUSTERS)
            took = time.monotonic() - begun
            time.sleep(5)  # let the last stores settle
            lists, cpu = _lists(found), _cpu(process.pid)
            time.sleep(STEADY)
            assert _lists(found) == lists, "a LIST in the steady state"
            share = (_cpu(process.pid) - cpu) / STEADY
            memory = _rss(process.pid)
            age = _oldest()
        finally:
            process.terminate()
            process.wait()
    assert set(_gpus()) == {True}
    what = f"collector, {CLUSTERS:,} clusters"
    return [
        Line(f"{what}: from start to all observed", f"{took:.0f} s", "", None, "", None),
        Line(f"{what}: memory (RSS)", f"{memory:.0f} MiB", "", None, "", None),
        Line(f"{what}: CPU when nothing changes", f"{share:.0%} of a core", "", None, "", None),
        Line(f"{what}: oldest observation then", f"{age:.0f} s", "", None, "< 30 s", age < 30),
    ]


def rows(found: Servers, count: int) -> list[Cluster]:
    """Clusters of bench.apiserver, as registration leaves them; not stored yet."""
    return [
        portal.registered(
            f"cluster-{number}",
            server=f"https://127.0.0.1:{found.tls}/clusters/{number}",
            ca_pem=found.ca_pem,
            token="bench-token",
            uid=f"uid-{number}",
        )
        for number in range(count)
    ]


def start(**env: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "manage.py", "collector"]
    loopback = {"FLEETPORTAL_ALLOW_LOOPBACK_CLUSTERS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **loopback, **env})


def wait(count: int) -> None:
    """Until so many are observed."""
    seen = Cluster.objects.filter(state="ready", gpus_physical__isnull=False)
    end = time.monotonic() + PATIENCE
    while (now := seen.count()) < count:
        assert time.monotonic() < end, f"only {now} of {count} were observed"
        time.sleep(0.25)


def _gpus() -> list[bool]:
    totals = Cluster.objects.values_list("gpus_physical", "gpus_used")
    return [bool(physical) and used == 10 for physical, used in totals]


def _oldest() -> float:
    stamps = Cluster.objects.values_list("observed_at", flat=True)
    now = timezone.now()
    return max((now - at).total_seconds() for at in stamps if at is not None)


def _lists(found: Servers) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{found.plain}/lists") as answer:
        return int(json.load(answer)["kind"])


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss(pid: int) -> float:
    """MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
