"""Other people's things in a cluster: nodes, pods that hold GPUs, a Workspace nobody here made."""

from __future__ import annotations

from typing import Any

from fleetsim.actors import nodes, skus
from fleetsim.actors.nodes import GPU
from fleetsim.actors.objects import digest
from fleetsim.actors.spec import ClusterSpec
from fleetsim.store import ApiError, ClusterStore

Obj = dict[str, Any]
NAMESPACE = "ml-platform"
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
            if used:
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
    store.seed(nodes.build(plan, suffix, store.fleet.clock.stamp()))
    return plan.name


def _node_name(spec: ClusterSpec, pool: str, number: int, suffix: str) -> str:
    if spec.provider == "azure":
        return f"aks-{pool}-{suffix[:8]}-vmss{number:06d}"
    net = f"{int(suffix[:2], 16)}-{int(suffix[2:4], 16)}"
    return f"ip-10-{net}-{10 + number}.{spec.region}.compute.internal"


def ensure_namespace(store: ClusterStore, name: str) -> None:
    """Make a namespace once."""
    if store.get("Namespace", None, name) is None:
        store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def seed_pod(store: ClusterStore, name: str, node: str, gpus: int) -> None:
    """A running pod of another team; with 0 GPUs it is only there."""
    ensure_namespace(store, NAMESPACE)
    container: Obj = {"name": "main", "image": "registry.example/jobs/main:1.4", "resources": {}}
    if gpus:
        container["resources"] = {"requests": {GPU: str(gpus)}, "limits": {GPU: str(gpus)}}
    stamp = store.fleet.clock.stamp()
    ready = {"status": "True", "lastTransitionTime": stamp, "reason": "", "message": ""}
    running = {"running": {"startedAt": stamp}}
    state = {"name": "main", "ready": True, "restartCount": 0, "image": container["image"],
             "imageID": "", "started": True, "state": running}  # fmt: skip
    store.seed({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [container], "restartPolicy": "Always",
                 "terminationGracePeriodSeconds": 30},
        "status": {"phase": "Running", "startTime": stamp, "podIP": "10.244.250.2",
                   "conditions": [{"type": kind, **ready} for kind in ("Ready", "PodScheduled")],
                   "containerStatuses": [state]},
    })  # fmt: skip


def workspace(row: Obj) -> Obj:
    """A Workspace of other people: {namespace, name, preset, instance_type?, selector?}."""
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
        },
        "resource": resource,
        "inference": {"preset": {"name": row["preset"]}},
    }
