"""Clusters as rows with nodes of any kind, and a worker in place of the broker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db.models.signals import post_save
from django.utils import timezone

from clusters.engine.types import NodeFacts, PoolFacts, PoolKind
from clusters.models import Check, Cluster
from clusters.selectors import pack

H100 = "NVIDIA-H100-80GB-HBM3"


def node(name: str = "node-0", pool: str = "h100", **facts: Any) -> NodeFacts:
    """A ready node with eight free GPUs unless told otherwise."""
    plain: dict[str, Any] = {
        "instance_type": "p5.48xlarge",
        "ready": True,
        "cordoned": False,
        "physical": 8,
        "allocatable": 8,
        "used": 0,
    }
    return NodeFacts(name=name, pool=pool, **(plain | facts))


def pool(key: str = "h100", nodes: Sequence[NodeFacts] = (), **facts: Any) -> PoolFacts:
    """A pool of existing eight-GPU nodes; `quota` makes it one of nodes that can be created."""
    quota = facts.pop("quota", None)
    plain: dict[str, Any] = {
        "kind": PoolKind.EXISTING if quota is None else PoolKind.PROVISIONABLE,
        "gpu_model": H100,
        "gpu_memory_mib": 81559,
        "gpus_per_node": 8,
        "instance_type": "p5.48xlarge",
        "quota_nodes": quota,
    }
    mine = [one for one in nodes if one.pool == key]
    return PoolFacts(
        key=key,
        nodes=len(mine),
        physical=sum(one.physical or one.allocatable for one in mine),
        allocatable=sum(one.allocatable for one in mine),
        used=sum(one.used for one in mine),
        free=sum(one.free for one in mine),
        whole_free_nodes=sum(one.free >= 8 for one in mine),
        largest_free_group=max((one.free for one in mine), default=0),
        **(plain | facts),
    )


def make_cluster(
    name: str = "prod-weu",
    nodes: Sequence[NodeFacts] = (),
    pools: Sequence[PoolFacts] | None = None,
    **fields: Any,
) -> Cluster:
    """A ready cluster that was seen just now."""
    now = timezone.now()
    plain: dict[str, Any] = {
        "state": "ready",
        "uid": f"uid-{name}",
        "server": f"https://{name}.example:6443",
        "credential_kind": "token",
        "credential_sealed": b"",
        "environment": "production",
        "region": "westeurope",
        "capabilities": {"kaito_version": "0.12.0", "provisioner": "byo", "gaps": []},
        "observed_at": now,
        "last_contact_at": now,
        "probed_at": now,
    }
    given = tuple([pool(nodes=nodes)] if pools is None else pools)
    facts = {"nodes_packed": pack(tuple(nodes)), "pools_packed": pack(given)}
    return Cluster.objects.create(name=name, **(plain | facts | fields))


@contextmanager
def checks_end(state: str = "done", **result: Any) -> Iterator[None]:
    """Every connection check asked for within ends at once."""

    def finish(sender: type[Check], instance: Check, created: bool, **_: Any) -> None:
        if created:
            found = Check.objects.filter(pk=instance.pk)
            found.update(state=state, result=result, finished_at=timezone.now())
            instance.refresh_from_db()

    post_save.connect(finish, sender=Check, weak=False, dispatch_uid="checks_end")
    try:
        yield
    finally:
        post_save.disconnect(sender=Check, dispatch_uid="checks_end")
