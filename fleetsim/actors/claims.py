"""KAITO's side of nodes: asks for NodeClaims or a NodePool, and reads whether nodes are there.

Bring-your-own counts matching ready nodes only, with no look at free GPUs: that is what KAITO does.
"""

from __future__ import annotations

from fleetsim.actors import estimate, models, naming
from fleetsim.actors.member import Member
from fleetsim.actors.nodes import GPU, SKU_TAINT
from fleetsim.actors.objects import (
    Obj,
    deleting,
    digest,
    find_condition,
    is_true,
    key_of,
    labels,
    meta,
    node_ready,
    quantity,
)
from fleetsim.actors.spec import KARPENTER

Check = tuple[str, bool, str, str]
STAGES = ("Launched", "Registered", "Initialized")


def byo_checks(m: Member, workspace: Obj) -> list[Check]:
    """NodesReady only: ready matching nodes against the target."""
    nodes = estimate.matching_nodes(m, workspace)
    target = workspace["status"].get("targetNodeCount") or 0
    workspace["status"]["workerNodes"] = [meta(node)["name"] for node in nodes]
    ready = sum(1 for node in nodes if node_ready(node))
    if ready >= target:
        return [("NodesReady", True, "NodesReady", "Enough Nodes are ready")]
    text = f"{ready} of {target} nodes are ready"
    return [("NodesReady", False, "NodeNotReady", text)]


def checks(m: Member, workspace: Obj) -> list[Check]:
    """NodeClaimReady and NodesReady of an auto-provisioned Workspace; asks for what is missing."""
    target = workspace["status"].get("targetNodeCount") or 0
    if target:
        _ask(m, workspace, target)
    owned = owned_claims(m, workspace)
    nodes = owned_nodes(m, workspace)
    workspace["status"]["workerNodes"] = [meta(node)["name"] for node in nodes]
    wanted = target - _covered(m, workspace) if m.spec.mode == KARPENTER else target
    found = [_claims_ready(owned, wanted)]
    if found[0][1]:
        counted = nodes + _covering_nodes(m, workspace)
        found.append(_nodes_ready(counted, target))
    return found


def owned_claims(m: Member, workspace: Obj) -> list[Obj]:
    """NodeClaims of a Workspace that are not on their way out."""
    wanted = naming.owner_labels(m.spec.mode, *key_of(workspace))
    return [claim for claim in m.store.list("NodeClaim", selector=wanted) if not deleting(claim)]


def owned_nodes(m: Member, workspace: Obj) -> list[Obj]:
    """Nodes that were created for a Workspace, sorted by name."""
    wanted = naming.owner_labels(m.spec.mode, *key_of(workspace))
    return sorted(m.store.list("Node", selector=wanted), key=lambda node: str(meta(node)["name"]))


def _covering_nodes(m: Member, workspace: Obj) -> list[Obj]:
    """Karpenter mode: ready unowned nodes that match count, though no pod can land there."""
    if m.spec.mode != KARPENTER:
        return []
    wanted = naming.instance_type(workspace)
    return [
        node
        for node in estimate.matching_nodes(m, workspace)
        if node_ready(node)
        and naming.KARPENTER_WORKSPACE not in labels(node)
        and labels(node).get("node.kubernetes.io/instance-type") == wanted
    ]


def _covered(m: Member, workspace: Obj) -> int:
    return len(_covering_nodes(m, workspace))


def _claims_ready(owned: list[Obj], wanted: int) -> Check:
    waiting = [claim for claim in owned if not is_true(claim, "Ready")]
    if len(owned) - len(waiting) >= wanted:
        return "NodeClaimReady", True, "NodeClaimsReady", "All NodeClaims are ready"
    if not waiting:
        return "NodeClaimReady", False, "NodeClaimNotReady", "NodeClaims are not ready"
    reason, message = _first_stage(waiting)
    return "NodeClaimReady", False, reason, message[:256]


def _first_stage(waiting: list[Obj]) -> tuple[str, str]:
    """Reason and message of the earliest stage that some claim has not passed; refusals first."""
    for stage in STAGES:
        rows = [find_condition(claim, stage) for claim in waiting]
        refused = next((row for row in rows if row and row["status"] == "False"), None)
        if refused:
            return refused["reason"], refused["message"]
        if any(row is None or row["status"] != "True" for row in rows):
            return "AwaitingReconciliation", "object is awaiting reconciliation"
    return "NodeClaimNotReady", "NodeClaims are not ready"


