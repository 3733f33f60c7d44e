"""Which workspaces stood where at a moment of the past, and in which state: from the journal.

A workspace's state changes by journaled moves alone, so its last move up to a moment says what it
was. Three queries, whatever the fleet's size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Max, Q

from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from workspaces.models import Workspace
from workspaces.states import WORKSPACE

GONE = frozenset({"planned", "retired"})  # not on the cluster yet, or not any more


@dataclass(frozen=True, slots=True)
class Standing:
    """One workspace as it stood. `named`: the principal may read whose it is; else only that it is
    there."""

    workspace: Workspace
    state: str
    named: bool


def standing_at(principal: Principal, clusters: Collection[UUID], at: datetime) -> list[Standing]:
    """What was on these clusters just before `at`, by deployment; other teams' without a name."""
    rows = list(
        Workspace.objects.filter(cluster_id__in=clusters, created_at__lt=at)
        .filter(~Q(state="retired") | Q(state_since__gte=at))
        .select_related("deployment__team", "revision__model")
        .defer("manifests", "conditions", "revision__model__facts", "revision__model__search")
        .order_by("deployment__name", "revision__number", "name")
    )
    states = _states_at({str(row.pk) for row in rows}, at)
    found = [(row, states.get(str(row.pk), "planned")) for row in rows]
    return [
        Standing(row, state, principal.sees_team(row.deployment.team_id))
        for row, state in found
        if state not in GONE and state in WORKSPACE.states
    ]


def _states_at(ids: Collection[str], at: datetime) -> Mapping[str, str]:
    """State by workspace, as its last move up to that moment left it."""
    moves = Event.objects.filter(
        object_type="workspace", object_id__in=ids, at__lt=at, after__has_key="state"
    )
    last = moves.order_by().values("object_id").annotate(last=Max("id")).values("last")
    return dict(Event.objects.filter(pk__in=last).values_list("object_id", "after__state"))
