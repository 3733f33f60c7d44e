"""Our workspaces on clusters, for pages of the clusters app, which cannot know deployments."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.urls import reverse

from clusters.selectors.workloads import Workload
from fleetportal.accounts.principal import Principal
from workspaces.models import Workspace
from workspaces.states import WORKSPACE


def workloads(principal: Principal, clusters: Sequence[UUID]) -> list[Workload]:
    """Everything of ours on these clusters; a foreign team's without its name (one query)."""
    rows = (
        Workspace.objects.live()
        .filter(cluster_id__in=clusters)
        .select_related("deployment__team", "revision__model")
        .defer("manifests", "conditions", "revision__model__facts", "revision__model__search")
        .order_by("deployment__name", "revision__number", "name")
    )
    return [_workload(principal, row) for row in rows]


def _workload(principal: Principal, row: Workspace) -> Workload:
    outside = (
        f"Changed outside: {', '.join(row.changed_outside[:3])}" if row.changed_outside else ""
    )
    return told(
        row,
        row.state,
        named=principal.sees_team(row.deployment.team_id),
        note=outside or row.message or row.reason,
        ready=row.ready_replicas,
    )


def told(
    row: Workspace, state: str, *, named: bool, note: str = "", ready: int | None = None
) -> Workload:
    """A workspace in a state, now or then; where it may not be `named`, only that it is there."""
    if not named:
        return Workload(row.cluster_id, row.namespace, row.name, name="")
    words = WORKSPACE.states[state]
    return Workload(
        cluster=row.cluster_id,
        namespace=row.namespace,
        object=row.name,
        name=row.deployment.name,
        url=reverse("deployment", args=[row.deployment_id]),
        team=row.deployment.team.slug,
        label=words.label,
        tone=words.tone,
        note=note,
        replicas=row.replicas,
        ready=ready,
        model=row.revision.model.name,
        revision=row.revision.number,
        state=state,
    )
