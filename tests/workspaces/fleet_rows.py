"""The story's clusters as rows, so that pages and endpoints can be tested without any cluster."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from django.utils import timezone

from clusters.engine.types import ClusterFacts
from clusters.models import Cluster, Pool
from clusters.selectors import pack
from tests.engine.placement_world import story
from workspaces.services.catalog import catalog_sync


def make_fleet(facts: Sequence[ClusterFacts] | None = None) -> dict[str, Cluster]:
    """Rows of these clusters (the story's nine by default), by name; the catalog is filled too."""
    catalog_sync()
    return {one.name: make_cluster(one) for one in (story() if facts is None else facts)}


def make_cluster(facts: ClusterFacts) -> Cluster:
    age = facts.age_seconds
    seen = None if age is None else timezone.now() - timedelta(seconds=age)
    cluster = Cluster.objects.create(
        name=facts.name,
        uid=facts.uid,
        state=facts.state,
        server=f"https://{facts.name}.example:6443",
        ca_pem="",
        credential_kind="token",
        credential_sealed=b"",
        environment=facts.environment,
        provider="azure",
        region=facts.region,
        labels=dict(facts.labels),
        properties=dict(facts.properties),
        taints=msgspec.to_builtins(facts.taints),
        cordoned=facts.cordoned,
        cordon_reason=facts.cordon_reason,
        open_to_all=facts.teams is None,
        capabilities=msgspec.to_builtins(facts.capabilities),
        simulated=True,
        observed_at=seen,
        last_contact_at=seen,
        pools_packed=pack(facts.pools),
    )
    Pool.objects.bulk_create(
        Pool(
            cluster=cluster,
            key=pool.key,
            kind=pool.kind.value,
            gpu_model=pool.gpu_model,
            instance_type=pool.instance_type,
            slots=pool.whole_free_nodes or pool.quota_nodes or 0,
        )
        for pool in facts.pools
    )
    return cluster
