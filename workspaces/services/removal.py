"""Taking a workspace off its cluster until nothing of it is left there.

Order: the object, wait until children, pods and node claims are gone, then the ConfigMap. The
namespace is never deleted, and what revisions share goes only with the deployment's last one.
KAITO's finalizers let go before nodes do, so a 404 alone is not "gone".
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from clusters.gateway import Gateway, kinds
from clusters.gateway.errors import Conflict, Forbidden, NotFound
from clusters.models import Cluster
from clusters.services.connections import gateway_of
from fleetportal.accounts.principal import Principal
from fleetportal.kit import news
from fleetportal.kit.doorbell import ring
from fleetportal.kit.errors import PortalError, Temporary
from fleetportal.kit.states import move
from fleetportal.pulse import leases
from workspaces.models import Deployment, Revision, Workspace, WorkspaceObject
from workspaces.querysets import WorkspaceQuerySet
from workspaces.services.claims import claims_release
from workspaces.services.delivery import UNREADABLE, same_cluster
from workspaces.services.observation import changed
from workspaces.states import DEPLOYMENT, WORKSPACE

TASK = "workspaces.retire"
LEASE = 35.0
LOOK_AGAIN = timedelta(seconds=2)
TRY_AGAIN = timedelta(seconds=10)
MAIN_KINDS = ("InferenceSet", "Workspace")


def workspace_retire(
    workspace: Workspace, *, reason: str, principal: Principal | None = None
) -> None:
    """Begin the removal; a worker carries it on. Safe to repeat."""
    workspace.refresh_from_db()
    if workspace.state in ("retiring", "retired"):
        return
    untouched = workspace.state == "planned"
    with transaction.atomic():
        move(
            workspace,
            "retired" if untouched else "retiring",
            machine=WORKSPACE,
            actor=principal,
            reason=reason,
            state_since=timezone.now(),
            serving=False,
            not_before=None,
        )
        if untouched:
            claims_release(workspace=workspace)
        else:
            ring(TASK, workspace.pk)


def leftovers_retire(*, revision: Revision) -> None:
    """After a rollout: take away what older revisions still have, where the new one did not go."""
    rows = Workspace.objects.filter(deployment=revision.deployment_id).exclude(
        state__in=["retiring", "retired"]
    )
    for workspace in rows.exclude(revision=revision):
        workspace_retire(workspace, reason=f"Replaced by {revision}")


def unstarted_retire(*, revision: Revision) -> None:
    """After a rollout that ended early: give back what its untouched clusters were promised."""
    for workspace in Workspace.objects.filter(revision=revision, state="planned"):
        workspace_retire(workspace, reason="The rollout ended before its turn")


def workspace_retire_step(pk: str) -> None:
    """One step of the removal, and the time of the next. Safe to repeat."""
    workspace = (
        Workspace.objects.select_related("cluster", "deployment", "revision__deployment")
        .filter(pk=pk, state="retiring")
        .first()
    )
    if workspace is None or not leases.claim(workspace, seconds=LEASE):
        return
    pause = LOOK_AGAIN
    try:
        gateway = gateway_of(workspace.cluster)
        same_cluster(workspace, gateway)  # on another one everything would look gone
        last = not _others(workspace).exists()
        if _remove(workspace, gateway, last=last) and _finish(workspace, last=last):
            return
    except PortalError as error:
        delay = error.delay if isinstance(error, Temporary) else None
        pause = timedelta(seconds=delay) if delay else TRY_AGAIN
        Workspace.objects.filter(pk=pk).update(message=str(error))
        news.changed_row(workspace)
    leases.release(workspace, not_before=timezone.now() + pause)


def _remove(workspace: Workspace, gateway: Gateway, *, last: bool) -> bool:
    """Delete what may go now. True when nothing of it is left. `last`: of its deployment here."""
    parts = list(workspace.parts.filter(gone_at=None).order_by("pk"))
    shared = _shared(workspace) if last else []
    _delete_parts(gateway, [part for part in shared if part.kind == "Service"])
    main = [part for part in parts if part.kind in MAIN_KINDS]
    if not _delete_parts(gateway, main) or not _nothing_runs(workspace, gateway):
        return False
    rest = [part for part in parts if part.kind == "ConfigMap"]
    return _delete_parts(gateway, rest + shared)


def _shared(workspace: Workspace) -> list[WorkspaceObject]:
    """What the deployment's revisions share here, whichever of them made it, but the namespace."""
    rows = WorkspaceObject.objects.filter(
        workspace__deployment=workspace.deployment,
        cluster=workspace.cluster,
        shared=True,
        gone_at=None,
    ).exclude(kind="Namespace")
    kept = ["Secret"] if _team_secret_in_use(workspace) else []
    return list(rows.exclude(kind__in=kept).order_by("pk"))


def _delete_parts(gateway: Gateway, parts: list[WorkspaceObject]) -> bool:
    """Ask for the deletion of each by UID; True when all of them are gone."""
    gone = [_delete_part(gateway, part) for part in parts]  # ask for each, then judge
    return all(gone)


