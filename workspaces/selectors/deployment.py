"""One deployment as its page shows it: the chain from plan to conditions, a line per workspace."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from clusters.models import Check, ObservedObject
from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.journal.selectors import history, told
from workspaces.engine.cost import Total
from workspaces.models import Deployment, Plan, Revision, Workspace
from workspaces.selectors.cost import price_now
from workspaces.selectors.deployments import (
    DeploymentRow,
    deployments_for,
    row_of,
)
from workspaces.selectors.plans import rail_url, to_yaml
from workspaces.selectors.startup import Startup, startups
from workspaces.selectors.truth import true_at

PROMPT = "workspaces.prompt"
PHASE_WORDS = (
    ("getting_nodes", "node"),
    ("pulling_image", "image"),
    ("loading_weights", "weights"),
    ("loading", "load"),
    ("benchmarking", "benchmark"),
)
LOADING = ("loading_weights", "loading")  # one state of KAITO's, told apart by the download
CONDITION_WORDS = {
    "NodeClaimReady": "Nodes claimed",
    "NodesReady": "Nodes ready",
    "ResourceReady": "Nodes and plugins",
    "InferenceReady": "Inference server",
    "BenchmarkCompleted": "Benchmark",
    "WorkspaceSucceeded": "Workspace",
    "InferenceSetSucceeded": "Set",
}
Dict = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of KAITO in plain words; `tone` as for states."""

    label: str
    tone: str
    text: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class WorkspaceRow:
    """A line of the per-cluster table. `why` is the reason where it is not ready."""

    workspace: Workspace
    nodes: str  # instance type, or the GPU where nodes are existing ones
    why: str
    phases: list[Dict]
    conditions: list[Condition]
    address: str
    kubectl: str
    away: bool
    seen_at: datetime | None  # when it was last known to be so
    price: Total  # $/h now
    startup: Startup | None = None  # when it will be ready

    @property
    def holds(self) -> bool:
        """Whether it costs anything now, at a known price or an unknown one."""
        return bool(self.price.known or self.price.unknown)


def deployment_for(principal: Principal, pk: UUID | str) -> Deployment | None:
    return deployments_for(principal).filter(pk=pk).first()


def summary(deployment: Deployment) -> DeploymentRow:
    return row_of(deployment)


def workspaces_of(deployment: Deployment) -> list[Workspace]:
    """Those that are not retired, with manifests and conditions, newest revision last."""
    return list(
        Workspace.objects.filter(deployment=deployment)
        .exclude(state="retired")
        .select_related("cluster", "revision", "deployment", "pool")
        .defer("cluster__pools_packed", "cluster__nodes_packed", "cluster__credential_sealed")
        .order_by("cluster__name", "revision__number")
    )


def rows_of(workspaces: Sequence[Workspace]) -> list[WorkspaceRow]:
    expected = startups(workspaces, timezone.now())
    return [workspace_row(workspace, expected.get(workspace.pk)) for workspace in workspaces]


def workspace_row(workspace: Workspace, startup: Startup | None = None) -> WorkspaceRow:
    away = workspace.state == "unknown" or workspace.cluster.state not in ("ready", "degraded")
    return WorkspaceRow(
        workspace=workspace,
        nodes=workspace.instance_type or (workspace.pool.gpu_model if workspace.pool else ""),
        why=why(workspace),
        phases=phases(workspace),
        conditions=conditions(workspace),
        address=address_of(workspace),
        kubectl=kubectl_line(workspace),
        away=away,
        seen_at=true_at(workspace, workspace.cluster),
        price=price_now([workspace]),
        startup=startup,
    )


def address_of(workspace: Workspace) -> str:
    """Where a client in the same cluster finds it."""
    return f"http://{workspace.service}.{workspace.namespace}.svc.cluster.local"


def why(workspace: Workspace) -> str:
    """Why it is not ready, in KAITO's words; empty when it is."""
    if workspace.state == "ready":
        return ""
    return workspace.message or _spaced(workspace.reason)


def phases(workspace: Workspace) -> list[Dict]:
    """node > image > weights > load > benchmark, each done, now, todo or bad."""
    if workspace.state in ("retiring", "planned"):
        return []
    seen = [key for key, _ in PHASE_WORDS if key in workspace.phases]
    done = workspace.state == "ready" or bool(workspace.phases.get("ready"))
    keys = [key for key, _ in PHASE_WORDS]
    here = keys.index(workspace.state) if workspace.state in keys else -1
    last = max((keys.index(key) for key in seen), default=0)  # of those whose beginning was seen
    now = last if here < 0 or (workspace.state, keys[last]) == LOADING else here
    return [
        {"label": word, "is": "done" if done else _phase(number, now, workspace.state)}
        for number, (_, word) in enumerate(PHASE_WORDS)
    ]


