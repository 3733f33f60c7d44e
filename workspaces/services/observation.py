"""What the collector stored about KAITO's objects, read as the state of our workspaces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from clusters.models import Cluster, ObservedObject
from fleetportal.journal.services import event_record
from fleetportal.kit import news
from fleetportal.kit.doorbell import ring
from fleetportal.kit.errors import Stale
from fleetportal.kit.states import move
from fleetportal.pulse import leases
from workspaces.engine.ownership import differs
from workspaces.engine.phases import Observation, PodFacts, observe, pod_facts
from workspaces.models import Workspace, WorkspaceObject
from workspaces.states import PHASES, WORKSPACE

TASK = "workspaces.observe"
LEASE = 30.0
PASSES = 5  # a cluster that never stops changing is left to the next ring
HEAVY = ("pools_packed", "nodes_packed", "credential_sealed", "ca_pem")
SILENT = frozenset({"unreachable", "credentials_refused", "different_cluster"})

# Rollouts hear that a workspace of a deployment looks different now.
changed: list[Callable[[UUID], None]] = []

Body = dict[str, Any]


def workspaces_observe(cluster_pk: str) -> None:
    """Read every workspace of one cluster anew, until nothing unread is left of it.

    One reader at a time: two that overlap could store the older reading over the newer one.
    """
    cluster = Cluster.objects.defer(*HEAVY).filter(pk=cluster_pk).first()
    if cluster is None or not leases.claim(cluster, seconds=LEASE):
        return
    try:
        for _ in range(PASSES):
            if cluster.changes_read >= cluster.changes:
                break
            if _observe(cluster):
                Cluster.objects.filter(pk=cluster.pk).update(changes_read=cluster.changes)
            cluster.refresh_from_db(fields=["state", "changes", "changes_read"])
    finally:
        leases.release(cluster, not_before=None)
    if cluster.changes_read < Cluster.objects.values_list("changes", flat=True).get(pk=cluster.pk):
        ring(TASK, cluster.pk)


def _observe(cluster: Cluster) -> bool:
    """Four queries, and a write for each workspace that changed.

    False: one was moved by somebody else meanwhile. What was seen of it is not stored, and the
    cluster may have no further change to say it again: it has to be read anew.
    """
    rows = list(
        Workspace.objects.live()
        .filter(cluster=cluster)
        .select_related("deployment", "revision__deployment")
    )
    if not rows:
        return True
    seen = _Seen(cluster)
    uids = _uids(rows)
    whole = True
    for workspace in rows:
        workspace.cluster = cluster
        look = _look(workspace, seen, cluster)
        try:
            news_of_it = _store(workspace, look, seen, uids.get(workspace.pk, ""))
        except Stale:
            whole = False
            continue
        for listener in changed if news_of_it else ():
            listener(workspace.deployment_id)
    return whole


class _Seen:
    """The stored objects of one cluster, by what we look them up with."""

    def __init__(self, cluster: Cluster) -> None:
        self.main: dict[tuple[str, str, str], Body] = {}
        self.children: dict[tuple[str, str], list[Body]] = defaultdict(list)
        self.pods: dict[str, list[PodFacts]] = defaultdict(list)
        for row in ObservedObject.objects.filter(cluster=cluster, deleted_at=None):
            if row.kind == "Pod":
                self.pods[row.owner].append(pod_facts(row.body))
                continue
            self.main[(row.kind, row.namespace, row.name)] = row.body
            if row.kind == "Workspace" and row.owner:
                self.children[(row.namespace, row.owner)].append(row.body)


def _look(workspace: Workspace, seen: _Seen, cluster: Cluster) -> Observation:
    """A silent cluster says nothing about its workspaces: they are unknown, not failed."""
    if cluster.state in SILENT:
        return Observation("unknown", "ClusterAway", f"{cluster.name} does not answer.")
    found = observe(
        seen.main.get((workspace.kind, workspace.namespace, workspace.name)),
        seen.children[(workspace.namespace, workspace.name)],
        seen.pods,
        standalone=workspace.kind == "Workspace",
    )
    return _judged(workspace, found)


def _judged(workspace: Workspace, found: Observation) -> Observation:
    """A workspace that was up and is starting again is not ready; one just applied may lag."""
    if found.reason == "NotFound" and workspace.state in ("applying", "getting_nodes"):
        return replace(found, state="getting_nodes", message="The cluster has not shown it yet.")
    if workspace.state == "benchmarking" and found.state == "loading_weights":
        return replace(
            found, state="benchmarking"
        )  # startup.py has seen that the weights are there
    if workspace.phases.get("ready") and found.state in PHASES[:-1]:
        return replace(found, state="not_ready")
    return found


def _store(workspace: Workspace, look: Observation, seen: _Seen, uid: str) -> bool:
    """Write what differs. True when anything but the time did.

    Raises Stale when its state is not the one that was read.
    """
    now = timezone.now()
    fields = _fields(workspace, look, seen, uid, now)
    same = all(getattr(workspace, key) == value for key, value in fields.items())
    new_state = look.state if workspace.state not in ("retiring", "applying") else workspace.state
    if same and new_state == workspace.state:
        return False
    fields["observed_at"] = now
    with transaction.atomic():
        if fields["changed_outside"] != workspace.changed_outside:
            _report_outside(workspace, fields["changed_outside"])
        _write(workspace, new_state, look.message or look.reason, fields)
    return True


def _write(workspace: Workspace, state: str, reason: str, fields: dict[str, Any]) -> None:
    """The state's move and what was observed; where the state stays, that alone."""
    if state != workspace.state:
        move(
            workspace,
            state,
            machine=WORKSPACE,
            action="observed",
            reason=reason,
            state_since=fields["observed_at"],
            also=fields,
        )
        return
    if not Workspace.objects.filter(pk=workspace.pk, state=state).update(**fields):
        raise Stale("Its state has changed meanwhile.")
    news.changed_row(workspace)


