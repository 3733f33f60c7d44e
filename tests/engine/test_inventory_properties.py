from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.engine.inventory import Inventory, Quota
from clusters.engine.types import ProvisionerMode
from tests.engine.gpu_nodes import Raw, inventory_of, node, pod

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
quantities: st.SearchStrategy[object] = st.sampled_from(
    ["8", "4", "0", "-1", "1e99", "x", "", "16Gi", None, 3, True, [], {}]
)
label_keys = st.sampled_from(
    [
        "nvidia.com/gpu.product",
        "nvidia.com/gpu.count",
        "nvidia.com/gpu.memory",
        "nvidia.com/gpu.replicas",
        "nvidia.com/gpu.sharing-strategy",
        "nvidia.com/gpu.compute.major",
        "nvidia.com/gpu.compute.minor",
        "node.kubernetes.io/instance-type",
        "karpenter.sh/capacity-type",
        "kaito.sh/workspace",
        "amd.com/gpu.vram",
        "cloud.google.com/gke-accelerator",
    ]
)
label_values = st.one_of(
    st.sampled_from(["1", "8", "64G", "g6.xlarge", "spot", "mps", "NVIDIA-L4-SHARED", "9"]),
    json_values,
)
resources = st.dictionaries(
    st.sampled_from(["nvidia.com/gpu", "nvidia.com/mig-1g.5gb", "amd.com/gpu", "cpu"]), quantities
)


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(strategy, strategy, strategy, json_values)


wild_nodes = st.fixed_dictionaries(
    {},
    optional={
        "metadata": maybe(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["a", "b", "c"])},
                optional={
                    "labels": maybe(st.dictionaries(label_keys, label_values)),
                    "annotations": json_values,
                },
            )
        ),
        "spec": maybe(
            st.fixed_dictionaries(
                {}, optional={"taints": json_values, "unschedulable": json_values}
            )
        ),
        "status": maybe(
            st.fixed_dictionaries(
                {"allocatable": maybe(resources), "capacity": maybe(resources)},
                optional={"conditions": json_values},
            )
        ),
    },
)
wild_pods = st.fixed_dictionaries(
    {},
    optional={
        "metadata": json_values,
        "spec": maybe(
            st.fixed_dictionaries(
                {
                    "nodeName": maybe(st.sampled_from(["a", "b"])),
                    "containers": maybe(
                        st.lists(st.fixed_dictionaries({"resources": maybe(resources)}))
                    ),
                    "initContainers": json_values,
                }
            )
        ),
        "status": json_values,
    },
)
modes = st.sampled_from([None, *ProvisionerMode])


def check_sums(inventory: Inventory) -> None:
    totals = inventory.totals
    cards = totals.used + totals.free + totals.faulty + totals.blocked + totals.shared
    assert cards == totals.gpus
    assert min(totals.used, totals.free, totals.faulty, totals.blocked) >= 0
    for each in inventory.nodes:
        assert each.used + each.free <= each.allocatable
        assert each.pool in {pool.key for pool in inventory.pools}
    for pool in inventory.pools:
        assert pool.used + pool.free <= pool.allocatable
        assert pool.gpus_per_node > 0
        assert pool.largest_free_group <= pool.free
        assert pool.whole_free_nodes <= pool.nodes


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(wild_nodes, max_size=4), st.lists(wild_pods, max_size=4), modes)
def test_nothing_a_cluster_sends_can_break_it(
    nodes: list[Raw], pods: list[Raw], mode: ProvisionerMode | None
) -> None:
    quotas = (Quota("g6.xlarge", 3), Quota("unheard-of", 2))
    check_sums(inventory_of(nodes, pods, quotas=quotas, mode=mode))


good_nodes = st.builds(
    node,
    st.sampled_from("abcdef"),
    gpus=st.integers(1, 8),
    allocatable=st.none() | st.integers(0, 9),
    instance_type=st.sampled_from(["g6.xlarge", "Standard_ND96isr_H100_v5", "metal"]),
    ready=st.booleans(),
    cordoned=st.booleans(),
)
good_pods = st.builds(pod, st.sampled_from("pqrst"), st.sampled_from("abcdef"), st.integers(0, 9))


@settings(deadline=None)
@given(st.data(), st.lists(good_nodes), st.lists(good_pods), modes)
def test_the_order_of_nodes_and_pods_does_not_matter(
    data: st.DataObject, nodes: list[Raw], pods: list[Raw], mode: ProvisionerMode | None
) -> None:
    one = inventory_of(nodes, pods, mode=mode)
    shuffled = data.draw(st.permutations(nodes)), data.draw(st.permutations(pods))
    assert inventory_of(*shuffled, mode=mode) == one
    check_sums(one)


@settings(deadline=None)
@given(st.lists(good_nodes), st.lists(good_pods), st.integers(1, 8))
def test_slots_never_promise_more_than_is_free(
    nodes: list[Raw], pods: list[Raw], wanted: int
) -> None:
    inventory = inventory_of(nodes, pods, mode=ProvisionerMode.BYO)
    for pool in inventory.pools:
        count = inventory.slots(pool.key, wanted)
        assert count is not None
        assert count * wanted <= pool.free
        larger = inventory.slots(pool.key, wanted + 1)
        assert larger is not None
        assert larger <= count
