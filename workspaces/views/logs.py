"""Logs of one workspace: which pod, which container, which run; following; as a text file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from clusters.models import Check
from fleetportal.accounts.principal import declares, require
from fleetportal.kit.errors import Missing, PortalError
from fleetportal.kit.htmx import is_htmx, page, redirect_to
from fleetportal.rest.auth import principal_of
from workspaces.models import Workspace
from workspaces.selectors.logs import Source, latest, sources, workspace_for
from workspaces.services.logs import logs_ask

TEMPLATE = "workspaces/logs.html"
WAIT_SECONDS = 2.0  # for a worker's first look
FOLLOW_SECONDS = 0.7  # for the next ones: they come every few seconds


@dataclass(frozen=True, slots=True)
class Choice:
    """What the query string names. `gone`: a pod that it names and that is not there any more;
    `pod` is another one then, and the page says so."""

    pod: str
    container: str
    previous: bool
    follow: bool
    gone: str = ""

    @property
    def query(self) -> str:
        query = QueryDict(mutable=True)
        query.update({"pod": self.gone or self.pod, "container": self.container})
        if self.previous:
            query["previous"] = "1"
        if self.follow:
            query["follow"] = "1"
        return query.urlencode()


@require_http_methods(["GET", "POST"])
@declares("logs.view")
def workspace_logs(request: HttpRequest, pk: UUID) -> HttpResponse:
    """GET shows what was read last; POST has a worker look, and htmx shows the log alone."""
    workspace = _workspace(request, pk)
    pods = sources(workspace)
    choice = _choice(request, pods)
    if request.method == "GET":
        check = latest(principal_of(request), workspace, _request(choice)) if pods else None
        return page(request, TEMPLATE, _context(workspace, pods, choice, check), part="log")
    error = ""
    try:
        check = _look(request, workspace, choice)
    except PortalError as refused:
        check, error = None, str(refused)
    if not is_htmx(request):
        return redirect_to(request, f"{request.path}?{choice.query}")
    context = _context(workspace, pods, choice, check) | {"error": error}
    return page(request, TEMPLATE, context, part="log")


@require_GET
@declares("logs.view")
def workspace_logs_text(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What was read last, as a file."""
    workspace = _workspace(request, pk)
    choice = _choice(request, sources(workspace))
    if choice.gone:
        raise Missing(f"The pod {choice.gone[:80]} is gone, and its log with it.")
    check = latest(principal_of(request), workspace, _request(choice))
    if check is None or "text" not in check.result:
        raise Missing("This log was not read in the last minutes.", remedy="Read it first.")
    response = HttpResponse(check.result["text"], content_type="text/plain; charset=utf-8")
    name = f"{choice.pod}-{choice.container or 'log'}{'-previous' if choice.previous else ''}.txt"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _workspace(request: HttpRequest, pk: UUID) -> Workspace:
    """Raises Missing for one that is not visible, Forbidden for one whose logs are not."""
    workspace = workspace_for(principal_of(request), pk)
    if workspace is None:
        raise Missing("There is no such workspace, or you may not see it.")
    require(principal_of(request), "logs.view", workspace)
    return workspace


def _choice(request: HttpRequest, pods: list[Source]) -> Choice:
    """From the query string, which a POST has, too; only names that exist."""
    asked = request.GET
    wanted = asked.get("pod", "")
    pod = next((one for one in pods if one.pod == wanted), pods[0] if pods else None)
    names = pod.containers if pod else ("",)
    container = asked.get("container", "")
    return Choice(
        pod=pod.pod if pod else "",
        container=container if container in names else names[0],
        previous=bool(asked.get("previous")),
        follow=bool(asked.get("follow")) and not asked.get("previous"),
        gone=wanted if pod is None or wanted != pod.pod else "",
    )


def _request(choice: Choice) -> dict[str, Any]:
    return {"pod": choice.pod, "container": choice.container, "previous": choice.previous}


def _look(request: HttpRequest, workspace: Workspace, choice: Choice) -> Check:
    return logs_ask(
        principal=principal_of(request),
        workspace=workspace,
        follow=choice.follow,
        seconds=FOLLOW_SECONDS if choice.follow else WAIT_SECONDS,
        **_request(choice),
    )


def _context(
    workspace: Workspace, pods: list[Source], choice: Choice, check: Check | None
) -> dict[str, Any]:
    source = next((one for one in pods if one.pod == choice.pod), None)
    result = check.result if check else {}
    shown = replace(choice, gone="")
    return {
        "workspace": workspace,
        "deployment": workspace.deployment,
        "pods": pods,
        "containers": source.containers if source else (),
        "never_before": choice.previous and source is not None and source.restarts == 0,
        "choice": choice,
        "check": check,
        "result": result,
        "read_at": datetime.fromisoformat(result["read_at"]) if "read_at" in result else None,
        "asks": check is None,  # the page has nothing to show yet: it looks at once
        "error": result.get("error", ""),
        "remedy": result.get("remedy", ""),
        "look_url": f"{reverse('workspace_logs', args=[workspace.pk])}?{choice.query}",
        "file_url": f"{reverse('workspace_logs_text', args=[workspace.pk])}?{shown.query}",
    }
