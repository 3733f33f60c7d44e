"""What a person must look at, over all apps: one sentence each, the worst first.

A cluster that is silent is said once; the deployments that it hides are counted, not repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.urls import reverse

from clusters.models import Cluster
from clusters.selectors.census import SILENT, tally, unseen
from clusters.states import CLUSTER
from fleetportal.accounts.principal import Principal
from fleetportal.kit.format import ago, gpus
from rollouts.models import Rollout
from rollouts.selectors import approvals
from rollouts.selectors.words import wait_of
from rollouts.states import ROLLOUT
from workspaces.models import Deployment
from workspaces.selectors.deployments import (
    deployments_for,
    fare_of,
    look_of,
)
from workspaces.selectors.living import Living, living_of

MOST = 100  # of each kind; beyond, the list says how many more
HALTED = ("failed", "paused")
ENDED_BADLY = ("rollback_blocked", "rolled_back_partially", "aborted_outside")
_ORDER = {"accent": 0, "bad": 1, "unknown": 2, "wait": 3}


@dataclass(frozen=True, slots=True)
class Item:
    """One line of components/attention.html."""

    label: str
    tone: str
    name: str
    url: str
    why: str
    action: str = ""
    action_url: str = ""


def attention(principal: Principal, clusters: Iterable[Cluster], now: datetime) -> list[Item]:
    """Everything that waits for a person, as far as this principal sees it (constant queries)."""
    troubled = [cluster for cluster in clusters if troubles(cluster)]
    found, hidden = _deployments(principal)
    items = [
        *_approvals(principal, now),
        *(_cluster(cluster, hidden[cluster.name], now) for cluster in troubled),
        *found,
        *_rollouts(principal),
    ]
    return sorted(items, key=lambda item: _ORDER.get(item.tone, 9))


def troubles(cluster: Cluster) -> bool:
    return cluster.state in SILENT or cluster.state == "degraded"


def _cluster(cluster: Cluster, hidden: int, now: datetime) -> Item:
    state = CLUSTER.states[cluster.state]
    return Item(
        label=state.label,
        tone=state.tone,
        name=cluster.name,
        url=reverse("cluster", args=[cluster.name]),
        why=" ".join(_cluster_words(cluster, hidden, now)),
    )


def _cluster_words(cluster: Cluster, hidden: int, now: datetime) -> Iterable[str]:
    if unseen(cluster):
        yield f"{gpus(tally(cluster).unknown)} unknown, last contact"
        yield f"{ago(cluster.last_contact_at, now)}."
    if cluster.state_reason:
        yield f"{cluster.state_reason.rstrip('.')}."
    if hidden:
        yield f"{hidden} deployment{'' if hidden == 1 else 's'} there cannot be seen."


def _deployments(principal: Principal) -> tuple[list[Item], Counter[str]]:
    """Those in trouble, and for each silent cluster how many deployments it hides."""
    rows = deployments_for(principal).filter(Q(("calm", 0))).order_by("name", "pk")[:MOST]
    all_living = living_of(rows)
    items, hidden = [], Counter[str]()
    for deployment in rows:
        living = all_living[deployment.pk]
        fare = fare_of(deployment, living, None)
        applied = [one for one in living if one.state != "planned"]
        away = sorted({one.cluster_name for one in applied if one.cluster_state in SILENT})
        hidden.update(away)
        if fare.attention and not (away and _only_hidden(living)):
            items.append(_deployment(deployment, fare.word, fare.tone, fare.cause))
    return items, hidden


def _only_hidden(living: Sequence[Living]) -> bool:
    """Whether nothing is wrong but that some of its clusters are silent."""
    seen = [look_of(one) for one in living if one.cluster_state not in SILENT]
    return not any(one.state in ("stuck", "not_ready", "unknown") or one.outside for one in seen)


def _deployment(deployment: Deployment, word: str, tone: str, cause: str) -> Item:
    return Item(word, tone, deployment.name, reverse("deployment", args=[deployment.pk]), cause)


def _approvals(principal: Principal, now: datetime) -> list[Item]:
    rows = approvals.listed(principal, approvals.approvals_for(principal), "open")[:MOST]
    return [_approval(line) for line in approvals.lines_of(principal, rows, now)]


def _approval(line: approvals.ApprovalLine) -> Item:
    approval = line.approval
    url = reverse("approval", args=[approval.pk])
    return Item(
        label="Yours to decide" if line.can else line.state,
        tone="accent" if line.can else line.tone,
        name=f"{approval.rollout.revision}, {approval.gate.stage.name}",
        url=url,
        why=f"asked by {approval.requester.username}. Pre-flight: {line.preflight.text.lower()}.",
        action="Review and decide" if line.can else "",
        action_url=url if line.can else "",
    )


def _rollouts(principal: Principal) -> list[Item]:
    """Failed and paused ones, and those whose roll-back left something behind."""
    rows = Rollout.objects.visible_to(principal).select_related("revision__deployment")
    halted = rows.filter(state__in=[*HALTED, *ENDED_BADLY]).order_by("-created_at", "pk")[:MOST]
    newest = _newest({rollout.deployment_id for rollout in halted})
    return [_rollout(one) for one in halted if newest.get(one.deployment_id) == one.pk]


def _newest(deployments: Iterable[object]) -> dict[object, object]:
    """The last rollout of each deployment: an older one's failure is history."""
    rows = Rollout.objects.filter(deployment_id__in=list(deployments)).order_by("created_at")
    return dict(rows.values_list("deployment_id", "pk"))


def _rollout(rollout: Rollout) -> Item:
    state, wait = ROLLOUT.states[rollout.state], wait_of(rollout)
    why = wait.text if wait else "The rollout ended and needs a look."
    return Item(
        label=f"Rollout {state.label.lower()}",
        tone=state.tone,
        name=str(rollout.revision),
        url=reverse("rollout", args=[rollout.pk]),
        why=why,
    )
