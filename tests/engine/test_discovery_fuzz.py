"""Clusters that send anything at all: nothing breaks, nothing unknown becomes 0, sums hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.engine.inventory import Inventory
from clusters.engine.types import ProvisionerMode
from clusters.selectors import census, pack
from clusters.selectors.facts import decode_nodes, decode_pools
from tests.engine.gpu_nodes import Raw, inventory_of, node, pod

LAX = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
ODD_TEXTS = st.sampled_from(
    ["", "\x00", "\ud800", "a\nb", "x" * 300, "1g.5gb", "-1", "²", "\u0661"]
)
TEXTS = st.text(max_size=6) | ODD_TEXTS
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
COUNTS = st.sampled_from(
    ["0", "1", "7", "8", 3, "1e99", "-2", "1.5", "16Gi", "x", "9" * 70, 10**40]
)
RESOURCES = st.dictionaries(
    st.sampled_from(
        [
            "nvidia.com/gpu",
            "nvidia.com/gpu.shared",
            "nvidia.com/mig-1g.5gb",
            "nvidia.com/mig-odd",
            "amd.com/gpu",
            "gpu.intel.com/i915",
            "aws.amazon.com/neuron",
            "aws.amazon.com/neuroncore",
            "habana.ai/gaudi",
            "cpu",
        ]
    ),
    COUNTS | ANYTHING,
    max_size=4,
)
REGISTERS = st.sampled_from(
    [
        '[{"id":"a","count":10,"devmem":1000,"health":true},{"id":"b","devmem":-1}]',
        '[{"id":"a","count":1e9,"devmem":"x","index":-3,"health":"yes"}, 3, null, {"id":7}]',
        "a,10,1000,100,T,0,true:b,x,y,z,,,false,1,mig:",
        "[" * 2000,
        ",,,,,,:",
        "garbage",
    ]
)
PARTS = st.sampled_from(["a,NVIDIA,10,10:;", "a,N,x,-1:b,N,9,9:;", ";;;", "zzz", "a,,,:"])
ANNOTATIONS = st.dictionaries(
    st.sampled_from(
        [
            "hami.io/node-nvidia-register",
            "hami.io/node-mlu-register",
            "hami.io/node-handshake",
            "hami.io/device-cordon",
            "hami.io/vgpu-devices-allocated",
        ]
    ),
    REGISTERS
    | PARTS
    | st.sampled_from(["Requesting_2026.11.23 12:00:00", "Requesting_x", "Deleted_"])
    | ANYTHING,
    max_size=3,
)
LABELS = st.dictionaries(
    st.sampled_from(
        [
            "nvidia.com/gpu.product",
            "nvidia.com/gpu.count",
            "nvidia.com/gpu.memory",
            "nvidia.com/gpu.replicas",
            "nvidia.com/gpu.sharing-strategy",
            "nvidia.com/mig-1g.5gb.memory",
            "amd.com/gpu.vram",
            "cloud.google.com/gke-accelerator",
            "cloud.google.com/gke-accelerator-count",
            "cloud.google.com/gke-gpu-partition-size",
            "cloud.google.com/reservation-name",
            "karpenter.sh/capacity-type",
            "eks.amazonaws.com/capacityType",
            "node.kubernetes.io/instance-type",
            "topology.kubernetes.io/region",
            "kaito.sh/workspace",
        ]
    ),
    st.sampled_from(
        ["8", "0", "-1", "spot", "g6.xlarge", "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", "64G"]
    )
    | ANYTHING,
    max_size=5,
)


def shaped(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Mostly an object with some of these fields, now and then anything."""
    good: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional=fields)
    return st.one_of(good, good, good, good, ANYTHING)


def listed(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(items, max_size=3), st.lists(items, max_size=3), ANYTHING)


