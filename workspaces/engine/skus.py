"""Node shapes as KAITO sizes with them: from its SKU table, or from what the cards report."""

from __future__ import annotations

from clusters.engine.skus import Sku, find
from clusters.engine.types import PoolFacts, PoolKind
from workspaces.engine.types import GIB, Shape


def shape_for(instance_type: str) -> Shape | None:
    """The node shape KAITO sizes with when it creates the nodes; None: KAITO does not know it."""
    sku = find(instance_type)
    return None if sku is None else _shape(sku)


def reported_gib(memory_mib: int) -> int:
    """Whole GiB per GPU that KAITO reads from the `nvidia.com/gpu.memory` label (MiB).

    It rounds half up: an L4 that reports 23,034 MiB is sized as 22 GiB, not as the table's 24.
    """
    return (2 * memory_mib + 1024) // 2048


def shape_from_label(
    gpus: int, memory_mib: int, gpu_model: str = "", instance_type: str = ""
) -> Shape:
    """The node shape KAITO sizes with on bring-your-own nodes, from what the cards report."""
    return Shape(gpus, reported_gib(memory_mib) * GIB, gpu_model, instance_type)


def shape_of_pool(pool: PoolFacts) -> Shape | None:
    """The node shape KAITO will size this pool with; None when it has no memory that is known.

    Nodes that KAITO creates are sized from the table even while some of them exist and report
    less; existing nodes are sized from their labels.
    """
    if pool.kind is PoolKind.PROVISIONABLE:
        return shape_for(pool.instance_type)
    if pool.gpu_memory_mib is None or pool.gpus_per_node < 1:
        return None
    if reported_gib(pool.gpu_memory_mib) < 1:
        return None
    return shape_from_label(
        pool.gpus_per_node, pool.gpu_memory_mib, pool.gpu_model, pool.instance_type
    )


def _shape(sku: Sku) -> Shape:
    return Shape(sku.gpus, sku.gib_per_gpu * GIB, sku.gpu_model, sku.instance_type)
