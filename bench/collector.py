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
from clusters.engine.credential import parse_fields
from clusters.models import Cluster
from fleetportal.kit.crypto import keyring

CLUSTERS, STEADY, PATIENCE = 1_000, 20.0, 240.0


def lines() -> list[Line]:
    """Raises AssertionError when GPUs are missing, or a LIST is sent in the steady state."""
    with servers() as found:
        pks = _clusters(found)
        begun = time.monotonic()
        process = subprocess.Popen([sys.executable, "manage.py", "collector"], cwd=ROOT, env=_env())
        try:
            _wait(pks)
            took = time.monotonic() - begun
            time.sleep(5)  # let the last stores settle
            lists, cpu = _lists(found), _cpu(process.pid)
            time.sleep(STEADY)
            assert _lists(found) == lists, "a LIST in the steady state"
            share = (_cpu(process.pid) - cpu) / STEADY
            memory = _rss(process.pid)
            age = _oldest(pks)
        finally:
            process.terminate()
            process.wait()
    assert set(_gpus(pks)) == {True}
    what = f"collector, {CLUSTERS:,} clusters"
    return [
        Line(f"{what}: from start to all observed", f"{took:.0f} s", "", None, "", None),
        Line(f"{what}: memory (RSS)", f"{memory:.0f} MiB", "", None, "", None),
        Line(f"{what}: CPU when nothing changes", f"{share:.0%} of a core", "", None, "", None),
        Line(f"{what}: oldest observation then", f"{age:.0f} s", "", None, "< 30 s", age < 30),
    ]


def _clusters(found: Servers) -> list[object]:
    """Rows as registration leaves them, identified."""
    Cluster.objects.all().delete()
    rows = []
    for number in range(CLUSTERS):
        server = f"https://127.0.0.1:{found.tls}/clusters/{number}"
        given = parse_fields(server=server, ca_pem=found.ca_pem, token="bench-token")
        row = Cluster(
            name=f"cluster-{number}",
            server=given.server,
            ca_pem=given.ca_pem,
            credential_kind="token",
            uid=f"uid-{number}",
            metrics={"road": "off"},
            probed_at=timezone.now(),
        )
        secret = json.dumps({"token": given.token}).encode()
        row.credential_sealed = keyring().seal(
            secret, table="clusters_cluster", pk=row.pk, field="credential"
        )
        rows.append(row)
    Cluster.objects.bulk_create(rows, portal.BATCH)
    return [row.pk for row in rows]


def _env() -> dict[str, str]:
    return {**os.environ, "FLEETPORTAL_ALLOW_LOOPBACK_CLUSTERS": "1"}


def _wait(pks: list[object]) -> None:
    seen = Cluster.objects.filter(state="ready", gpus_physical__isnull=False)
    end = time.monotonic() + PATIENCE
    while seen.count() < len(pks):
        assert time.monotonic() < end, f"only {seen.count()} of {len(pks)} were observed"
        time.sleep(0.25)


def _gpus(pks: list[object]) -> list[bool]:
    rows = Cluster.objects.values_list("gpus_physical", "gpus_used")
    return [bool(physical) and used == 10 for physical, used in rows]


def _oldest(pks: list[object]) -> float:
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
