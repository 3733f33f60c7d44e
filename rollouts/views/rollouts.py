"""The list of rollouts, and one rollout on its way."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from fleetportal.accounts.principal import Principal, declares
from fleetportal.kit.errors import Missing
from fleetportal.kit.fragments import fragment
from fleetportal.kit.htmx import is_htmx, page
from fleetportal.rest.auth import principal_of
from rollouts.models import Rollout
from rollouts.selectors import actions, board, history, rollouts
from rollouts.selectors.words import label_of, wait_of
from rollouts.states import ROLLOUT

PAGE_SIZE = 50
STOP_POLLING = 286
TABS = ("stages", "history")
STATES = (("active", "Active"), ("person", "Waits for a person"), ("ended", "Ended"))


@require_GET
@declares("view")
def rollout_list(request: HttpRequest) -> HttpResponse:
    """Filters, order and page are the query string; htmx asks for the list alone."""
    topics = ("rollouts", "approvals")
    return fragment(
        request, "rollouts", topics, lambda: _list(request), personal=offers_votes(request)
    )


def _list(request: HttpRequest) -> HttpResponse:
    principal = principal_of(request)
    filters = {name: request.GET.get(name, "") for name in ("q", "team", "state")}
    sort = request.GET.get("sort", "")
    rows = rollouts.matching(rollouts.rollouts_listed(principal), filters)
    rows = rollouts.sorted_by(rows, sort)
    found = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page", 1))
    context = {
        "page": found,
        "lines": rollouts.lines_of(principal, found, timezone.now()),
        "filters": filters,
        "filtered": any(filters.values()),
        "sort": sort,
        "teams": principal.teams(),
        "states": [*STATES, *ROLLOUT.choices],
        "may_deploy": principal.may("plan.create"),
    }
    return page(request, "rollouts/rollouts.html", context, part="list")


@require_GET
@declares("view")
def rollout_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The whole page, or to htmx what can change on it; 286 when nothing can any more."""
    if not is_htmx(request):
        return _page(request, pk)
    rollout = find(principal_of(request), pk)
    topics = (f"rollout:{pk}", f"deployment:{rollout.deployment_id}")
    return fragment(
        request, "rollout", topics, lambda: _page(request, pk), personal=offers_votes(request)
    )


def offers_votes(request: HttpRequest) -> bool:
    """Whether the page may ask its reader for a decision: nobody decides on what they asked for."""
    return principal_of(request).may("approval.vote")


def _page(request: HttpRequest, pk: UUID) -> HttpResponse:
    principal = principal_of(request)
    rollout = find(principal, pk)  # after the versions were read, so never older than they say
    over = rollout.state in ROLLOUT.terminal
    tab = request.GET.get("tab", "")
    context = _context(principal, rollout) | {
        "tab": tab if tab in TABS else "stages",
        "over": over,
        "events": history.events_of(principal, rollout) if tab == "history" else [],
    }
    status = STOP_POLLING if is_htmx(request) and over else 200
    return page(request, "rollouts/rollout.html", context, part="live", status=status)


def find(principal: Principal, pk: UUID) -> Rollout:
    rollout = rollouts.rollout_for(principal, pk)
    if rollout is None:
        raise Missing("There is no such rollout, or you may not see it.")
    return rollout


def _context(principal: Principal, rollout: Rollout) -> dict[str, Any]:
    now = timezone.now()
    parts = board.parts_of(rollout)
    wait = wait_of(rollout)
    may_control = principal.may("rollout.control", rollout.team_id)
    return {
        "rollout": rollout,
        "label": label_of(rollout),
        "tone": ROLLOUT.states[rollout.state].tone,
        "wait": wait,
        "until_words": board.until_words(parts, wait),
        "stages": board.board(principal, parts, now),
        "running_on": board.running_on(parts),
        "targets": len(parts.targets),
        "soaks": any(gate.kind == "soak" for stage in parts.stages for gate in stage.gates.all()),
        "ended": history.ended_because(rollout) if parts.ended else ("", ""),
        "rejected_because": board.rejected_because(parts),
        "actions": actions.offered(parts) if may_control else [],
        "decide": board.to_decide(principal, parts, now),
        "request_waiting": board.waiting_request(parts),
        "decided": board.decided(principal, parts),
    }
