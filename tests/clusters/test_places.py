"""Where a cluster is: what an operator said, else what its nodes say."""

from __future__ import annotations

import pytest
from django.utils import timezone

from clusters.engine.shapes import loose_node
from clusters.models import Cluster
from clusters.services.inventory import inventory_store
from tests.clusters.rows import make_cluster
from tests.engine.gpu_nodes import Raw, node

pytestmark = pytest.mark.django_db


def stored(cluster: Cluster, *provider_ids: str) -> Cluster:
    nodes = []
    for number, provider_id in enumerate(provider_ids):
        raw = node(f"node-{number}")
        raw["spec"]["providerID"] = provider_id
        nodes.append(loose_node(raw))
    inventory_store(cluster=cluster, nodes=filter(None, nodes), pods=[], at=timezone.now())
    return Cluster.objects.get(pk=cluster.pk)


def test_nodes_tell_the_provider_and_region_that_nobody_gave() -> None:
    cluster = make_cluster("a", provider="", region="")
    found = stored(cluster, "azure:///subscriptions/s/vm/0")
    assert (found.provider, found.region) == ("azure", "westeurope")


def test_what_an_operator_gave_stands() -> None:
    cluster = make_cluster("a", provider="gcp", region="here")
    found = stored(cluster, "azure:///subscriptions/s/vm/0")
    assert (found.provider, found.region) == ("gcp", "here")


def test_nodes_of_two_clouds_or_of_none_tell_no_provider() -> None:
    mixed = stored(make_cluster("a", provider=""), "azure:///vm/0", "aws:///us-east-1a/i-0")
    metal = stored(make_cluster("b", provider=""), "k3s://metal-1")
    assert (mixed.provider, metal.provider) == ("", "")


def test_what_an_inventory_leaves_out_is_kept_in_words_until_it_is_mended() -> None:
    cluster = make_cluster("a")
    labels = {"nvidia.com/gpu.count": "x"}
    unsized = node("odd", gpus=0, instance_type="metal", labels=labels)
    assert notes_after(cluster, unsized).startswith("Node odd: it has GPUs")
    assert notes_after(cluster, node("odd")) == ""


def notes_after(cluster: Cluster, raw: Raw) -> str:
    now = Cluster.objects.get(pk=cluster.pk)
    nodes = filter(None, [loose_node(raw)])
    assert inventory_store(cluster=now, nodes=nodes, pods=[], at=timezone.now())
    return Cluster.objects.get(pk=cluster.pk).inventory_notes
