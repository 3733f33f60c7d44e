"""Starting a rollout from its plan, and what people do to one that runs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from fleetportal.accounts.principal import Principal, declares, require
from fleetportal.kit.errors import Invalid, Missing, Refused
from fleetportal.kit.htmx import redirect_to
from fleetportal.rest.auth import principal_of
from rollouts.models import Rollout
from rollouts.selectors import actions, board
from rollouts.services import control, start
from rollouts.views.rollouts import find
from workspaces.models import Plan
from workspaces.selectors.plans import plan_for

DOES = {
    "pause": control.rollout_pause,
    "resume": control.rollout_resume,
    "retry": control.rollout_retry,
    "ask": control.rollout_retry,
    "abort": control.rollout_abort,
    "rollback": control.rollout_rollback,
    "retire": control.rollout_retire_now,
}


@require_POST
@declares("deployment.create")
def rollout_begin(request: HttpRequest) -> HttpResponse:
    """Button "Start rollout" of a plan. A refusal goes back to the plan with its reason."""
    principal = principal_of(request)
    plan = _plan(principal, request.POST.get("plan", ""))
    try:
        rollout = start.rollout_start(
            principal=principal, plan=plan, digest=request.POST.get("digest", "")
        )
    except (Refused, Invalid) as error:
        messages.warning(request, str(error))
        return redirect_to(request, reverse("plan", args=[plan.pk]))
    return redirect_to(request, reverse("rollout", args=[rollout.pk]))


@require_http_methods(["GET", "POST"])
@declares("rollout.control")
def rollout_act(request: HttpRequest, pk: UUID, key: str) -> HttpResponse:
    """The question with its consequences, and the answer."""
    principal = principal_of(request)
    rollout = find(principal, pk)
    require(principal, "rollout.control", rollout)
    action = actions.ACTIONS.get(key)
    if action is None:
        raise Missing("There is no such action.")
    if request.method == "GET":
        return _ask(request, rollout, action)
    reason = request.POST.get("comment", "").strip()
    if action.comment == "required" and not reason:
        return _ask(request, rollout, action, "Say why, for those who read the history.")
    try:
        DOES[key](principal=principal, rollout=rollout, reason=reason)
    except Refused as error:
        return _ask(request, rollout, action, str(error), status=error.status)
    return redirect_to(request, reverse("rollout", args=[rollout.pk]))


def _ask(
    request: HttpRequest,
    rollout: Rollout,
    action: actions.Action,
    error: str = "",
    status: int = 422,
) -> HttpResponse:
    url = reverse("rollout", args=[rollout.pk])
    context: dict[str, Any] = {
        "title": action.title,
        "text": action.text,
        "facts": actions.consequences(action, board.parts_of(rollout), timezone.now()),
        "action": reverse("rollout_act", args=[rollout.pk, action.key]),
        "submit": action.submit,
        "danger": action.danger,
        "cancel_url": url,
        "version": None,
        "comment": action.comment,
        "comment_value": request.POST.get("comment", ""),
        "errors": {"comment": error} if error else {},
    }
    return render(request, "components/confirm_page.html", context, status=status if error else 200)


def _plan(principal: Principal, pk: str) -> Plan:
    try:
        plan = plan_for(principal, UUID(pk))
    except ValueError:
        plan = None
    if plan is None:
        raise Missing("There is no such plan, or you may not see it.")
    return plan
