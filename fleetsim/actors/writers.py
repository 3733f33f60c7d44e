"""Other people's writes: what `kubectl edit`, an autoscaler or a lost machine does to objects.

For stories and tests; the portal has no part in them.
"""

from __future__ import annotations

from fleetsim.actors.objects import Obj
from fleetsim.store import ClusterStore

EDITOR = "kubectl-edit"
AUTOSCALER = "kube-controller-manager"


def edit(store: ClusterStore, kind: str, namespace: str | None, name: str, patch: Obj) -> Obj:
    """What `kubectl edit` saves: a merge patch by the manager kubectl-edit. Raises ApiError."""
    return store.patch(kind, namespace, name, patch, manager=EDITOR)


def scale(store: ClusterStore, namespace: str, name: str, replicas: int) -> Obj:
    """An autoscaler's hand on an InferenceSet's replicas. Raises ApiError."""
    patch = {"spec": {"replicas": replicas}}
    return store.patch("InferenceSet", namespace, name, patch, manager=AUTOSCALER)


def lose_node(store: ClusterStore, name: str) -> None:
    """A machine goes away for good; its pods follow. Raises ApiError 404."""
    store.delete("Node", None, name)
