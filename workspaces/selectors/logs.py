"""Which containers of a workspace have logs, and what was read of one last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from clusters.models import Check, ObservedObject
from fleetportal.accounts.principal import Principal
from workspaces.models import Workspace

LOGS = "workspaces.logs"
MOST = 64  # pods


@dataclass(frozen=True, slots=True)
class Source:
    """A pod and its containers, the first one being its main one. `restarts` None: unknown."""

    pod: str
    containers: tuple[str, ...]
    restarts: int | None
    phase: str


def workspace_for(principal: Principal, pk: UUID | str) -> Workspace | None:
    rows = Workspace.objects.visible_to(principal).filter(pk=pk)
    rows = rows.select_related("cluster", "deployment__team", "revision")
    heavy = ("manifests", "cluster__pools_packed", "cluster__nodes_packed")
    return rows.defer(*heavy).first()


def sources(workspace: Workspace) -> list[Source]:
    """The pods that the collector saw, by name."""
    seen = ObservedObject.objects.filter(
        cluster=workspace.cluster_id, namespace=workspace.namespace, deleted_at=None
    )
    children = seen.filter(kind="Workspace", owner=workspace.name).values("name")
    named = Q(owner=workspace.name) | Q(owner__in=children)
    rows = seen.filter(named, kind="Pod")
    return [_source(row.name, row.body) for row in rows.order_by("name")[:MOST]]


def latest(principal: Principal, workspace: Workspace, request: Mapping[str, Any]) -> Check | None:
    """The newest look of this person at that container and run."""
    rows = Check.objects.filter(
        kind=LOGS, subject_id=str(workspace.pk), requested_by=principal.user
    )
    same = ("pod", "container", "previous")
    return next(
        (row for row in rows[:20] if all(row.request.get(key) == request[key] for key in same)),
        None,
    )


def log_is_theirs(principal: Principal, check: Check) -> bool:
    """Whether this person asked for that log, and may still read it."""
    if check.requested_by_id != principal.user.pk:
        return False
    workspace = workspace_for(principal, check.subject_id)
    return workspace is not None and principal.may("logs.view", workspace.team_id)


def _source(name: str, body: Mapping[str, Any]) -> Source:
    spec, status = _mapping(body.get("spec")), _mapping(body.get("status"))
    names = [str(one["name"]) for one in _items(spec.get("containers")) if one.get("name")]
    counts = [
        one["restartCount"]
        for one in _items(status.get("containerStatuses"))
        if isinstance(one.get("restartCount"), int)
    ]
    return Source(
        pod=name,
        containers=tuple(names) or ("",),
        restarts=max(counts) if counts else None,
        phase=str(status.get("phase", "")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