NAMES = st.sampled_from(["a", "b", "p"]) | ANYTHING
META = shaped({"name": NAMES, "namespace": NAMES, "labels": LABELS, "annotations": ANNOTATIONS})
TAINTS = listed(shaped({"key": TEXTS, "value": ANYTHING, "effect": st.just("NoSchedule")}))
NODES = shaped(
    {
        "metadata": META,
        "spec": shaped(
            {
                "providerID": st.sampled_from(["aws:///a/b", "gce://p/z/n", "://"]) | ANYTHING,
                "unschedulable": ANYTHING,
                "taints": TAINTS,
            }
        ),
        "status": shaped(
            {"capacity": RESOURCES, "allocatable": RESOURCES, "conditions": listed(ANYTHING)}
        ),
    }
)
CONTAINERS = listed(shaped({"resources": shaped({"requests": RESOURCES, "limits": RESOURCES})}))
PODS = shaped(
    {
        "metadata": META,
        "spec": shaped(
            {
                "nodeName": NAMES,
                "containers": CONTAINERS,
                "initContainers": CONTAINERS,
                "resourceClaims": listed(shaped({"resourceClaimName": NAMES})),
            }
        ),
        "status": shaped({"phase": ANYTHING, "startTime": ANYTHING}),
    }
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["type", "uuid", "parentUUID", "profile", "productName"]),
    shaped({"string": st.sampled_from(["gpu", "mig", "GPU-0", "1g.5gb"]) | ANYTHING}),
)
AMOUNTS = st.dictionaries(st.sampled_from(["memory", "s"]), shaped({"value": COUNTS | ANYTHING}))
ASKED = shaped(
    {
        "key": st.sampled_from(["metadata.name", "kaito.sh/workspace", "odd"]) | ANYTHING,
        "operator": st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]) | TEXTS,
        "values": listed(st.sampled_from(["a", "b", "8", "-1"]) | ANYTHING),
    }
)
TERMS = listed(shaped({"matchExpressions": listed(ASKED), "matchFields": listed(ASKED)}))
REACH: dict[str, st.SearchStrategy[Any]] = {
    "nodeName": NAMES,
    "nodeSelector": shaped({"nodeSelectorTerms": TERMS}),
    "allNodes": st.booleans() | ANYTHING,
}
DEVICES = shaped(
    {
        "name": st.sampled_from(["d0", "d1", "d2"]) | ANYTHING,
        **REACH,
        "attributes": ATTRIBUTES,
        "capacity": AMOUNTS,
        "taints": TAINTS,
        "consumesCounters": listed(shaped({"counterSet": NAMES, "counters": AMOUNTS})),
    }
)
SLICES = shaped(
    {
        "metadata": META,
        "spec": shaped(
            {
                "driver": st.just("gpu.nvidia.com"),
                **REACH,
                "pool": shaped(
                    {
                        "name": st.just("p"),
                        "generation": st.integers(0, 2),
                        "resourceSliceCount": st.integers(0, 2),
                    }
                ),
                "devices": listed(DEVICES),
                "sharedCounters": listed(shaped({"name": NAMES, "counters": AMOUNTS})),
            }
        ),
    }
)
RESULTS = shaped(
    {
        "driver": st.just("gpu.nvidia.com"),
        "pool": st.just("p"),
        "device": st.sampled_from(["d0", "d1"]) | ANYTHING,
        "adminAccess": st.booleans() | ANYTHING,
    }
)
CLAIMS = shaped(
    {
        "metadata": META,
        "status": shaped(
            {
                "allocation": shaped({"devices": shaped({"results": listed(RESULTS)})}),
                "reservedFor": listed(shaped({"resource": st.just("pods"), "name": NAMES})),
            }
        ),
    }
)
MODES = st.sampled_from([None, *ProvisionerMode])


def check(inventory: Inventory) -> None:
    totals = inventory.totals
    classes = (totals.used, totals.free, totals.faulty, totals.blocked, totals.shared)
    assert sum(classes) == totals.gpus
    assert min(classes) >= 0
    tally = sum(census.count(inventory.nodes, inventory.pools).values(), census.Tally())
    assert tally.physical == totals.gpus
    for each in inventory.nodes:
        assert each.used + each.free <= each.allocatable
        assert each.physical is None or each.physical > 0
        assert each.gpu_memory_mib is None or each.gpu_memory_mib > 0
        assert all(card.memory_mib is None or card.memory_mib > 0 for card in each.cards)
        assert all(share.used <= share.offered for share in each.shares)
    for pool in inventory.pools:
        assert pool.gpus_per_node > 0
        assert pool.used + pool.free <= pool.allocatable
        assert pool.largest_free_group <= pool.free
    assert decode_nodes(pack(inventory.nodes)) == inventory.nodes
    assert decode_pools(pack(inventory.pools)) == inventory.pools


