"""How a change on a cluster reaches workspaces although rings get lost, overlap or come twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from clusters.models import Cluster
from clusters.services.observation import objects_store
from clusters.services.telling import announce
from fleetportal.accounts.principal import Principal
from fleetportal.kit.states import move
from fleetportal.pulse import leases
from fleetportal.pulse.ticker import Ticker
from rollouts.selectors.facts import workspace_view
from rollouts.services.control import rollout_pause
from tests import factories
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import Workspace
from workspaces.services.observation import workspaces_observe
from workspaces.states import WORKSPACE

pytestmark = pytest.mark.django_db
SINCE = {"benchmarking": "2026-01-01T00:00:00+00:00"}


@pytest.fixture
def workspace(people: People) -> Workspace:
    make_fleet()
    rollout = factories.make_rollout(people.engineer, people.assist)
    row = Workspace.objects.filter(revision=rollout.revision).select_related("cluster").first()
    assert row is not None
    Workspace.objects.filter(pk=row.pk).update(state="getting_nodes")
    return row


def unread(cluster: Cluster) -> bool:
    return Cluster.objects.unread(timezone.now()).filter(pk=cluster.pk).exists()


def test_a_change_whose_ring_was_lost_is_found_by_the_ticker(workspace: Workspace) -> None:
    announce(workspace.cluster)
    assert unread(workspace.cluster)
    Ticker().tick()
    assert not unread(workspace.cluster)
    workspace.refresh_from_db()
    assert workspace.observed_at is not None


def test_objects_that_did_not_change_are_nothing_to_read(workspace: Workspace) -> None:
    meta = {"namespace": "n", "name": "x", "uid": "u", "resourceVersion": "1"}
    found = {"cluster": workspace.cluster, "kind": "Workspace", "install": "main"}
    assert objects_store(bodies=[{"metadata": meta}], **found)  # type: ignore[arg-type]
    workspaces_observe(str(workspace.cluster_id))
    assert not objects_store(bodies=[{"metadata": meta}], **found)  # type: ignore[arg-type]
    assert not unread(workspace.cluster)


def test_a_reader_leaves_the_cluster_to_the_one_who_reads_it_already(workspace: Workspace) -> None:
    announce(workspace.cluster)
    reader = Cluster.objects.get(pk=workspace.cluster_id)
    assert leases.claim(reader, seconds=60)
    workspaces_observe(str(workspace.cluster_id))
    workspace.refresh_from_db()
    assert workspace.observed_at is None
    leases.release(reader, not_before=None)
    assert unread(workspace.cluster)


@pytest.mark.parametrize("seen", ["ready", "loading_weights"])
def test_what_was_seen_while_somebody_else_moved_the_workspace_is_read_anew(
    workspace: Workspace, seen: str
) -> None:
    """The look at a pod's events moves it, too. A cluster at rest would never say it again."""
    Workspace.objects.filter(pk=workspace.pk).update(state="loading_weights")
    stored(workspace, ready=seen == "ready")
    with connection.execute_wrapper(move_after_the_read(workspace)):
        workspaces_observe(str(workspace.cluster_id))
    workspace.refresh_from_db()
    assert workspace.state == {"ready": "ready", "loading_weights": "benchmarking"}[seen]
    assert workspace.ready_replicas == (workspace.replicas if seen == "ready" else 0)
    assert workspace.phases["benchmarking"] == SINCE["benchmarking"]
    assert not unread(workspace.cluster)


def stored(workspace: Workspace, *, ready: bool) -> None:
    """The collector has stored the set and its children, whose pods have started."""
    where = {"namespace": workspace.namespace}
    conditions = [
        {"type": "ResourceReady", "status": "True"},
        {"type": "WorkspaceSucceeded", "status": "True" if ready else "False"},
    ]
    children, pods = [], []
    for number in range(workspace.replicas):
        name = f"{workspace.name}-{number}"
        labels = {"inferenceset.kaito.sh/created-by": workspace.name}
        meta = {**where, "name": name, "labels": labels}
        children.append(
            {"metadata": meta, "status": {"targetNodeCount": 1, "conditions": conditions}}
        )
        running: dict[str, Any] = {"state": {"running": {}}}
        pods.append(
            {
                "metadata": {**where, "name": f"{name}-0", "labels": {"kaito.sh/workspace": name}},
                "spec": {"nodeName": "n"},
                "status": {"phase": "Running", "containerStatuses": [running]},
            }
        )
    desired = next(o for o in workspace.manifests if o["kind"] == workspace.kind)
    assert workspace.kind == "InferenceSet"
    for kind, bodies in (("InferenceSet", [desired]), ("Workspace", children), ("Pod", pods)):
        objects_store(cluster=workspace.cluster, kind=kind, bodies=bodies, install="main")


def move_after_the_read(workspace: Workspace) -> Callable[..., Any]:
    """As soon as the workspaces are read and before what was seen of them is stored."""
    left = iter([True])

    def meanwhile(execute: Any, sql: str, *rest: Any) -> Any:
        if "observedobject" in sql and next(left, False):
            row = Workspace.objects.get(pk=workspace.pk)
            move(row, "benchmarking", machine=WORKSPACE, also={"phases": SINCE})
        return execute(sql, *rest)

    return meanwhile


def test_an_old_observation_holds_while_the_collector_says_that_it_does(
    workspace: Workspace,
) -> None:
    now = timezone.now()
    workspace.state, workspace.observed_at = "ready", now - timedelta(hours=1)
    cluster = workspace.cluster
    cluster.observed_at = now - timedelta(seconds=3)
    assert age_of(workspace, cluster) == pytest.approx(3, abs=1)
    cluster.changes = cluster.changes_read + 1
    assert age_of(workspace, cluster) == pytest.approx(3600, abs=1)
    workspace.observed_at = None
    assert age_of(workspace, cluster) is None


def age_of(workspace: Workspace, cluster: Cluster) -> float | None:
    view = workspace_view(workspace, cluster, timezone.now())
    assert view is not None
    return view.observed_age_seconds


def test_a_wish_that_comes_while_a_step_runs_is_not_put_off(people: People) -> None:
    make_fleet()
    rollout = factories.make_rollout(people.engineer, people.assist)
    assert leases.claim(rollout, seconds=60)
    rollout_pause(principal=Principal(people.engineer), rollout=type(rollout).objects.get())
    leases.release(rollout, not_before=timezone.now() + timedelta(seconds=60))
    assert type(rollout).objects.due(timezone.now()).exists()
