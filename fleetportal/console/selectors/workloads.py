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
    if not principal.sees_team(row.deployment.team_id):
        return Workload(row.cluster_id, row.namespace, row.name, name="")
    state = WORKSPACE.states[row.state]
    outside = (
        f"Changed outside: {', '.join(row.changed_outside[:3])}" if row.changed_outside else ""
    )
    return Workload(
        cluster=row.cluster_id,
        namespace=row.namespace,
        object=row.name,
        name=row.deployment.name,
        url=reverse("deployment", args=[row.deployment_id]),
        team=row.deployment.team.slug,
        label=state.label,
        tone=state.tone,
        note=outside or row.message or row.reason,
        replicas=row.replicas,
        ready=row.ready_replicas,
        model=row.revision.model.name,
        state=row.state,
    )
