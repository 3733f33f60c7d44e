from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from clusters.engine.inventory import Inventory, Quota, slots
from clusters.engine.pods import gpu_requests
from clusters.engine.shapes import PodSpec
from clusters.engine.types import PoolKind, ProvisionerMode
from tests.engine.gpu_nodes import Raw, inventory_of, node, pod

BYO, AZURE = ProvisionerMode.BYO, ProvisionerMode.AZURE


def build(
    nodes: list[Raw],
    pods: list[Raw] | None = None,
    *,
    quotas: tuple[Quota, ...] = (),
    mode: ProvisionerMode | None = BYO,
) -> Inventory:
    return inventory_of(nodes, pods or [], quotas=quotas, mode=mode)


def test_a_fragmented_pool_has_free_gpus_but_no_whole_node() -> None:
    nodes = [node(f"n{i}") for i in range(4)]
    pods = [pod(f"p{i}", f"n{i}", used) for i, used in enumerate((7, 3, 2, 1))]
    inventory = build(nodes, pods)
    (pool,) = inventory.pools
    assert (pool.nodes, pool.physical, pool.used, pool.free) == (4, 32, 13, 19)
    assert (pool.whole_free_nodes, pool.largest_free_group) == (0, 7)
    assert [inventory.slots(pool.key, r) for r in (1, 2, 4, 5, 8)] == [19, 8, 3, 3, 0]


def test_an_unhealthy_gpu_leaves_no_slot_for_the_whole_node() -> None:
    inventory = build([node("n", allocatable=7)])
    (pool,) = inventory.pools
    assert (pool.physical, pool.allocatable, pool.whole_free_nodes) == (8, 7, 0)
    assert inventory.slots(pool.key, 8) == 0
    assert inventory.totals.faulty == 1


@pytest.mark.parametrize(
    ("change", "blocked"),
    [
        ({"ready": False}, ""),
        ({"cordoned": True}, ""),
        ({"taints": [{"key": "dedicated", "value": "ml", "effect": "NoSchedule"}]}, "dedicated=ml"),
        ({"taints": [{"key": "gone", "effect": "NoExecute"}]}, "gone:NoExecute"),
        ({"labels": {"kaito.sh/workspace": "other"}}, "workspace other"),
        ({"labels": {"karpenter.kaito.sh/workspace-name": "other"}}, "workspace other"),
    ],
)
def test_a_node_that_takes_no_pods_has_nothing_free(change: dict[str, Any], blocked: str) -> None:
    inventory = build([node("n", **change)])
    assert inventory.totals.free == 0
    assert inventory.totals.blocked == 8
    assert inventory.pools[0].whole_free_nodes == 0
    assert blocked in inventory.nodes[0].blocked


@pytest.mark.parametrize(
    "taint",
    [
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},
        {"key": "sku", "value": "gpu", "effect": "NoSchedule"},
        {"key": "kubernetes.azure.com/scalesetpriority", "value": "spot", "effect": "NoSchedule"},
        {"key": "whatever", "effect": "PreferNoSchedule"},
    ],
)
def test_taints_that_kaito_tolerates_do_not_block(taint: Raw) -> None:
    assert build([node("n", taints=[taint])]).totals.free == 8


@pytest.mark.parametrize(
    ("change", "sharing"),
    [
        ({"labels": {"nvidia.com/gpu.sharing-strategy": "time-slicing"}}, "time-slicing"),
        ({"labels": {"nvidia.com/gpu.sharing-strategy": "mps"}}, "mps"),
        ({"labels": {"nvidia.com/gpu.replicas": "32"}}, "time-slicing"),
        ({"product": "NVIDIA-L4-SHARED"}, "time-slicing"),
        ({"resource": "nvidia.com/gpu.shared"}, "time-slicing"),
        ({"product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb"}, "mig"),
        ({"resource": "nvidia.com/mig-3g.20gb"}, "mig"),
        ({"annotations": {"hami.io/node-nvidia-register": "[{}]"}}, "hami"),
    ],
)
def test_shared_gpus_are_named_and_give_no_slots(change: dict[str, Any], sharing: str) -> None:
    inventory = build([node("n", **change)])
    (pool,) = inventory.pools
    assert pool.sharing == sharing
    assert inventory.slots(pool.key, 1) == 0
    assert pool.whole_free_nodes == pool.largest_free_group == 0
    assert inventory.totals.gpus == inventory.totals.shared == 8
    assert inventory.totals.free == 0
    assert any("shared" in line for line in inventory.warnings)