def _fields(
    workspace: Workspace, look: Observation, seen: _Seen, uid: str, now: datetime
) -> dict[str, Any]:
    if look.state == "unknown":
        return {
            "reason": look.reason,
            "message": look.message,
            "ready_replicas": None,
            "observed": {},
            "changed_outside": workspace.changed_outside,
        }
    outside = _changed_outside(workspace, seen)
    phases = dict(workspace.phases)
    phases.setdefault(look.state, now.isoformat())
    return {
        "reason": look.reason[:80],
        "message": look.message,
        "ready_replicas": look.ready_replicas,
        "conditions": list(look.conditions),
        "benchmark": dict(look.benchmark),
        "phases": phases,
        "changed_outside": outside,
        "observed": {
            "uid_matches": look.uid == uid if uid and look.uid else None,
            "generation_matches": look.generation_matches,
            "fields_match": not outside,
            "deleting": look.deleting,
            "replicas": look.replicas,
        },
    }


def _changed_outside(workspace: Workspace, seen: _Seen) -> list[str]:
    """Our fields that hold something else, on the object and on what KAITO made from it.

    An edit of a set's template is inert, so a child that differs from it is a finding of its own.
    """
    desired = next(o for o in workspace.manifests if o["kind"] == workspace.kind)
    live = seen.main.get((workspace.kind, workspace.namespace, workspace.name))
    if live is None:
        return list(workspace.changed_outside)
    paths = [p for p in differs(desired, live) if "annotations" not in p]
    template = desired.get("spec", {}).get("template", {})
    wanted = {key: template[key] for key in ("inference", "resource") if key in template}
    for child in seen.children[(workspace.namespace, workspace.name)]:
        paths += [f"{child['metadata']['name']}: {path}" for path in differs(wanted, child)]
    return paths


def _report_outside(workspace: Workspace, paths: Sequence[str]) -> None:
    event_record(
        action="workspace.changed_outside" if paths else "workspace.changed_back",
        obj=workspace,
        reason=", ".join(paths[:5]),
        before={"changed_outside": workspace.changed_outside},
        after={"changed_outside": list(paths)},
    )


def _uids(rows: Iterable[Workspace]) -> Mapping[object, str]:
    """The UID that our apply was answered with, by workspace."""
    parts = WorkspaceObject.objects.filter(
        workspace__in=[row.pk for row in rows], kind__in=["InferenceSet", "Workspace"]
    )
    return dict(parts.values_list("workspace_id", "uid"))
