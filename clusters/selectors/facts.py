"""Rows of clusters as the engine's values; no words for people here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db.models import TextField
from django.db.models.functions import Cast

from clusters.engine.types import Capabilities, ClusterFacts, NodeFacts, PoolFacts, Taint
from clusters.models import Cluster, ClusterGrant

_encoder = msgspec.msgpack.Encoder()
_pools = msgspec.msgpack.Decoder(tuple[PoolFacts, ...])
_nodes = msgspec.msgpack.Decoder(tuple[NodeFacts, ...])
_taints = msgspec.json.Decoder(tuple[Taint, ...])
_capabilities = msgspec.json.Decoder(Capabilities, strict=False)


def pack(values: tuple[PoolFacts, ...] | tuple[NodeFacts, ...]) -> bytes:
    """Facts as stored in a row; equal facts give equal bytes."""
    return _encoder.encode(values)


def decode_pools(packed: bytes | memoryview) -> tuple[PoolFacts, ...]:
    return _pools.decode(packed) if packed else ()


def decode_nodes(packed: bytes | memoryview) -> tuple[NodeFacts, ...]:
    return _nodes.decode(packed) if packed else ()


def pools_of(cluster: Cluster) -> tuple[PoolFacts, ...]:
    return decode_pools(cluster.pools_packed)


def nodes_of(cluster: Cluster) -> tuple[NodeFacts, ...]:
    return decode_nodes(cluster.nodes_packed)


def capabilities_of(cluster: Cluster) -> Capabilities:
    return msgspec.convert(cluster.capabilities, Capabilities, strict=False)


def taints_of(cluster: Cluster) -> tuple[Taint, ...]:
    return tuple(msgspec.convert(cluster.taints, list[Taint]))


def labels_of(cluster: Cluster) -> dict[str, str]:
    """The cluster's labels; environment, region and provider are always among them."""
    known = _known(cluster.environment, cluster.region, cluster.provider)
    return {**known, **cluster.labels}


def _known(environment: str, region: str, provider: str) -> dict[str, str]:
    all_three = {"environment": environment, "region": region, "provider": provider}
    return {key: value for key, value in all_three.items() if value}


def fleet_facts(now: datetime, names: Collection[str] | None = None) -> list[ClusterFacts]:
    """Every managed cluster, or those of these names, by name, in at most two queries.

    Made for a thousand rows: columns instead of model instances, JSON decoded straight into the
    engine's types, and what many clusters share or none has changed is decoded once.
    """
    rows = Cluster.objects.managed().order_by("name")
    if names is not None:
        rows = rows.filter(name__in=names)
    texts = {f"{name}_text": Cast(name, TextField()) for name in _JSON}
    found = [_Columns(*row) for row in rows.annotate(**texts).values_list(*_COLUMNS, *texts)]
    closed = any(not row.open_to_all for row in found)
    teams = _granted() if closed else {}
    return [_facts(row, teams, now) for row in found]


def _granted() -> dict[UUID, set[str]]:
    """Slugs of the teams that may use each cluster which is not open to all."""
    teams: dict[UUID, set[str]] = {}
    rows = ClusterGrant.objects.filter(cluster__open_to_all=False)
    for cluster, team in rows.values_list("cluster_id", "team__slug"):
        teams.setdefault(cluster, set()).add(team)
    return teams


_COLUMNS = (
    *("pk", "name", "uid", "state", "simulated", "cordoned", "cordon_reason", "observed_at"),
    *("environment", "provider", "region", "open_to_all", "pools_packed"),
)
_JSON = ("labels", "properties", "taints", "capabilities")


class _Columns(NamedTuple):
    """_COLUMNS, then _JSON as text."""

    pk: UUID
    name: str
    uid: str
    state: str
    simulated: bool
    cordoned: bool
    cordon_reason: str
    observed_at: datetime | None
    environment: str
    provider: str
    region: str
    open_to_all: bool
    pools_packed: bytes
    labels: str
    properties: str
    taints: str
    capabilities: str


def _facts(row: _Columns, teams: Mapping[UUID, set[str]], now: datetime) -> ClusterFacts:
    seen = row.observed_at
    known = _known(row.environment, row.region, row.provider)
    return ClusterFacts(
        id=str(row.pk),
        name=row.name,
        uid=row.uid,
        state=row.state,
        simulated=row.simulated,
        cordoned=row.cordoned,
        cordon_reason=row.cordon_reason,
        age_seconds=None if seen is None else max(0.0, (now - seen).total_seconds()),
        labels={"name": row.name, **known, **msgspec.json.decode(row.labels)},
        properties=msgspec.json.decode(row.properties),
        taints=_taints.decode(row.taints) if row.taints != "[]" else (),
        region=row.region,
        environment=row.environment,
        teams=None if row.open_to_all else frozenset(teams.get(row.pk, ())),
        capabilities=_shared_capabilities(row.capabilities),
        pools=_shared_pools(bytes(row.pools_packed)),
    )


@lru_cache(maxsize=256)
def _shared_capabilities(text: str) -> Capabilities:
    return _capabilities.decode(text)


@lru_cache(maxsize=2048)
def _shared_pools(packed: bytes) -> tuple[PoolFacts, ...]:
    """Values cannot change and equal facts give equal bytes: between two plans few do."""
    return decode_pools(packed)