def test_unshared_labels_of_mig_capable_cards_are_no_sharing() -> None:
    labels = {"nvidia.com/mig.strategy": "single", "nvidia.com/gpu.sharing-strategy": "none"}
    labels["nvidia.com/gpu.replicas"] = "8"
    assert build([node("n", labels=labels)]).pools[0].sharing == "none"


def test_a_card_says_its_memory_and_the_table_is_the_second_source() -> None:
    said = node("n", gpus=1, product="NVIDIA-L4", memory=23034, instance_type="g6.xlarge")
    silent = node("n", gpus=1, product="NVIDIA-L4", memory=None, instance_type="g6.xlarge")
    unknown = node("n", gpus=1, product="NVIDIA-X", memory=None, instance_type="odd")
    memories = [build([n]).pools[0].gpu_memory_mib for n in (said, silent, unknown)]
    assert memories == [23034, 24 * 1024, None]


def test_existing_pools_are_chosen_by_product_and_count() -> None:
    inventory = build(
        [
            node("a", gpus=1, product="NVIDIA-L4", instance_type="g6.xlarge"),
            node("b", gpus=4, product="NVIDIA-L4", instance_type="g6.12xlarge"),
        ]
    )
    assert [pool.key for pool in inventory.pools] == [
        "NVIDIA-L4x1:g6.xlarge",
        "NVIDIA-L4x4:g6.12xlarge",
    ]
    assert [dict(pool.selector) for pool in inventory.pools] == [
        {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "1"},
        {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "4"},
    ]
    assert inventory.region == "westeurope"


def test_a_selector_names_more_labels_only_where_two_pools_look_alike() -> None:
    spot = {"karpenter.sh/capacity-type": "spot"}
    inventory = build([node("a"), node("b", instance_type="p5.48xlarge"), node("c", labels=spot)])
    by_key = {pool.key: dict(pool.selector) for pool in inventory.pools}
    base = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "8"}
    instance = "node.kubernetes.io/instance-type"
    assert by_key["NVIDIA-H100-80GB-HBM3x8:p5.48xlarge"] == base | {instance: "p5.48xlarge"}
    azure = "NVIDIA-H100-80GB-HBM3x8:Standard_ND96isr_H100_v5"
    assert by_key[f"{azure}:spot"] == base | {instance: "Standard_ND96isr_H100_v5"} | spot


def test_a_bring_your_own_node_without_gfd_labels_is_shown_but_cannot_be_selected() -> None:
    inventory = build([node("n", product="", gpus=4, instance_type="metal")])
    (pool,) = inventory.pools
    assert (pool.gpus_per_node, pool.selector) == (4, {})
    assert any("GPU Feature Discovery" in line for line in inventory.warnings)


def test_declared_quota_makes_a_pool_that_counts_the_nodes_that_exist() -> None:
    quota = Quota("standard_nc24ads_a100_v4", 4)
    existing = node(
        "aks-1",
        gpus=1,
        product="NVIDIA-A100-80GB-PCIe",
        instance_type="Standard_NC24ads_A100_v4",
        labels={"kaito.sh/workspace": "chat"},
    )
    inventory = build([existing], [pod("chat-0", "aks-1", 1)], quotas=(quota,), mode=AZURE)
    (pool,) = inventory.pools
    assert pool.key == "new:Standard_NC24ads_A100_v4"
    assert (pool.kind, pool.quota_nodes, pool.nodes) == (PoolKind.PROVISIONABLE, 4, 1)
    assert (pool.gpu_memory_mib, pool.gpus_per_node) == (80 * 1024, 1)
    assert inventory.slots(pool.key, 1) == 3


def test_without_a_declared_quota_the_slots_of_an_auto_mode_pool_are_unknown() -> None:
    inventory = build([node("n")], mode=AZURE)
    (pool,) = inventory.pools
    assert (pool.kind, pool.quota_nodes) == (PoolKind.PROVISIONABLE, None)
    assert inventory.slots(pool.key, 8) is None


def test_a_quota_for_an_unknown_type_is_left_out_with_a_warning() -> None:
    inventory = build([], quotas=(Quota("Standard_Moon", 4),), mode=AZURE)
    assert inventory.pools == ()
    assert "Standard_Moon" in inventory.warnings[0]


def test_bring_your_own_clusters_ignore_quota() -> None:
    inventory = build([node("n")], quotas=(Quota("Standard_ND96isr_H100_v5", 9),))
    assert [pool.kind for pool in inventory.pools] == [PoolKind.EXISTING]


