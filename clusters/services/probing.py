"""The connection check: who answers, what it serves, what we may do there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from django.utils import timezone

from clusters.engine.capabilities import read_capabilities
from clusters.engine.health import Contact
from clusters.gateway import probe
from clusters.gateway.errors import contact_of, reason_of
from clusters.models import Check, Cluster
from clusters.services.checks import check_request, check_run
from clusters.services.connections import gateway_of
from clusters.services.observation import capabilities_store, contact_record
from fleetportal.accounts.principal import Principal, require
from fleetportal.kit.errors import Missing, Permanent, PortalError

TASK = "clusters.connection"
PROBE_EVERY = timedelta(minutes=5)


def connection_check(*, principal: Principal, cluster: Cluster) -> Check:
    """Ask a worker to connect and probe now."""
    require(principal, "cluster.check")
    return check_request(kind=TASK, cluster=cluster, principal=principal)


def connection_answer(pk: str) -> None:
    check_run(pk, _answer)


def _answer(check: Check) -> dict[str, Any]:
    cluster = check.cluster
    if cluster is None:
        raise Missing("This cluster is gone.")
    try:
        found = probe(gateway_of(cluster))
    except PortalError as error:
        contact_record(cluster=cluster, contact=contact_of(error), reason=reason_of(error))
        raise
    if cluster.uid and found.uid != cluster.uid:
        message = "The address answers as another cluster."
        contact_record(cluster=cluster, contact=Contact.DIFFERENT, reason=message)
        raise Permanent(message, remedy="Register that cluster under a name of its own.")
    if not found.uid:
        raise Permanent(
            "The namespace kube-system may not be read, so the cluster cannot be told from others.",
            remedy="Grant get on namespaces.",
        )
    capabilities = read_capabilities(found.answers)
    capabilities_store(cluster=cluster, found=capabilities, uid=found.uid)
    contact_record(cluster=cluster, contact=Contact.OK)
    return {
        "capabilities": msgspec.to_builtins(capabilities),
        "clock_skew_seconds": found.clock_skew,
        "checked_at": timezone.now().isoformat(),
    }
