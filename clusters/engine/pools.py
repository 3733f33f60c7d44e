"""Which pool a GPU node belongs to, and what one pool looks like. Pure.

Keys are stable: they name the shape of a node, never its number or the order of arrival.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clusters.engine.holding import units_offered
from clusters.engine.nodes import NodeReading
from clusters.engine.raw import word
from clusters.engine.signs import GFD_COUNT, GFD_PRODUCT, INSTANCE_TYPE_LABELS, SkuLookup
from clusters.engine.types import NodeFacts, PoolFacts, PoolKind, ProvisionerMode, Taint

Groups = Mapping[str, Sequence[NodeReading]]  # pool key -> its nodes
_NEW = "new:"  # starts the key of a provisionable pool; no label value can hold a colon


@dataclass(frozen=True, slots=True)
class Quota:
    """What an operator declares: at most `nodes` of this type may exist in the cluster."""

    instance_type: str
    nodes: int
    capacity_type: str = "on-demand"


def declared_quotas(quotas: Iterable[Quota], skus: SkuLookup) -> dict[str, Quota]:
    """Quotas by pool key; two for one pool: the larger."""
    found: dict[str, Quota] = {}
    for quota in quotas:
        sku = skus(quota.instance_type)
        name = sku.instance_type if sku else quota.instance_type
        key = _provisionable_key(name, quota.capacity_type)
        if key not in found or found[key].nodes < quota.nodes:
            found[key] = Quota(name, max(0, quota.nodes), quota.capacity_type)
    return found


def _provisionable_key(instance_type: str, capacity_type: str) -> str:
    suffix = "" if capacity_type == "on-demand" else f":{capacity_type}"
    return f"{_NEW}{instance_type}{suffix}"


def group_nodes(
    readings: Sequence[NodeReading],
    declared: Mapping[str, Quota],
    mode: ProvisionerMode | None,
) -> dict[str, list[NodeReading]]:
    groups: dict[str, list[NodeReading]] = defaultdict(list)
    for key in declared:
        groups[key] = []
    for reading in readings:
        groups[_pool_key(reading, declared, mode)].append(reading)
    return dict(groups)


def _pool_key(
    reading: NodeReading, declared: Mapping[str, Quota], mode: ProvisionerMode | None
) -> str:
    key = _provisionable_key(reading.instance_type, reading.place.capacity_type)
    auto = mode in (ProvisionerMode.AZURE, ProvisionerMode.KARPENTER)
    if reading.sharing == "none" and ((auto and reading.instance_type) or key in declared):
        return key
    parts = [f"{reading.gpu_model or 'GPU'}x{gpus_per_node(reading)}", reading.instance_type]
    parts.append(reading.place.capacity_type if reading.place.capacity_type != "on-demand" else "")
    parts.append(reading.sharing if reading.sharing != "none" else "")
    return ":".join(part for part in parts if part)


def gpus_per_node(reading: NodeReading) -> int:
    """What KAITO asks for per pod on this node: the label, else what is known to be there.

    0: nobody says. On shared nodes labels count parts: there it is cards, at least one.
    """
    if reading.sharing != "none":
        return reading.physical or 1
    return reading.labelled_count or reading.physical or units_offered(reading)


def make_pool(
    key: str,
    groups: Groups,
    facts: Sequence[NodeFacts],
    declared: Mapping[str, Quota],
    skus: SkuLookup,
) -> PoolFacts:
    readings = sorted(groups[key], key=lambda r: r.name)
    mine = [node for node in facts if node.pool == key]
    shape = _shape(key, readings, declared, skus)
    whole = [n for n in mine if n.sharing == "none" and n.free]
    sizes = [node.physical for node in mine]
    kind = PoolKind.PROVISIONABLE if _is_provisionable(key) else PoolKind.EXISTING
    return PoolFacts(
        key=key,
        kind=kind,
        gpu_model=shape.gpu_model,
        gpu_memory_mib=shape.memory_mib,
        gpus_per_node=shape.gpus,
        instance_type=shape.instance_type,
        nodes=len(mine),
        physical=None if None in sizes else sum(size or 0 for size in sizes),
        allocatable=sum(node.allocatable for node in mine),
        used=sum(node.used for node in mine),
        free=sum(node.free for node in mine),
        whole_free_nodes=sum(n.free >= shape.gpus for n in whole),
        largest_free_group=max((n.free for n in whole), default=0),
        capacity_type=shape.capacity_type,
        compute_capability=shape.compute_capability,
        quota_nodes=declared[key].nodes if key in declared else None,
        selector={} if kind is PoolKind.PROVISIONABLE else _selector(key, groups),
        taints=_common_taints(readings),
        sharing=readings[0].sharing if readings else "none",
        vendor=readings[0].vendor if readings else "nvidia",
    )


@dataclass(frozen=True, slots=True)
class _Shape:
    instance_type: str
    capacity_type: str
    gpu_model: str
    gpus: int
    memory_mib: int | None
    compute_capability: float | None


def _shape(
    key: str, readings: Sequence[NodeReading], declared: Mapping[str, Quota], skus: SkuLookup
) -> _Shape:
    """What one node of the pool looks like.

    KAITO reads node labels on existing nodes and its SKU table for nodes that it will create.
    """
    if key in declared:
        instance_type, capacity_type = declared[key].instance_type, declared[key].capacity_type
    else:
        instance_type, capacity_type = readings[0].instance_type, readings[0].place.capacity_type
    sku = skus(instance_type) if _is_provisionable(key) else None
    if sku is None:
        return _seen_shape(readings, instance_type, capacity_type)
    memory_mib = int(sku.gpu_memory_gib * 1024) if sku.gpu_memory_gib else None
    return _Shape(
        sku.instance_type,
        capacity_type,
        sku.gpu_model,
        sku.gpus,
        memory_mib,
        sku.compute_capability,
    )


def _seen_shape(readings: Sequence[NodeReading], instance_type: str, capacity_type: str) -> _Shape:
    memory = [r.gpu_memory_mib for r in readings if r.gpu_memory_mib is not None]
    capability = [r.compute_capability for r in readings if r.compute_capability is not None]
    return _Shape(
        instance_type,
        capacity_type,
        readings[0].gpu_model if readings else "",
        max((gpus_per_node(r) for r in readings), default=0),
        min(memory, default=None),  # sizing must hold on the smallest card
        min(capability, default=None),
    )


def _is_provisionable(key: str) -> bool:
    return key.startswith(_NEW)


def _selector(key: str, groups: Groups) -> dict[str, str]:
    """Labels that choose this pool's nodes and no others; {} where KAITO could not use them.

    KAITO reads product and count from labels on bring-your-own nodes, so both must be there.
    More labels are added only while nodes of another pool match too.
    """
    mine = groups[key][0]
    chosen = {name: word(mine.labels.get(name)) for name in (GFD_PRODUCT, GFD_COUNT)}
    if not all(chosen.values()):
        return {}
    others = [r for other, group in groups.items() if other != key for r in group]
    named = [(name, word(mine.labels.get(name))) for name in INSTANCE_TYPE_LABELS]
    extra = [(name, value) for name, value in named if value][:1]
    extra += [mine.place.capacity_label] if mine.place.capacity_label else []
    for name, value in extra:
        if not any(chosen.items() <= other.labels.items() for other in others):
            break
        chosen[name] = value
    return chosen


def _common_taints(readings: Sequence[NodeReading]) -> tuple[Taint, ...]:
    if not readings:
        return ()
    common = set(readings[0].taints).intersection(*(set(r.taints) for r in readings[1:]))
    return tuple(sorted(common, key=lambda t: (t.key, t.value, t.effect)))
