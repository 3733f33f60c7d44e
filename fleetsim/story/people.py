"""Other people's things in a cluster: nodes, pods that hold GPUs, a Workspace nobody here made."""

from __future__ import annotations

from typing import Any

import orjson

from fleetsim.actors import floor, nodes, skus
from fleetsim.actors.nodes import GPU
from fleetsim.actors.objects import digest
from fleetsim.actors.spec import ClusterSpec
from fleetsim.store import ApiError, ClusterStore

Obj = dict[str, Any]
NAMESPACE = "ml-platform"
_TEAMS = {"train": "ranking", "embed": "search", "notebook": "research", "fine": "assist"}
_JOBS = ("train-ranker", "embed-batch", "notebook", "fine-tune", "sim-rollout")


def seed_nodes(store: ClusterStore, spec: ClusterSpec, rows: list[Obj]) -> None:
    """Nodes of every row, with one pod per node that holds `used` GPUs.

    A row is {instance_type, pool, count, allocatable?, used?, labels?, taints?, spot?}.
    """
    for row in rows:
        sku = skus.find(row["instance_type"])
        if sku is None:
            raise ApiError(400, f"nodes: unknown instance_type {row['instance_type']!r}")
        for number in range(row.get("count", 1)):
            node = _seed_node(store, spec, row, sku, number)
            used = _at(row.get("used"), number)
            if used and row.get("hami"):
                _seed_parts(store, node, sku, row["pool"], used)
            elif used:
                seed_pod(store, f"{_JOBS[number % len(_JOBS)]}-{row['pool']}-{number}", node, used)


def _at(values: list[int] | None, number: int) -> int | None:
    return values[number] if values and number < len(values) else None


def _seed_node(store: ClusterStore, spec: ClusterSpec, row: Obj, sku: skus.Sku, number: int) -> str:
    suffix = digest(f"{store.name}/{row['pool']}/{number}", 12)
    zone = spec.zones[number % len(spec.zones)]
    dash = "-" if spec.provider == "azure" else ""
    site = nodes.Site(spec.provider, spec.region, f"{spec.region}{dash}{zone}")
    plan = nodes.NodePlan(
        _node_name(spec, row["pool"], number, suffix),
        sku,
        site,
        row["pool"],
        _at(row.get("allocatable"), number),
        dict(row.get("labels", {})),
        list(row.get("taints", [])),
        bool(row.get("spot", False)),
    )
    node = nodes.build(plan, suffix, store.fleet.clock.stamp())
    node["metadata"]["annotations"] = dict(row.get("annotations", {}))
    if row.get("hami"):
        _share(store, node, sku, int(row["hami"]))
    store.seed(node)
    return plan.name


def _share(store: ClusterStore, node: Obj, sku: skus.Sku, split: int) -> None:
    """HAMi's device plugin on a node: each card shows as `split` devices."""
    meta = node["metadata"]
    seed = floor.seed_of(store, meta["name"])
    rows = [
        {"id": floor.uuid(seed, card), "index": card, "count": split, "devmem": sku.mib,
         "devcore": 100, "type": sku.card.product, "mode": "hami-core",
         "health": True}
        for card in range(sku.gpus)
    ]  # fmt: skip
    meta["labels"]["gpu"] = "on"
    stamp = store.fleet.clock.stamp()
    meta["annotations"] |= {
        "hami.io/node-nvidia-register": orjson.dumps(rows).decode(),
        "hami.io/node-handshake": f"Reported {stamp}",
        floor.SPLIT_NOTE: str(split),
    }
    for part in ("capacity", "allocatable"):
        node["status"][part][GPU] = str(sku.gpus * split)


def _seed_parts(store: ClusterStore, node: str, sku: skus.Sku, pool: str, parts: int) -> None:
    """`parts` pods that share a HAMi node's cards, a quarter of a card each."""
    seed = floor.seed_of(store, node)
    for number in range(parts):
        mib = sku.mib // 4
        uuid = floor.uuid(seed, number % sku.gpus)
        notes = {
            floor.ALLOCATED: f"{uuid},NVIDIA,{mib},25:;",
            "hami.io/vgpu-node": node,
            "hami.io/bind-phase": "success",
        }
        name = f"{_JOBS[number % len(_JOBS)]}-{pool}-{number}-{node[-4:]}"
        more = {"nvidia.com/gpumem": str(mib), "nvidia.com/gpucores": "25"}
        seed_pod(store, name, node, 1, notes=notes, resources=more)


def _node_name(spec: ClusterSpec, pool: str, number: int, suffix: str) -> str:
    if spec.provider == "azure":
        return f"aks-{pool}-{suffix[:8]}-vmss{number:06d}"
    net = f"{int(suffix[:2], 16)}-{int(suffix[2:4], 16)}"
    return f"ip-10-{net}-{10 + number}.{spec.region}.compute.internal"


def ensure_namespace(store: ClusterStore, name: str) -> None:
    """Make a namespace once."""
    if store.get("Namespace", None, name) is None:
        store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def _team(name: str) -> str:
    return _TEAMS.get(name.partition("-")[0], "platform")


def seed_pod(
    store: ClusterStore,
    name: str,
    node: str,
    gpus: int,
    notes: dict[str, str] | None = None,
    resources: dict[str, str] | None = None,
) -> None:
    """A running pod of another team; with 0 GPUs it is only there."""
    ensure_namespace(store, NAMESPACE)
    container: Obj = {"name": "main", "image": "registry.example/jobs/main:1.4", "resources": {}}
    if gpus:
        asked = {GPU: str(gpus), **(resources or {})}
        container["resources"] = {"requests": asked, "limits": asked}
    stamp = store.fleet.clock.stamp()
    ready = {"status": "True", "lastTransitionTime": stamp, "reason": "", "message": ""}
    running = {"running": {"startedAt": stamp}}
    state = {"name": "main", "ready": True, "restartCount": 0, "image": container["image"],
             "imageID": "", "started": True, "state": running}  # fmt: skip
    store.seed({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": notes or {},
                     "labels": {"app": name, "team": _team(name)}},
        "spec": {"nodeName": node, "containers": [container], "restartPolicy": "Always",
                 "terminationGracePeriodSeconds": 30},
        "status": {"phase": "Running", "startTime": stamp, "podIP": "10.244.250.2",
                   "conditions": [{"type": kind, **ready} for kind in ("Ready", "PodScheduled")],
                   "containerStatuses": [state]},
    })  # fmt: skip


def workspace(row: Obj) -> Obj:
    """A Workspace of other people: {namespace, name, preset, instance_type?, selector?,
    annotations?}."""
    selector = row.get("selector") or {"apps": row["name"]}
    resource: Obj = {"labelSelector": {"matchLabels": selector}}
    if row.get("instance_type"):
        resource["instanceType"] = row["instance_type"]
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {
            "name": row["name"],
            "namespace": row["namespace"],
            "labels": {"team": row["namespace"]},
            "annotations": dict(row.get("annotations", {})),
        },
        "resource": resource,
        "inference": {"preset": {"name": row["preset"]}},
    }