def _nodes_ready(nodes: list[Obj], target: int) -> Check:
    ready = [node for node in nodes if node_ready(node)]
    if len(ready) < target:
        text = f"{len(ready)} of {target} nodes are ready"
        return "NodesReady", False, "NodeNotReady", text
    equipped = [node for node in ready if quantity(node["status"]["capacity"].get(GPU))]
    if len(equipped) < target:
        return (
            "NodesReady",
            False,
            "NodePluginsNotReady",
            "GPU device plugin is not ready on all nodes",
        )
    return "NodesReady", True, "NodesReady", "Enough Nodes are ready"


def _ask(m: Member, workspace: Obj, target: int) -> None:
    if m.spec.mode == KARPENTER:
        _ask_pool(m, workspace, target - _covered(m, workspace))
        return
    owned = owned_claims(m, workspace)
    for number in range(len(owned), target):
        claim = _claim(m, workspace, number)
        if m.store.get("NodeClaim", None, meta(claim)["name"]) is None:
            m.store.create(claim, manager=naming.MANAGER)
            m.event(workspace, "NodeClaimCreated", f"NodeClaim {meta(claim)['name']} is created")


def _claim(m: Member, workspace: Obj, number: int) -> Obj:
    """A NodeClaim of the Azure provisioner: name `ws` and nine hex digits."""
    model = models.find(naming.preset(workspace))
    disk = f"{int(model.weights_gib + 80)}Gi" if model else "1024Gi"
    tied = naming.owner_labels(m.spec.mode, *key_of(workspace))
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": "ws" + digest(f"{meta(workspace)['uid']}/{number}/{m.store.rv}", 9),
            "labels": {"karpenter.sh/nodepool": "kaito", **naming.match_labels(workspace), **tied},
            "annotations": {"karpenter.sh/do-not-disrupt": "true"},
            "finalizers": [naming.CLAIM_FINALIZER],
        },
        "spec": claim_spec(naming.instance_type(workspace), disk),
    }


def claim_spec(instance_type: str, disk: str) -> Obj:
    """The spec both provisioners use."""
    return {
        "nodeClassRef": {"group": "kaito.sh", "kind": "KaitoNodeClass", "name": "default"},
        "requirements": [
            {
                "key": "node.kubernetes.io/instance-type",
                "operator": "In",
                "values": [instance_type],
            },
            {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
        ],
        "resources": {"requests": {"storage": disk}},
        "taints": [dict(SKU_TAINT)],
    }


def pool_name(namespace: str, name: str) -> str:
    """The NodePool of a Workspace: at most 63 characters."""
    full = f"{namespace}-{name}"
    return full if len(full) <= 63 else f"{full[:54]}-{digest(full, 8)}"


def _ask_pool(m: Member, workspace: Obj, replicas: int) -> None:
    """One NodePool per Workspace; its replicas are only ever raised."""
    name = pool_name(*key_of(workspace))
    pool = m.store.get("NodePool", None, name)
    if pool is None and replicas > 0:
        m.store.create(_pool(m, workspace, name, replicas), manager=naming.MANAGER)
    elif pool is not None and pool["spec"].get("replicas", 0) < replicas:
        pool["spec"]["replicas"] = replicas
        m.store.update(pool, manager=naming.MANAGER)


def _pool(m: Member, workspace: Obj, name: str, replicas: int) -> Obj:
    tied = naming.owner_labels(m.spec.mode, *key_of(workspace))
    template_labels = {**naming.match_labels(workspace), **tied}
    spec = claim_spec(naming.instance_type(workspace), "1024Gi")
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name, "labels": tied},
        "spec": {
            "replicas": replicas,
            "template": {"metadata": {"labels": template_labels}, "spec": spec},
        },
    }


def release(m: Member, workspace: Obj) -> None:
    """Issue the deletes of a Workspace's NodeClaims or NodePool; nobody waits for them."""
    if m.spec.byo:
        return
    if m.spec.mode == KARPENTER:
        name = pool_name(*key_of(workspace))
        if m.store.get("NodePool", None, name):
            m.store.delete("NodePool", None, name)
    for claim in owned_claims(m, workspace):
        m.store.delete("NodeClaim", None, meta(claim)["name"])
