"""From a stored cluster to a gateway. The only place where a credential is opened."""

from __future__ import annotations

import orjson
from django.conf import settings

from clusters.gateway import Connection, Gateway, gateway_for
from clusters.models import Cluster
from fleetportal.kit.crypto import Unreadable, keyring
from fleetportal.kit.errors import Permanent


def connection_of(cluster: Cluster) -> Connection:
    """How to reach the cluster; its address is judged at each connect. Raises Permanent."""
    try:
        secret = orjson.loads(
            keyring().open(
                bytes(cluster.credential_sealed),
                table="clusters_cluster",
                pk=cluster.pk,
                field="credential",
            )
        )
    except Unreadable as error:
        raise Permanent(
            f"The credential of {cluster.name} cannot be opened: {error}.",
            remedy="Check FLEETPORTAL_KEYS, or give the credential again.",
        ) from error
    return Connection(
        cluster_id=str(cluster.pk),
        credential_version=cluster.credential_version,
        server=cluster.server,
        ca_pem=cluster.ca_pem,
        tls_server_name=cluster.tls_server_name,
        allow_loopback=settings.ALLOW_LOOPBACK_CLUSTERS,
        **secret,
    )


def gateway_of(cluster: Cluster) -> Gateway:
    """The pooled gateway of this process for the cluster."""
    return gateway_for(connection_of(cluster))
