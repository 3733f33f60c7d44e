"""Clusters and nodes as JSON. Unknown is null; a silent cluster's cards are in `unknown`."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers

from clusters.engine.types import NodeFacts, PoolKind
from clusters.models import Cluster
from clusters.selectors import capacity, census, grid
from clusters.selectors.census import CLASSES, Tally, tally, unseen
from clusters.selectors.facts import capabilities_of, labels_of, pools_of, taints_of
from clusters.selectors.workloads import Names
from clusters.states import CLUSTER
from fleetportal.accounts.principal import Principal
from fleetportal.rest.rows import Rows


class Tallied(serializers.Serializer[Any]):
    """GPUs. The seven classes add up to `total`; without `provisionable` to `physical`."""

    total = serializers.IntegerField()
    physical = serializers.IntegerField()
    allocated = serializers.IntegerField()
    free = serializers.IntegerField()
    blocked = serializers.IntegerField(help_text="On nodes or clusters that take no new pods.")
    faulty = serializers.IntegerField()
    unknown = serializers.IntegerField(help_text="Last seen on clusters that are not in contact.")
    provisionable = serializers.IntegerField(help_text="Declared quota less what exists.")
    shared = serializers.IntegerField(help_text="Cards that are given out in parts.")
    shares = serializers.IntegerField(help_text="Parts of shared cards; in no sum.")
    nodes = serializers.IntegerField()
    whole_free_nodes = serializers.IntegerField(
        allow_null=True, help_text="Null where none of the nodes is in contact."
    )


def tally_row(found: Tally) -> dict[str, int | None]:
    row = {
        name: getattr(found, name) for name in ("total", "physical", *CLASSES, "shares", "nodes")
    }
    nobody_knows = found.unknown > 0 and found.unknown == found.physical
    return {**row, "whole_free_nodes": None if nobody_knows else found.whole_free}


class GapRow(serializers.Serializer[Any]):
    feature = serializers.CharField()
    missing = serializers.CharField()
    cost = serializers.CharField()


class QuotaRow(serializers.Serializer[Any]):
    instance_type = serializers.CharField()
    capacity_type = serializers.CharField()
    nodes = serializers.IntegerField()
    existing_nodes = serializers.IntegerField()
    left = serializers.IntegerField()
    gpus_left = serializers.IntegerField(allow_null=True)
    declared_at = serializers.DateTimeField()


class PoolRow(Rows):
    key = serializers.CharField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in PoolKind])
    gpu_model = serializers.CharField()
    gpus_per_node = serializers.IntegerField()
    gpu_memory_mib = serializers.IntegerField(allow_null=True)
    instance_type = serializers.CharField()
    capacity_type = serializers.CharField()
    nodes = serializers.IntegerField()
    whole_free_nodes = serializers.IntegerField(allow_null=True)
    quota_nodes = serializers.IntegerField(allow_null=True)
    price_per_hour = serializers.FloatField(allow_null=True)


class ClusterRow(Rows, serializers.ModelSerializer[Cluster]):
    """One row of the list. `gpus` null: nobody has seen its nodes yet."""

    url = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=sorted(CLUSTER.states), read_only=True)
    labels = serializers.SerializerMethodField()
    kubernetes_version = serializers.SerializerMethodField()
    kaito_version = serializers.SerializerMethodField()
    provisioner = serializers.SerializerMethodField()
    gpus = serializers.SerializerMethodField()

    class Meta:
        model = Cluster
        fields: tuple[str, ...] = (
            *("id", "name", "url", "version", "state", "state_reason", "state_since"),
            *("cordoned", "cordon_reason", "environment", "provider", "region", "labels"),
            *("simulated", "last_contact_at", "observed_at", "probed_at"),
            *("kubernetes_version", "kaito_version", "provisioner", "gpus"),
        )

    def get_url(self, row: Cluster) -> str:
        return reverse("cluster", args=[row.name])

    def get_labels(self, row: Cluster) -> dict[str, str]:
        return labels_of(row)

    @extend_schema(responses=serializers.CharField(allow_null=True))
    def get_kubernetes_version(self, row: Cluster) -> str | None:
        return capabilities_of(row).kubernetes_version

    def get_kaito_version(self, row: Cluster) -> str | None:
        return capabilities_of(row).kaito_version

    def get_provisioner(self, row: Cluster) -> str | None:
        found = capabilities_of(row).provisioner
        return found.value if found else None

    @extend_schema(responses=Tallied(allow_null=True))
    def get_gpus(self, row: Cluster) -> dict[str, int | None] | None:
        return None if row.observed_at is None else tally_row(tally(row))


class ClusterDetail(ClusterRow):
    """One cluster with its pools, quota, gaps and taints. `server`: to the fleet's roles only."""

    server = serializers.SerializerMethodField()
    teams = serializers.SerializerMethodField()
    inference_set_works = serializers.SerializerMethodField()
    gaps = serializers.SerializerMethodField()
    inventory_notes = serializers.SerializerMethodField()
    pools = serializers.SerializerMethodField()
    quotas = serializers.SerializerMethodField()
    taints = serializers.SerializerMethodField()

    class Meta(ClusterRow.Meta):
        fields = (
            *ClusterRow.Meta.fields,
            *("server", "teams", "inference_set_works", "gaps", "pools", "quotas"),
            *("properties", "taints", "inventory_notes"),
        )

    def get_server(self, row: Cluster) -> str | None:
        principal: Principal = self.context["principal"]
        return row.server if principal.sees_all else None

    def get_teams(self, row: Cluster) -> list[str] | None:
        """Null: every team."""
        return None if row.open_to_all else sorted(grant.team.slug for grant in row.grants.all())

    def get_inference_set_works(self, row: Cluster) -> bool | None:
        return capabilities_of(row).inference_set_works

    @extend_schema(responses=GapRow(many=True))
    def get_gaps(self, row: Cluster) -> list[dict[str, Any]]:
        return [dict(GapRow(gap).data) for gap in capabilities_of(row).gaps]

    def get_inventory_notes(self, row: Cluster) -> list[str]:
        """What the inventory leaves out or cannot tell, a sentence each."""
        return row.inventory_notes.splitlines()

    @extend_schema(responses=PoolRow(many=True))
    def get_pools(self, row: Cluster) -> list[dict[str, Any]]:
        hidden = {"whole_free_nodes": None} if unseen(row) else {}
        return [{**PoolRow(pool).data, **hidden} for pool in pools_of(row)]

    @extend_schema(responses=QuotaRow(many=True))
    def get_quotas(self, row: Cluster) -> list[dict[str, Any]]:
        return [quota_row(line) for line in capacity.quotas(row)]

    def get_taints(self, row: Cluster) -> list[dict[str, str]]:
        return [{"key": t.key, "value": t.value, "effect": t.effect} for t in taints_of(row)]


