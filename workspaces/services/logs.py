"""Logs of a workspace's pods: asked for by a person, read by a worker, never by a page.

One check row for each person, container and run. While it is followed it stays "running" and each
look brings a newer end of the log; what was read goes with the row, minutes after the last look.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from clusters.gateway.errors import Forbidden, Invalid, NotFound
from clusters.models import Check
from clusters.services.checks import check_request, moment
from clusters.services.connections import gateway_of
from clusters.states import CHECK
from fleetportal.accounts.principal import Principal, require
from fleetportal.journal.services import event_record
from fleetportal.kit import errors
from fleetportal.kit.doorbell import ring
from fleetportal.kit.states import move
from fleetportal.pulse import leases
from workspaces.engine.logtext import shown
from workspaces.models import Workspace
from workspaces.selectors.logs import Source, sources
from workspaces.services.secrets import secret_open

LOGS = "workspaces.logs"
LEASE = 30.0  # seconds
LINES = 1000  # from the end
FOLLOWED = timedelta(seconds=12)  # after the last look of its page a log is followed no more
KEPT = timedelta(minutes=10)  # what was read; a log may hold prompts


def logs_ask(
    *,
    principal: Principal,
    workspace: Workspace,
    pod: str = "",
    container: str = "",
    previous: bool = False,
    follow: bool = False,
    seconds: float = 3.0,
) -> Check:
    """Read a log, or go on following it, and wait a moment for its newest end.

    `pod` "": the first one. Raises Forbidden; Invalid for a pod or container that is not of the
    workspace; Refused where it has no pod.
    """
    require(principal, "logs.view", workspace)
    chosen = source_of(workspace, pod, container)
    request = {
        "workspace": str(workspace.pk),
        "pod": chosen.pod,
        "container": container or chosen.containers[0],
        "previous": previous,
        "follow": follow,
    }
    check = _under_way(principal, request) or _begin(principal, workspace, request)
    asked_at = timezone.now()
    _extend(check, request, asked_at)
    with moment(check, seconds) as allowed:
        return _wait(check, asked_at, allowed)


def source_of(workspace: Workspace, pod: str, container: str) -> Source:
    """The pod that was chosen. Only pods of the workspace: names from a form lead nowhere else."""
    found = sources(workspace)
    if not found:
        raise errors.Refused(
            "No pod of this workspace was seen yet.", remedy="Wait until its nodes are there."
        )
    chosen = next((one for one in found if one.pod == pod), found[0] if not pod else None)
    if chosen is None:
        raise errors.Invalid(
            errors.FieldProblem("pod", "is none of this workspace", f"Use {found[0].pod}.")
        )
    if container and container not in chosen.containers:
        names = ", ".join(chosen.containers)
        raise errors.Invalid(
            errors.FieldProblem("container", "is none of this pod", f"Use {names}.")
        )
    return chosen


def logs_answer(pk: str) -> None:
    """One look at the log, under a lease. A followed one goes on until nobody asks any more."""
    check = Check.objects.select_related("cluster").filter(pk=pk).first()
    if check is None or check.state not in CHECK.active or not leases.claim(check, seconds=LEASE):
        return
    if check.state == "pending":
        move(check, "running", machine=CHECK, expect={"lease_token": check.lease_token})
    begun = timezone.now()
    result = _read(check)
    check.refresh_from_db(fields=["request"])
    until = _until(check)
    if "error" in result or until is None or until <= timezone.now():
        _end(check, result, begun)
        return
    kept = result | {"read_at": begun.isoformat()}
    Check.objects.filter(pk=check.pk, lease_token=check.lease_token).update(result=kept)
    leases.release(check, not_before=until)


def _under_way(principal: Principal, request: dict[str, Any]) -> Check | None:
    """The same log of the same person that is being followed."""
    if not request["follow"]:
        return None
    rows = Check.objects.filter(
        kind=LOGS, subject_id=request["workspace"], requested_by=principal.user
    )
    same = ("pod", "container", "previous")
    return next(
        (
            row
            for row in rows.filter(state__in=sorted(CHECK.active))
            if all(row.request.get(key) == request[key] for key in same)
        ),
        None,
    )


def _begin(principal: Principal, workspace: Workspace, request: dict[str, Any]) -> Check:
    """No team on the row: `checks/` then shows it to the one who asked, not to the whole team."""
    old = timezone.now() - KEPT
    Check.objects.filter(kind=LOGS, created_at__lt=old, state__in=CHECK.terminal).delete()
    with transaction.atomic():
        event_record(
            action="workspace.logs_read",
            obj=workspace,
            principal=principal,
            after={key: request[key] for key in ("pod", "container", "previous")},
        )
        return check_request(
            kind=LOGS,
            cluster=workspace.cluster,
            principal=principal,
            subject_id=workspace.pk,
            request=request,
        )


def _extend(check: Check, request: dict[str, Any], now: datetime) -> None:
    """Followed for a while longer; a worker looks at once."""
    if request["follow"]:
        until = (now + FOLLOWED).isoformat()
        check.request = request | {"until": until}
        Check.objects.filter(pk=check.pk).update(request=check.request, not_before=None)
        ring(LOGS, check.pk)


def _wait(check: Check, asked_at: datetime, seconds: float) -> Check:
    """Give the worker a moment; reads only."""
    deadline = time.monotonic() + seconds
    pause = 0.03
    while check.state in CHECK.active and time.monotonic() < deadline:
        read_at = check.result.get("read_at")
        if read_at and datetime.fromisoformat(read_at) >= asked_at:
            break
        time.sleep(pause)
        pause = min(0.2, pause * 1.5)
        check.refresh_from_db()
    return check


def _read(check: Check) -> dict[str, Any]:
    workspace = Workspace.objects.select_related("cluster", "deployment").filter(
        pk=check.subject_id
    )
    found = workspace.first()
    if found is None:
        return {"error": "This workspace is not there any more.", "remedy": ""}
    try:
        return _text(found, check.request)
    except errors.PortalError as error:
        return _why_not(error, found, check.request)


def _text(workspace: Workspace, request: dict[str, Any]) -> dict[str, Any]:
    raw, fewer = gateway_of(workspace.cluster).pod_logs(
        workspace.namespace,
        request["pod"],
        container=request["container"],
        previous=request["previous"],
        tail_lines=LINES,
    )
    secret = secret_open(team_id=workspace.team_id)
    look = shown(raw, [secret.reveal()] if secret else [])
    cut = look.cut or fewer or look.lines >= LINES
    return {"text": look.text, "cut": cut, "lines": look.lines}


def _why_not(
    error: errors.PortalError, workspace: Workspace, request: dict[str, Any]
) -> dict[str, str]:
    """In words that say what to do. Forbidden names the permission that is missing."""
    cluster = workspace.cluster.name
    if isinstance(error, Forbidden):
        return {
            "error": f"{cluster} does not let the portal read logs: its credential lacks "
            f"“get” on “pods/log” in the namespace {workspace.namespace}.",
            "remedy": "Apply the member role again (Clusters, Register a cluster).",
        }
    if isinstance(error, NotFound):
        return {"error": f"The pod {request['pod']} is gone.", "remedy": "Choose another one."}
    if isinstance(error, Invalid) and request["previous"]:
        return {"error": "This container has not run before.", "remedy": ""}
    if isinstance(error, Invalid):
        return {"error": "This container has not started yet.", "remedy": "Look again later."}
    return {"error": error.message, "remedy": error.remedy}


def _end(check: Check, result: dict[str, Any], begun: datetime) -> None:
    move(
        check,
        "failed" if "error" in result else "done",
        machine=CHECK,
        expect={"lease_token": check.lease_token},
        also={"result": result | {"read_at": begun.isoformat()}},
        finished_at=timezone.now(),
    )


def _until(check: Check) -> datetime | None:
    raw = check.request.get("until")
    return datetime.fromisoformat(raw) if raw else None
