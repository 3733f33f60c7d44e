"""Plays Karpenter and the cloud: launches machines for NodeClaims, registers nodes, removes them.

Capacity is what the cluster's spec says, which no portal can read; a refused launch is tried again.
"""

from __future__ import annotations

import copy

from fleetsim.actors import naming, nodes, skus, timing
from fleetsim.actors.member import Member
from fleetsim.actors.objects import (
    Obj,
    deleting,
    digest,
    is_true,
    labels,
    meta,
    notes_of,
    owner_ref,
    set_condition,
)
from fleetsim.actors.spec import FAULT_ANNOTATION

MANAGER = "karpenter"


def reconcile_pool(m: Member, _namespace: str, name: str) -> None:
    """Make the NodeClaims that a NodePool with static replicas asks for."""
    pool = m.store.get("NodePool", None, name)
    if pool is None:
        return
    have = m.store.list("NodeClaim", selector={"karpenter.sh/nodepool": name})
    for number in range(len(have), pool["spec"].get("replicas", 0)):
        m.store.create(_pool_claim(m, pool, name, number), manager=MANAGER)


def _pool_claim(m: Member, pool: Obj, name: str, number: int) -> Obj:
    template = pool["spec"]["template"]
    suffix = digest(f"{meta(pool)['uid']}/{number}/{m.store.rv}", 5)
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": f"{name[:57]}-{suffix}",
            "labels": {"karpenter.sh/nodepool": name, **template["metadata"]["labels"]},
            "finalizers": [naming.CLAIM_FINALIZER],
            "ownerReferences": [owner_ref(pool)],
        },
        "spec": copy.deepcopy(template["spec"]),
    }


def reconcile_claim(m: Member, _namespace: str, name: str) -> None:
    """Start the next step of a NodeClaim's life, unless one is already under way."""
    claim = m.store.get("NodeClaim", None, name)
    if claim is None:
        return
    uid = meta(claim)["uid"]
    if deleting(claim):
        m.once(f"{uid}/end", timing.NODE_DRAIN, lambda: _drain(m, name))
    elif not is_true(claim, "Launched"):
        m.once(uid, timing.CLAIM_LAUNCH, lambda: _launch(m, name))


def instance_type(claim: Obj) -> str:
    """The instance type that a claim requires."""
    rows = claim["spec"]["requirements"]
    wanted = next(row for row in rows if row["key"] == "node.kubernetes.io/instance-type")
    return str(wanted["values"][0])


def _launch(m: Member, name: str) -> None:
    claim = _alive(m, name)
    if claim is None or is_true(claim, "Launched"):
        return
    sku = skus.find(instance_type(claim))
    if sku is None or not _has_capacity(m, claim, sku):
        _refuse(m, claim, sku)
        return
    set_condition(claim, "Launched", True, "Launched", "", m.stamp(), meta(claim)["generation"])
    claim["status"]["nodeName"] = _node_name(m, claim)
    m.store.update_status(claim, manager=MANAGER)
    pace = timing.jitter(m.rng(f"boot/{name}"))
    m.agenda.after(timing.boot(sku) * pace, lambda: _register(m, name, sku))


def _alive(m: Member, name: str) -> Obj | None:
    claim = m.store.get("NodeClaim", None, name)
    return None if claim is None or deleting(claim) else claim


def _has_capacity(m: Member, claim: Obj, sku: skus.Sku) -> bool:
    workspace = labels(claim).get(naming.WORKSPACE) or labels(claim).get(naming.KARPENTER_WORKSPACE)
    if m.spec.fault("capacity", workspace or "") or _marked(m, claim, workspace or ""):
        return False
    limit = m.spec.capacity.get(sku.name)
    return limit is None or _machines(m, sku.name) < limit


def _marked(m: Member, claim: Obj, name: str) -> bool:
    """Whether the Workspace's own annotation asks for this failure."""
    found = labels(claim)
    namespace = found.get(naming.WORKSPACE_NAMESPACE) or found.get(naming.KARPENTER_NAMESPACE)
    workspace = m.store.get("Workspace", namespace, name)
    return workspace is not None and notes_of(workspace).get(FAULT_ANNOTATION) == "capacity"


def _machines(m: Member, name: str) -> int:
    """Machines of a type that exist: nodes, and launched claims without a node yet."""
    found = m.store.list("Node", selector={"node.kubernetes.io/instance-type": name})
    known = {meta(node)["name"] for node in found}
    launched = (c for c in m.store.list("NodeClaim") if is_true(c, "Launched"))
    coming = (c for c in launched if instance_type(c) == name)
    return len(known | {_node_name(m, claim) for claim in coming})


