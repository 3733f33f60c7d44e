"""The workspaces of many deployments as a list needs them: columns, since whole rows of them, of
their clusters, pools and revisions are long."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from workspaces.models import Deployment, Workspace

_READ = (
    *("deployment_id", "state", "reason", "message", "serving", "changed_outside", "replicas"),
    *("ready_replicas", "price_per_hour", "phases", "observed", "pool__kind"),
    *("cluster__name", "cluster__state", "revision__number"),
)


class Living(NamedTuple):
    """_READ of one workspace. `pool_kind` None: of no pool."""

    deployment_id: UUID
    state: str
    reason: str
    message: str
    serving: bool
    changed_outside: list[str]
    replicas: int
    ready_replicas: int | None
    price_per_hour: float | None
    phases: dict[str, datetime]
    observed: dict[str, Any]
    pool_kind: str | None
    cluster_name: str
    cluster_state: str
    revision_number: int


def living_of(deployments: Iterable[Deployment]) -> dict[UUID, list[Living]]:
    """By deployment, those that are not retired, by cluster and the newest first (one query)."""
    found: dict[UUID, list[Living]] = {one.pk: [] for one in deployments}
    rows = Workspace.objects.filter(deployment__in=found).exclude(state="retired")
    for row in rows.order_by("cluster__name", "-revision__number").values_list(*_READ):
        living = Living(*row)
        found[living.deployment_id].append(living)
    return found
