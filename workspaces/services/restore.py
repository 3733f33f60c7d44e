"""Bringing an old revision back after its objects are gone: the same spec under a new name."""

from __future__ import annotations

import orjson
from django.db import transaction
from django.utils import timezone

from fleetportal.journal.services import event_record
from workspaces.engine.canonical import digest
from workspaces.engine.names import object_name
from workspaces.engine.placement import place
from workspaces.engine.types import Demand, Policy
from workspaces.models import Claim, Workspace
from workspaces.services import facts
from workspaces.services.claims import claims_take


def workspace_copy(old: Workspace) -> Workspace:
    """A planned workspace with the old one's manifests, byte for byte but for the object's name.

    Claims the nodes it needs. Raises NoRoom where the pool has none.
    """
    attempt = 1 + Workspace.objects.filter(revision=old.revision, cluster=old.cluster).count()
    deployment = old.deployment
    name = object_name(
        install=old.manifests[0]["metadata"]["labels"]["fleetportal.io/install"],
        team=deployment.team.slug,
        deployment=deployment.name,
        number=old.revision.number,
        attempt=attempt * 1000,
    )
    manifests = _renamed(old, name)
    with transaction.atomic():
        copy = Workspace.objects.create(
            deployment=deployment,
            revision=old.revision,
            cluster=old.cluster,
            attempt=attempt,
            kind=old.kind,
            namespace=old.namespace,
            name=name,
            service=old.service,
            replicas=old.replicas,
            pool=old.pool,
            instance_type=old.instance_type,
            nodes_per_replica=old.nodes_per_replica,
            price_per_hour=old.price_per_hour,
            manifests=manifests,
            desired_hash=digest(manifests),
        )
        if old.pool is not None:
            claims_take(workspace=copy, pool=old.pool, nodes=old.replicas * old.nodes_per_replica)
        event_record(action="workspace.planned_again", obj=copy, after={"name": name})
    return copy


def room_for(old: Workspace) -> bool:
    """Whether placement would put the old revision on its cluster again, beside what is there."""
    revision, team = old.revision, old.deployment.team
    policy = Policy(placement_type="PickFixed", cluster_names=(old.cluster.name,), spread=())
    demand = Demand(
        model=facts.model_spec(revision.model),
        replicas=old.replicas,
        max_model_len=revision.spec["max_model_len"],
        team=team.slug,
        policy=policy,
        has_secret=facts.has_secret(team),
    )
    seen = [one for one in facts.fleet(timezone.now()) if one.name == old.cluster.name]
    situation = facts.situation(deployment=old.deployment, model=revision.model)
    return not place(demand, seen, situation).blocked


def slots_for(old: Workspace, *, beside: Workspace | None) -> bool | None:
    """Whether the old one's pool has slots once `beside` has left; None: the pool is gone."""
    if old.pool is None:
        return None
    taken = Claim.objects.filter(pool=old.pool, released_at=None)
    if beside is not None:
        taken = taken.exclude(workspace=beside)
    return old.pool.slots - taken.count() >= old.replicas * old.nodes_per_replica


def _renamed(old: Workspace, name: str) -> list[dict[str, object]]:
    """Every mention of the old object's name, in names, selectors and the ConfigMap's reference."""
    text = orjson.dumps(old.manifests).decode().replace(old.name, name)
    renamed: list[dict[str, object]] = orjson.loads(text)
    return renamed
