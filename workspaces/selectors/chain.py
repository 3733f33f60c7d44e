"""The chain of a deployment's page: plan, rollout, workspaces, conditions. The first broken link is
the cause."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import Any

from django.urls import reverse

from workspaces.models import Plan, Workspace
from workspaces.selectors.deployment import why
from workspaces.selectors.deployments import DeploymentRow
from workspaces.selectors.motion import Motion
from workspaces.states import WORKSPACE

Dict = dict[str, Any]
LONGEST = 56  # characters of a note


def chain(row: DeploymentRow, workspaces: Sequence[Workspace], plan: Plan | None) -> list[Dict]:
    """plan > rollout > workspaces > conditions > address: the first broken link is the cause."""
    links = [_plan_link(plan), _rollout_link(row.motion)]
    links += [_workspaces_link(row, workspaces), _conditions_link(workspaces)]
    return [{**link, "note": _brief(link["note"])} for link in links if link]


def _brief(note: str) -> str:
    """The health line has the whole cause; the chain stays on one line."""
    return shorten(note, LONGEST, placeholder="…")


def _plan_link(plan: Plan | None) -> Dict:
    if plan is None:
        return {}
    note = plan.summary.partition(". ")[0]
    return {"label": "Plan", "tone": "ok", "note": note, "url": reverse("plan", args=[plan.pk])}


def _rollout_link(motion: Motion | None) -> Dict:
    if motion is None:
        return {}
    note = motion.label if not motion.note else f"{motion.label}. {motion.note}"
    return {"label": "Rollout", "tone": motion.tone, "note": note, "url": motion.url}


def _workspaces_link(row: DeploymentRow, workspaces: Sequence[Workspace]) -> Dict:
    worst = _worst(workspaces)
    tone = WORKSPACE.states[worst.state].tone if worst else "idle"
    note = f"{row.fare.ready} of {row.fare.clusters} clusters ready"
    return {"label": "Workspaces", "tone": tone, "note": note, "url": "#clusters"}


def _conditions_link(workspaces: Sequence[Workspace]) -> Dict:
    worst = _worst(workspaces)
    if worst is None or not worst.conditions:
        return {"label": "Conditions", "tone": "unknown", "note": "KAITO has reported none yet"}
    if worst.state == "ready":
        return {"label": "Conditions", "tone": "ok", "note": "all true"}
    tone = WORKSPACE.states[worst.state].tone
    return {"label": "Conditions", "tone": tone, "note": f"{worst.cluster.name}: {why(worst)}"}


_BADNESS = ("stuck", "not_ready", "unknown")


def _worst(workspaces: Sequence[Workspace]) -> Workspace | None:
    """Of those that are there; of planned ones only where there is nothing else to tell of."""
    counted = [one for one in workspaces if one.state not in ("retiring", "planned")]
    counted = counted or [one for one in workspaces if one.state == "planned"]

    def badness(one: Workspace) -> int:
        if one.state in _BADNESS:
            return _BADNESS.index(one.state)
        return 9 if one.state == "ready" else 5

    return min(counted, key=badness, default=None)
