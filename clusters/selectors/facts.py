"""Rows of clusters as the engine's values; no words for people here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

import msgspec

from clusters.engine.types import Capabilities, ClusterFacts, NodeFacts, PoolFacts, Taint
from clusters.models import Cluster

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_pools = msgspec.msgpack.Decoder(tuple[PoolFacts, ...])
_nodes = msgspec.msgpack.Decoder(tuple[NodeFacts, ...])


def pack(values: tuple[PoolFacts, ...] | tuple[NodeFacts, ...]) -> bytes:
    """Facts as stored in a row; equal facts give equal bytes."""
    return _encoder.encode(values)


def decode_pools(packed: bytes) -> tuple[PoolFacts, ...]:
    return _pools.decode(packed) if packed else ()


def decode_nodes(packed: bytes) -> tuple[NodeFacts, ...]:
    return _nodes.decode(packed) if packed else ()


def pools_of(cluster: Cluster) -> tuple[PoolFacts, ...]:
    return decode_pools(cluster.pools_packed)


def nodes_of(cluster: Cluster) -> tuple[NodeFacts, ...]:
    return decode_nodes(cluster.nodes_packed)


def capabilities_of(cluster: Cluster) -> Capabilities:
    return msgspec.convert(cluster.capabilities, Capabilities, strict=False)


def taints_of(cluster: Cluster) -> tuple[Taint, ...]:
    return tuple(msgspec.convert(cluster.taints, list[Taint]))


def facts_of(cluster: Cluster, now: datetime) -> ClusterFacts:
    """One row as the placement engine sees it. `grants` must be prefetched with their team."""
    seen = cluster.observed_at
    return ClusterFacts(
        id=str(cluster.pk),
        name=cluster.name,
        uid=cluster.uid,
        state=cluster.state,
        simulated=cluster.simulated,
        cordoned=cluster.cordoned,
        cordon_reason=cluster.cordon_reason,
        age_seconds=None if seen is None else max(0.0, (now - seen).total_seconds()),
        labels={"name": cluster.name, **labels_of(cluster)},
        properties=cluster.properties,
        taints=taints_of(cluster),
        region=cluster.region,
        environment=cluster.environment,
        teams=None if cluster.open_to_all else frozenset(g.team.slug for g in cluster.grants.all()),
        capabilities=capabilities_of(cluster),
        pools=pools_of(cluster),
    )


def labels_of(cluster: Cluster) -> dict[str, str]:
    """The cluster's labels; environment, region and provider are always among them."""
    known = {
        "environment": cluster.environment,
        "region": cluster.region,
        "provider": cluster.provider,
    }
    return {**{key: value for key, value in known.items() if value}, **cluster.labels}


def fleet_facts(now: datetime) -> list[ClusterFacts]:
    """Every managed cluster, in two queries."""
    rows: Iterable[Cluster] = (
        Cluster.objects.managed()
        .defer("credential_sealed", "ca_pem", "nodes_packed")
        .prefetch_related("grants__team")
        .order_by("name")
    )
    return [facts_of(cluster, now) for cluster in rows]