def _delete_part(gateway: Gateway, part: WorkspaceObject) -> bool:
    kind = kinds.BY_NAME[part.kind]
    if part.kind in UNREADABLE:
        return _delete_unseen(gateway, part)
    live = gateway.get(kind, part.namespace, part.name)
    if live is None or (part.uid and live["metadata"]["uid"] != part.uid):
        return _gone(part)
    if not live["metadata"].get("deletionTimestamp"):
        gateway.delete(kind, part.namespace, part.name, uid=live["metadata"]["uid"])
    return False


def _delete_unseen(gateway: Gateway, part: WorkspaceObject) -> bool:
    """One that we may not read: the UID of our apply says which. Another UID is not ours."""
    if part.uid:
        with contextlib.suppress(Conflict):
            gateway.delete(kinds.BY_NAME[part.kind], part.namespace, part.name, uid=part.uid)
    return _gone(part)


def _gone(part: WorkspaceObject) -> bool:
    WorkspaceObject.objects.filter(pk=part.pk).update(gone_at=timezone.now())
    return True


def _nothing_runs(workspace: Workspace, gateway: Gateway) -> bool:
    """No child, no pod, and no node that was made for it."""
    children = _children(workspace, gateway)
    if any(child["metadata"]["name"] != workspace.name for child in children):
        return False
    pods, _ = gateway.list_raw(kinds.POD, workspace.namespace)
    if any(_belongs(pod["metadata"].get("labels") or {}, workspace.name) for pod in pods):
        return False
    claims = _node_claims(gateway)
    return not any(_belongs(c["metadata"].get("labels") or {}, workspace.name) for c in claims)


def _node_claims(gateway: Gateway) -> list[dict[str, Any]]:
    """Empty where the cluster provisions no nodes or does not let us see."""
    try:
        return gateway.list_raw(kinds.NODE_CLAIM)[0]
    except (NotFound, Forbidden):
        return []


def _children(workspace: Workspace, gateway: Gateway) -> list[dict[str, Any]]:
    selector = f"inferenceset.kaito.sh/created-by={workspace.name}"
    return gateway.list_raw(kinds.WORKSPACE, workspace.namespace, selector=selector)[0]


def _belongs(labels: dict[str, str], name: str) -> bool:
    """Whether labels name our workspace or a child of it."""
    owners = [
        labels.get("inferenceset.kaito.sh/created-by", ""),
        labels.get("kaito.sh/workspace", ""),
        labels.get("karpenter.kaito.sh/workspace-name", ""),
    ]
    return any(owner == name or owner.rpartition("-")[0] == name for owner in owners)


def _others(workspace: Workspace) -> WorkspaceQuerySet:
    """Other workspaces of the deployment that are on this cluster."""
    rows = Workspace.objects.filter(deployment=workspace.deployment, cluster=workspace.cluster)
    return rows.exclude(pk=workspace.pk).exclude(state="retired")


def _team_secret_in_use(workspace: Workspace) -> bool:
    rows = WorkspaceObject.objects.filter(
        cluster=workspace.cluster, kind="Secret", namespace=workspace.namespace, gone_at=None
    )
    live = rows.exclude(workspace__state="retired").exclude(workspace=workspace)
    return live.exclude(workspace__deployment=workspace.deployment).exists()


def _finish(workspace: Workspace, *, last: bool) -> bool:
    """Nothing is left: give the nodes back; with the last one the deployment ends.

    False: it has become the last one meanwhile, so what is shared has to go as well.
    """
    with transaction.atomic():
        Deployment.objects.select_for_update().get(pk=workspace.deployment_id)
        if not last and not _others(workspace).exists():
            return False
        move(
            workspace,
            "retired",
            machine=WORKSPACE,
            reason="Nothing of it is left on the cluster",
            expect={"lease_token": workspace.lease_token},
            state_since=timezone.now(),
            message="",
            lease_expires_at=None,
            ready_replicas=None,
        )
        claims_release(workspace=workspace)
        if last:
            left = WorkspaceObject.objects.filter(
                workspace__deployment=workspace.deployment, cluster=workspace.cluster
            )
            left.filter(gone_at=None, shared=True).update(gone_at=timezone.now())
        _deployment_ends(workspace)
    for listener in changed:
        listener(workspace.deployment_id)
    return True


def _deployment_ends(workspace: Workspace) -> None:
    deployment = workspace.deployment
    deployment.refresh_from_db()
    rest = deployment.workspaces.exclude(state="retired")
    if deployment.state == "retiring" and not rest.exists():
        move(deployment, "retired", machine=DEPLOYMENT, reason="Nothing of it is left anywhere")


def why_in_use(cluster: Cluster) -> str:
    """Why a cluster cannot leave the portal; empty when nothing of ours is on it."""
    names = sorted(
        set(
            Workspace.objects.live()
            .filter(cluster=cluster)
            .values_list("deployment__name", flat=True)
        )
    )
    return f"{cluster.name} runs {', '.join(names)}." if names else ""