@pytest.mark.parametrize(
    ("label", "value", "meaning"),
    [
        ("kubernetes.azure.com/scalesetpriority", "spot", "spot"),
        ("eks.amazonaws.com/capacityType", "SPOT", "spot"),
        ("eks.amazonaws.com/capacityType", "CAPACITY_BLOCK", "reserved"),
        ("eks.amazonaws.com/capacityType", "ON_DEMAND", "on-demand"),
        ("cloud.google.com/gke-spot", "true", "spot"),
        ("karpenter.sh/capacity-type", "reserved", "reserved"),
    ],
)
def test_every_cloud_says_spot_in_its_own_way(label: str, value: str, meaning: str) -> None:
    assert build([node("n", labels={label: value})]).pools[0].capacity_type == meaning


def test_pods_that_are_over_hold_nothing_and_pods_without_a_node_wait() -> None:
    pods = [
        pod("done", "n", 4, phase="Succeeded"),
        pod("failed", "n", 4, phase="Failed"),
        pod("live", "n", 2, workspace="chat"),
        pod("waiting", "", 8, phase="Pending"),
    ]
    inventory = build([node("n")], pods)
    assert inventory.nodes[0].holders == (("team/live", 2, "chat"),)
    assert (inventory.totals.used, inventory.totals.pending) == (2, 8)


def test_when_a_holder_came_is_told_by_our_clock() -> None:
    one = pod("p", "n", 1, started="1970-01-01T02:00:00Z")
    for ahead, came in ((0.0, 7200.0), (3600.0, 3600.0)):
        found = inventory_of([node("n")], [one], ahead=ahead)
        assert found.nodes[0].held_since == (came,)


def test_a_handshake_is_judged_by_the_clock_that_stamped_it() -> None:
    register = "GPU-0,10,81920,100,NVIDIA-H100,0,true:"
    asked = {"hami.io/node-handshake": "Requesting_2026.11.23 12:00:00"}
    one = node("n", annotations={"hami.io/node-nvidia-register": register, **asked})
    noon = datetime(2026, 11, 23, 12, 1, tzinfo=UTC)

    def blocked(now: datetime, ahead: float = 0.0) -> bool:
        return bool(inventory_of([one], now=now, ahead=ahead).nodes[0].blocked)

    assert not blocked(noon) and blocked(noon + timedelta(hours=1))
    assert not blocked(noon + timedelta(hours=1), ahead=-3600.0)


def test_more_held_than_offered_is_not_more_than_all() -> None:
    inventory = build([node("n", allocatable=7)], [pod("p", "n", 8)])
    assert inventory.totals.used == 7
    assert inventory.totals.free == 0


def test_init_containers_and_sidecars_count_as_the_scheduler_counts_them() -> None:
    def asks(gpus: int, **extra: str) -> Raw:
        return {"resources": {"requests": {"nvidia.com/gpu": gpus}}, **extra}

    def asked(spec: Raw) -> int:
        return sum(gpu_requests(msgspec.convert(spec, PodSpec)).values())

    sidecar, plain = asks(1, restartPolicy="Always"), asks(4)
    assert asked({"containers": [asks(2)], "initContainers": [sidecar, plain]}) == 5
    assert asked({"containers": [asks(2)], "initContainers": [plain, sidecar]}) == 4
    assert asked({"containers": [asks(4)], "initContainers": [sidecar]}) == 5


def test_a_node_without_gpus_is_no_part_of_the_inventory() -> None:
    cpu = node("cpu", gpus=0, product="", instance_type="Standard_D4s_v5")
    assert build([cpu]).nodes == ()


def test_a_gpu_node_of_unknown_size_is_named_not_counted_as_zero() -> None:
    odd = node("odd", gpus=0, product="", instance_type="x")
    odd["metadata"]["labels"]["cloud.google.com/gke-accelerator"] = "nvidia-l4"
    inventory = build([odd])
    assert inventory.nodes == ()
    assert "Node odd" in inventory.warnings[0]


def test_a_new_node_whose_device_plugin_is_not_up_yet_has_its_gpus_down_as_faulty() -> None:
    inventory = build([node("n", product="", allocatable=0)], mode=AZURE)
    assert (inventory.totals.gpus, inventory.totals.faulty) == (8, 8)


def test_slots_of_chosen_nodes_can_be_asked_for_directly() -> None:
    inventory = build([node("a"), node("b", allocatable=4)])
    assert slots(inventory.nodes, 4) == 3


def test_a_cluster_that_warns_of_everything_keeps_its_notes_short() -> None:
    odd = {"nvidia.com/gpu.count": "x"}
    nodes = [node(f"n{i}", gpus=0, instance_type="metal", labels=odd) for i in range(50)]
    inventory = build(nodes)
    assert len(inventory.warnings) == 50
    assert inventory.notes.splitlines()[-1] == "And 10 more like these."
    assert len(inventory.notes.splitlines()) == 41