def quota_row(line: capacity.QuotaLine) -> dict[str, Any]:
    return {
        "instance_type": line.quota.instance_type,
        "capacity_type": line.quota.capacity_type,
        "nodes": line.quota.nodes,
        "existing_nodes": line.nodes,
        "left": line.left,
        "gpus_left": line.gpus_left,
        "declared_at": line.quota.declared_at,
    }


class HolderRow(serializers.Serializer[Any]):
    workload = serializers.CharField(help_text="A deployment, `other team` or `not ours`.")
    gpus = serializers.IntegerField()


class NodeRow(Rows):
    """One GPU node. `used` and `free` are null while its cluster is not in contact."""

    name = serializers.CharField()
    pool = serializers.CharField()
    instance_type = serializers.CharField()
    zone = serializers.CharField()
    ready = serializers.BooleanField(allow_null=True)
    cordoned = serializers.BooleanField()
    sharing = serializers.CharField()
    physical = serializers.IntegerField(allow_null=True)
    allocatable = serializers.IntegerField()
    used = serializers.IntegerField(allow_null=True)
    free = serializers.IntegerField(allow_null=True)
    faulty = serializers.IntegerField(allow_null=True)
    why_blocked = serializers.CharField()
    holders = HolderRow(many=True)


def node_row(cluster: Cluster, node: NodeFacts, names: Names) -> dict[str, Any]:
    blind = unseen(cluster)
    why = grid.why_blocked(cluster, node)
    return {
        "name": node.name,
        "pool": node.pool,
        "instance_type": node.instance_type,
        "zone": node.zone,
        "ready": None if blind else node.ready,
        "cordoned": node.cordoned,
        "sharing": node.sharing,
        "physical": node.physical,
        "allocatable": node.allocatable,
        "used": None if blind else node.used,
        "free": None if blind else 0 if why else node.free,
        "faulty": None if blind or node.physical is None else census.faulty(node),
        "why_blocked": why,
        "holders": [
            {"workload": names.of(cluster.pk, pod, workspace), "gpus": gpus}
            for pod, gpus, workspace in node.holders
        ],
    }