@LAX
@given(
    st.lists(NODES, max_size=3),
    st.lists(PODS, max_size=3),
    st.lists(SLICES, max_size=3),
    st.lists(CLAIMS, max_size=2),
    MODES,
)
def test_no_label_annotation_or_quantity_can_break_it(
    nodes: list[Raw], pods: list[Raw], slices: list[Raw], claims: list[Raw], mode: Any
) -> None:
    check(inventory_of(nodes, pods, slices=slices, claims=claims, mode=mode, now=NOW))


@LAX
@given(
    st.data(),
    st.lists(NODES, max_size=3),
    st.lists(PODS, max_size=3),
    st.lists(SLICES, max_size=3),
    st.lists(CLAIMS, max_size=2),
)
def test_the_order_of_whatever_arrives_does_not_matter(
    data: st.DataObject, nodes: list[Raw], pods: list[Raw], slices: list[Raw], claims: list[Raw]
) -> None:
    def turned(items: list[Raw]) -> list[Raw]:
        return data.draw(st.permutations(items))

    straight = inventory_of(nodes, pods, slices=slices, claims=claims)
    other = inventory_of(turned(nodes), turned(pods), slices=turned(slices), claims=turned(claims))
    assert other == straight


UNREADABLE = st.sampled_from(["x", "-1", "1e99", "8 GPUs", "9" * 90, 10**40, [], {}, True, ""])


@LAX
@given(UNREADABLE)
def test_an_offer_that_cannot_be_read_is_neither_free_nor_broken(value: Any) -> None:
    one = node("n", gpus=8)
    one["status"]["allocatable"]["nvidia.com/gpu"] = value
    totals = inventory_of([one]).totals
    assert (totals.gpus, totals.blocked, totals.free, totals.faulty) == (8, 8, 0, 0)


@LAX
@given(UNREADABLE)
def test_a_request_that_cannot_be_read_may_be_for_everything(value: Any) -> None:
    odd = pod("odd", "n", 1)
    odd["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = value
    totals = inventory_of([node("n", gpus=8)], [odd]).totals
    assert (totals.used, totals.free) == (8, 0)


@LAX
@given(UNREADABLE)
def test_labels_that_cannot_be_read_say_nothing(value: Any) -> None:
    labels = {f"nvidia.com/gpu.{name}": value for name in ("count", "memory", "replicas")}
    odd = node("n", product="", gpus=4, instance_type="metal", labels=labels)
    (found,) = inventory_of([odd]).nodes
    assert (found.physical, found.gpu_memory_mib, found.sharing) == (4, None, "none")


PLACES = st.one_of(
    st.sampled_from([{}, {"allNodes": True}, {"nodeName": "a"}, {"nodeName": "gone"}]),
    st.fixed_dictionaries({"nodeSelector": st.fixed_dictionaries({"nodeSelectorTerms": TERMS})}),
)


@LAX
@given(st.lists(st.tuples(PLACES, st.sampled_from("xyz")), max_size=6), PLACES)
def test_a_card_that_several_nodes_can_use_is_counted_once_or_told_of(
    devices: list[tuple[Raw, str]], of_slice: Raw
) -> None:
    offered = [
        {"name": f"d{at}", "attributes": {"uuid": {"string": uuid}}, **place}
        for at, (place, uuid) in enumerate(devices)
    ]
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": "gpu.nvidia.com", "pool": pool, "devices": offered, **of_slice}
    nodes = [node(name, gpus=0, product="", instance_type="metal") for name in "ab"]
    found = inventory_of(nodes, slices=[{"metadata": {"name": "s"}, "spec": spec}])
    told = [int(line.split(": ")[1].split(" GPU")[0]) for line in loose(found)]
    placed = [card.uuid for each in found.nodes for card in each.cards]
    assert len(placed) == len(set(placed))
    assert found.totals.gpus + sum(told) == len({uuid for _, uuid in devices})


def loose(found: Inventory) -> list[str]:
    return [line for line in found.warnings if "Counted at no node" in line]