def _refuse(m: Member, claim: Obj, sku: skus.Sku | None) -> None:
    wanted = sku.short if sku else instance_type(claim)
    text = (
        f"no {wanted} capacity in {m.spec.region}: AllocationFailed, the cloud does not have "
        "sufficient capacity for the requested size in this region"
    )
    set_condition(
        claim, "Launched", False, "LaunchFailed", text, m.stamp(), meta(claim)["generation"]
    )
    m.store.update_status(claim, manager=MANAGER)
    m.event(claim, "InsufficientCapacityError", text, warning=True)
    name = meta(claim)["name"]
    m.once(meta(claim)["uid"], timing.CLAIM_RETRY, lambda: _launch(m, name))


def _node_name(m: Member, claim: Obj) -> str:
    name, suffix = meta(claim)["name"], digest(meta(claim)["uid"], 8)
    if m.spec.provider == "azure":
        return f"aks-{name}-{suffix}-vmss000000"[:63]
    return f"i-{suffix}.{m.spec.region}.compute.internal"


def _plan(m: Member, claim: Obj, sku: skus.Sku) -> nodes.NodePlan:
    zone = m.rng(f"zone/{meta(claim)['name']}").choice(m.spec.zones)
    dash = "-" if m.spec.provider == "azure" else ""
    site = nodes.Site(m.spec.provider, m.spec.region, f"{m.spec.region}{dash}{zone}")
    pool = labels(claim).get("karpenter.sh/nodepool", "kaito")
    taints = copy.deepcopy(claim["spec"].get("taints") or [])
    found = {**labels(claim), "karpenter.sh/capacity-type": "on-demand"}
    return nodes.NodePlan(_node_name(m, claim), sku, site, pool, None, found, taints)


def _register(m: Member, name: str, sku: skus.Sku) -> None:
    claim = _alive(m, name)
    if claim is None:
        return
    node = nodes.bare(_plan(m, claim, sku), digest(meta(claim)["uid"], 12), m.stamp())
    m.store.create(node, manager=MANAGER)
    generation = meta(claim)["generation"]
    set_condition(claim, "Registered", True, "Registered", "", m.stamp(), generation)
    m.store.update_status(claim, manager=MANAGER)
    m.agenda.after(timing.NODE_READY, lambda: _initialize(m, name, sku))


def _initialize(m: Member, name: str, sku: skus.Sku) -> None:
    claim = _alive(m, name)
    node = m.store.get("Node", None, _node_name(m, claim)) if claim else None
    if claim is None or node is None:
        return
    node["status"]["conditions"] = nodes.conditions(True, m.stamp())
    m.store.update_status(node, manager="kubelet")
    generation = meta(claim)["generation"]
    for stage in ("Initialized", "Ready"):
        set_condition(claim, stage, True, stage, "", m.stamp(), generation)
    m.store.update_status(claim, manager=MANAGER)
    m.agenda.after(timing.DEVICE_PLUGIN, lambda: _equip(m, meta(node)["name"], sku))


def _equip(m: Member, node_name: str, sku: skus.Sku) -> None:
    """The device plugin and GPU Feature Discovery come up."""
    node = m.store.get("Node", None, node_name)
    if node is None:
        return
    meta(node)["labels"] |= {**nodes.gfd_labels(sku), "accelerator": "nvidia"}
    node = m.store.update(node, manager="gpu-feature-discovery")
    node["status"]["capacity"] = nodes.resources(sku, sku.gpus)
    node["status"]["allocatable"] = nodes.resources(sku, sku.gpus)
    m.store.update_status(node, manager="kubelet")


def _drain(m: Member, name: str) -> None:
    claim = m.store.get("NodeClaim", None, name)
    if claim is None:
        return
    node = _node_name(m, claim)
    for pod in m.store.list("Pod"):
        if pod["spec"].get("nodeName") == node and not deleting(pod):
            m.store.delete("Pod", meta(pod)["namespace"], meta(pod)["name"])
    wait = timing.NODE_DELETE if m.store.get("Node", None, node) else 0.0
    m.agenda.after(wait, lambda: _remove(m, name, node))


def _remove(m: Member, name: str, node: str) -> None:
    if m.store.get("Node", None, node):
        m.store.delete("Node", None, node)
    claim = m.store.get("NodeClaim", None, name)
    if claim is None:
        return
    meta(claim)["finalizers"] = [
        f for f in meta(claim)["finalizers"] if f != naming.CLAIM_FINALIZER
    ]
    m.store.update(claim, manager=MANAGER)
