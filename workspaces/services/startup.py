"""What pod events say of a start: KAITO reports one reason from image to readiness.

Asked by a worker while a workspace loads, never by a page. What is found is a phase for people;
readiness stays KAITO's word.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from clusters.gateway import Gateway, kinds
from clusters.models import ObservedObject
from clusters.services.connections import gateway_of
from fleetportal.kit import news
from fleetportal.kit.errors import PortalError, Stale
from fleetportal.kit.states import move
from fleetportal.pulse import leases
from workspaces.models import Workspace
from workspaces.selectors.startup import downloads
from workspaces.states import WORKSPACE

TASK = "workspaces.startup"
LEASE = 20.0
LOOK_AGAIN = timedelta(seconds=2)
BENCHMARK = "benchmark in progress"
DOWNLOADING, LOADING = "downloading", "loading"  # in Workspace.phases, beside KAITO's


def startup_look(pk: str) -> None:
    """One look at the pods' events. Safe to repeat; a silent cluster costs nothing."""
    workspace = (
        Workspace.objects.select_related("cluster").filter(pk=pk, state="loading_weights").first()
    )
    if workspace is None or not leases.claim(workspace, seconds=LEASE):
        return
    try:
        benchmarking = _benchmarks(workspace, gateway_of(workspace.cluster))
    except PortalError:
        benchmarking = False
    if benchmarking:
        with suppress(Stale):  # the collector has seen more by now
            _say(workspace)
    else:
        _note_download(workspace)
    leases.release(workspace, not_before=timezone.now() + LOOK_AGAIN)


def _benchmarks(workspace: Workspace, gateway: Gateway) -> bool:
    """Whether every pod has its weights and measures itself."""
    pods = ObservedObject.objects.filter(
        cluster=workspace.cluster,
        kind="Pod",
        namespace=workspace.namespace,
        owner__startswith=workspace.name,
        deleted_at=None,
    ).values_list("name", flat=True)
    return bool(pods) and all(_measures(workspace, gateway, name) for name in pods)


def _measures(workspace: Workspace, gateway: Gateway, pod: str) -> bool:
    events, _ = gateway.list_raw(
        kinds.EVENT, workspace.namespace, field_selector=f"involvedObject.name={pod}"
    )
    return any(BENCHMARK in str(event.get("message", "")) for event in events)


def _note_download(workspace: Workspace) -> None:
    """Keep when the weights were there: a download that its pods spoke of and now do not.

    Only for people and for later estimates: a moment that is lost to another write costs nothing.
    """
    now = timezone.now()
    under_way = workspace.pk in downloads([workspace], now)
    if under_way == (DOWNLOADING in workspace.phases) or LOADING in workspace.phases:
        return
    key = DOWNLOADING if under_way else LOADING
    with transaction.atomic():
        row = Workspace.objects.select_for_update().get(pk=workspace.pk)
        row.phases.setdefault(key, now.isoformat())
        Workspace.objects.filter(pk=row.pk).update(phases=row.phases)
        news.changed_row(workspace)


def _say(workspace: Workspace) -> None:
    now = timezone.now()
    move(
        workspace,
        "benchmarking",
        machine=WORKSPACE,
        action="observed",
        expect={"lease_token": workspace.lease_token},
        state_since=now,
        also={"phases": {**workspace.phases, "benchmarking": now.isoformat()}},
    )
