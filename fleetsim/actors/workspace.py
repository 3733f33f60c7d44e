"""KAITO's Workspace controller: defaults, estimate, nodes, workload, conditions, deletion.

It reads the cluster and moves one step; every change of its objects makes it look again. It
writes as the real one does: whole objects by PUT under its own manager, the status apart.
"""

from __future__ import annotations

import copy
from typing import Any

import orjson

from fleetsim.actors import claims, estimate, judge, naming, workload
from fleetsim.actors.member import Member
from fleetsim.actors.objects import (
    Obj,
    deleting,
    digest,
    find_condition,
    meta,
    notes_of,
    set_condition,
)
from fleetsim.actors.sizing import SizingError


def reconcile(m: Member, namespace: str, name: str) -> None:
    """One pass over a Workspace."""
    workspace = m.store.get("Workspace", namespace, name)
    if workspace is None:
        return
    if deleting(workspace):
        _finalize(m, workspace)
    elif not _prepare(m, workspace):
        _advance(m, workspace)


def _prepare(m: Member, workspace: Obj) -> bool:
    """Add finalizer, defaults and hash by a full PUT. True when something was written."""
    full = copy.deepcopy(workspace)
    finalizers = meta(full).setdefault("finalizers", [])
    if naming.WORKSPACE_FINALIZER not in finalizers:
        finalizers.append(naming.WORKSPACE_FINALIZER)
    preset = (full.get("inference") or {}).get("preset")
    if preset:
        preset.setdefault("presetOptions", {})
    notes = meta(full).setdefault("annotations", {})
    notes["workspace.kaito.io/hash"] = _hash(full)
    notes.setdefault("workspace.kaito.io/revision", "1")
    if full == workspace:
        return False
    m.store.update(full, manager=naming.MANAGER)
    return True


def _hash(workspace: Obj) -> str:
    spec = {key: workspace.get(key) for key in ("resource", "inference", "tuning")}
    return digest(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS).decode(), 64)


def _advance(m: Member, workspace: Obj) -> None:
    new = copy.deepcopy(workspace)
    trouble = _estimate(m, new)
    ready = _resources(m, new, trouble)
    if ready and not trouble:
        workload.ensure(m, new)
        judge.inference(m, new)
    _conclude(m, new)
    if new.get("status") != workspace.get("status"):
        m.store.update_status(new, manager=naming.MANAGER)


def _estimate(m: Member, workspace: Obj) -> str:
    """Write targetNodeCount while it is 0. Returns the estimator's complaint or nothing."""
    status: dict[str, Any] = workspace.setdefault("status", {})
    if status.get("targetNodeCount"):
        return ""
    try:
        status["targetNodeCount"] = estimate.target_nodes(m, workspace)
    except (SizingError, ValueError) as error:
        return f" (last reconcile error: failed to calculate target node count: {error})"
    return ""


def _resources(m: Member, workspace: Obj, trouble: str) -> bool:
    """NodeClaimReady, NodesReady, ResourceReady. With no target they are True: 0 of 0."""
    checks = claims.byo_checks(m, workspace) if m.spec.byo else claims.checks(m, workspace)
    for kind, ok, reason, message in checks:
        _set(m, workspace, kind, ok, reason, message + trouble)
    failed = next((check for check in checks if not check[1]), None)
    if failed:
        _set(m, workspace, "ResourceReady", False, failed[2], failed[3] + trouble)
        return False
    text = "workspace resource is ready"
    _set(m, workspace, "ResourceReady", True, "workspaceResourceStatusSuccess", text + trouble)
    return True


def _conclude(m: Member, workspace: Obj) -> None:
    """BenchmarkCompleted's consequence, WorkspaceSucceeded and the state."""
    status = workspace["status"]
    ready = judge.holds(workspace, "ResourceReady") and judge.holds(workspace, "InferenceReady")
    benchmark = find_condition(workspace, "BenchmarkCompleted")
    failed = ready and benchmark is not None and benchmark["status"] == "False"
    if failed:
        _set(
            m,
            workspace,
            "WorkspaceSucceeded",
            False,
            "BenchmarkFailed",
            "benchmark result not found",
        )
    elif ready:
        _set(m, workspace, "WorkspaceSucceeded", True, "workspaceSucceeded", "workspace succeeds")
    else:
        why = "workspace is not ready yet"
        _set(m, workspace, "WorkspaceSucceeded", False, "workspacePending", why)
    was_up = status.get("state") in ("Ready", "NotReady")
    fallback = "NotReady" if was_up or failed else "Pending"
    status["state"] = "Ready" if ready and not failed else fallback


def _set(m: Member, workspace: Obj, kind: str, ok: bool, reason: str, message: str) -> None:
    set_condition(workspace, kind, ok, reason, message, m.stamp(), meta(workspace)["generation"])


def _finalize(m: Member, workspace: Obj) -> None:
    """Ask for the nodes' deletion and let go at once: pods and nodes leave later."""
    if naming.WORKSPACE_FINALIZER not in meta(workspace).get("finalizers", ()):
        return
    marked = copy.deepcopy(workspace)
    _set(m, marked, "WorkspaceDeleting", True, "workspaceDeleted", "workspace is being deleted")
    marked = m.store.update_status(marked, manager=naming.MANAGER)
    claims.release(m, marked)
    meta(marked)["finalizers"].remove(naming.WORKSPACE_FINALIZER)
    m.store.update(marked, manager=naming.MANAGER)


def wants_benchmark(workspace: Obj) -> bool:
    """Whether the start-up benchmark is on."""
    return notes_of(workspace).get(naming.NO_BENCHMARK) != "true"