def _phase(number: int, now: int, state: str) -> str:
    if number != now:
        return "done" if number < now else "todo"
    return "bad" if state in ("stuck", "not_ready") else "now"


def conditions(workspace: Workspace) -> list[Condition]:
    """KAITO's conditions of every child, the failing ones first."""
    several = len({raw.get("object") for raw in workspace.conditions}) > 1
    rows = [_condition(raw, workspace, several) for raw in workspace.conditions]
    order = {"bad": 0, "run": 1, "unknown": 2, "ok": 3}
    return sorted(rows, key=lambda row: order.get(row.tone, 4))


def _condition(raw: Dict, workspace: Workspace, several: bool) -> Condition:
    kind, status = str(raw.get("type", "")), str(raw.get("status", "Unknown"))
    label = CONDITION_WORDS.get(kind, _spaced(kind))
    if several:
        label = f"{label} ({raw.get('object', '')})"
    text = str(raw.get("message") or "") or _spaced(str(raw.get("reason") or ""))
    return Condition(label, _tone(status, workspace.state), text, _moment(raw))


def _tone(status: str, state: str) -> str:
    if status == "True":
        return "ok"
    if status == "Unknown":
        return "unknown"
    return "bad" if state in ("stuck", "not_ready") else "run"


def _moment(raw: Dict) -> datetime | None:
    try:
        return datetime.fromisoformat(str(raw.get("lastTransitionTime", "")))
    except ValueError:
        return None


def _spaced(word: str) -> str:
    """ "ContainerOOMKilled" -> "Container OOM Killed", to be read as words."""
    made = ""
    for index, letter in enumerate(word):
        before, after = word[index - 1 : index], word[index + 1 : index + 2]
        starts = letter.isupper() and (before.islower() or (before.isupper() and after.islower()))
        made += f" {letter}" if index and starts else letter
    return made


def kubectl_line(workspace: Workspace) -> str:
    """The command that shows the object with its field managers."""
    path = str(settings.DATA_DIR / "fleet.kubeconfig") if settings.DEMO else "your-kubeconfig"
    parts = ["kubectl", "--kubeconfig", path, "--context", workspace.cluster.name]
    parts += ["-n", workspace.namespace, "get", workspace.kind.lower(), workspace.name]
    return f"{shlex.join(parts)} -o yaml --show-managed-fields"


def newest_plan(deployment: Deployment) -> Plan | None:
    """The plan that was started last."""
    rows = Plan.objects.filter(deployment=deployment, state="used")
    return rows.defer("verdicts_packed", "manifests").first()


def next_revision_url(deployment: Deployment) -> str:
    """The model's page with the newest revision's spec in the rail; empty without a revision."""
    newest = Revision.objects.filter(deployment=deployment).order_by("-number").first()
    if newest is None:
        return ""
    return rail_url(
        model=newest.model_id, team=deployment.team.slug, name=deployment.name, spec=newest.spec
    )


def revisions_of(deployment: Deployment) -> list[Revision]:
    rows = Revision.objects.filter(deployment=deployment)
    return list(rows.select_related("model", "created_by").order_by("-number"))


def events_of(principal: Principal, deployment: Deployment) -> list[Dict]:
    """Its journal, newest first, in the words of components/timeline.html."""
    rows = history(principal=principal, scope=f"deployment:{deployment.pk}")
    return [_told(row) for row in rows]


def _told(row: Event) -> Dict:
    return {
        "at": row.at,
        "actor": row.actor_name,
        "action": told(row),
        "reason": row.reason,
        "changes": [
            (key, _brief(row.before.get(key)), _brief(value))
            for key, value in row.after.items()
            if row.before.get(key) != value
        ],
    }


def _brief(value: Any) -> str | None:
    return None if value is None else str(value)[:200]


def observed_of(workspaces: Sequence[Workspace]) -> list[Dict]:
    """The objects as the cluster returns them: our set or Workspace, and what KAITO made of it."""
    wanted = Q(pk__in=())
    for one in workspaces:
        there = Q(cluster=one.cluster, namespace=one.namespace)
        wanted |= there & (Q(name=one.name) | Q(owner=one.name, kind="Workspace"))
    rows = ObservedObject.objects.filter(wanted, deleted_at=None).select_related("cluster")
    return [
        {"row": row, "text": to_yaml([row.body])}
        for row in rows.order_by("cluster__name", "kind", "name")[:100]
    ]


def prompt_check(deployment: Deployment, principal: Principal) -> Check | None:
    """The newest test prompt that this person sent."""
    rows = Check.objects.filter(kind=PROMPT, subject_id=str(deployment.pk))
    return rows.filter(requested_by=principal.user).select_related("cluster").first()
