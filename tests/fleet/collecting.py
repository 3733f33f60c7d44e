"""Clusters that a collector watches, without the probe that finds out who they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.test import override_settings
from django.utils import timezone

from clusters.engine.credential import parse_fields
from clusters.models import Cluster
from clusters.services.registration import Registration, cluster_register
from fleetportal.accounts.principal import Principal
from tests.fleet.harness import Collector, until
from tests.simfleet import SimCluster
from tests.support import People

DEVICES = ("resourceslices.resource.k8s.io", "resourceclaims.resource.k8s.io")
LISTS = ("nodes", "pods", "workspaces.kaito.sh", "inferencesets.kaito.sh", *DEVICES)


def registered(people: People, cluster: SimCluster, server: str = "") -> Cluster:
    """Its row, identified already; at another address of the same cluster if one is given."""
    address = server or cluster.server
    fields = parse_fields(server=address, ca_pem=cluster.ca_pem, token=cluster.token)
    registration = Registration(
        name=cluster.name, credential=fields, environment="test", simulated=True
    )
    with override_settings(ALLOW_LOOPBACK_CLUSTERS=True):
        row, _ = cluster_register(principal=Principal(people.operator), registration=registration)
    Cluster.objects.filter(pk=row.pk).update(uid=cluster.uid)
    row.refresh_from_db()
    return row


@contextmanager
def collecting(*collectors: Collector) -> Iterator[Sequence[Collector]]:
    """Collectors on threads of their own."""
    running = collectors or (Collector(),)
    with override_settings(ALLOW_LOOPBACK_CLUSTERS=True):
        for collector in running:
            collector.start()
        try:
            yield running
        finally:
            stuck = [collector for collector in running if not collector.stop()]
            assert not stuck, "a collector does not stop"


def observed(*rows: Cluster, since: datetime | None = None, seconds: float = 60.0) -> None:
    """Wait until all of these were seen, since that moment if one is given."""
    seen = Cluster.objects.filter(pk__in=[row.pk for row in rows], state="ready")
    seen = seen.filter(observed_at__gt=since) if since else seen.filter(observed_at__isnull=False)
    until("all clusters are observed", lambda: seen.count() == len(rows), seconds)


def observed_from_now(*rows: Cluster, seconds: float = 60.0) -> None:
    observed(*rows, since=timezone.now(), seconds=seconds)


def asked(cluster: SimCluster, verb: str, after: int = 0) -> list[dict[str, Any]]:
    """The collector's requests of a kind, in their order."""
    return [
        entry
        for entry in cluster.log(after)
        if entry["verb"] == verb and entry["user"].endswith(":fleetportal")
    ]


def listed(cluster: SimCluster, after: int = 0) -> list[str]:
    """The kinds that are watched, as often as they were listed."""
    found = [entry["resource"] for entry in asked(cluster, "list", after)]
    return sorted(resource for resource in found if resource in LISTS)


def last(cluster: SimCluster) -> int:
    """The number of the newest entry in the log."""
    entries = cluster.log()
    return int(entries[-1]["seq"]) if entries else 0
