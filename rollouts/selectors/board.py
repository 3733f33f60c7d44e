"""One rollout as its page shows it: stages in order, their gates, and each cluster's way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Prefetch
from django.urls import reverse
from django.utils import timezone

from fleetportal.accounts.principal import Principal
from fleetportal.kit.format import duration
from rollouts.engine import look
from rollouts.engine import types as t
from rollouts.models import Approval, Gate, Rollout, Stage, Target
from rollouts.selectors.approvals import judged, votes_of, with_votes
from rollouts.selectors.facts import strategy_of, target_view
from rollouts.selectors.words import READINESS, Wait, gate_label, wait_of
from rollouts.states import APPROVAL, GATE, ROLLOUT, STAGE, TARGET
from workspaces.selectors.deployment import phases, why
from workspaces.selectors.startup import Startup, startups

MOST_TARGETS = 12  # beyond: counts and exceptions only
EXCEPTIONS = ("failed", "conflict", "cluster_away")
TROUBLED = ("not_ready", "stuck", "unknown")
_IS = {
    "passed": "passed",
    "running": "current",
    "soaking": "current",
    "waiting": "current",
    "failed": "halted",
}
Dict = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """A rollout's rows, read once (five queries whatever its size, two more while one starts)."""

    rollout: Rollout
    stages: Sequence[Stage]
    targets: Sequence[Target]
    approvals: Mapping[object, Approval]  # the newest request of each gate
    expected: Mapping[UUID, Startup]  # when workspaces that start will be ready

    def of(self, stage: Stage) -> list[Target]:
        return [target for target in self.targets if target.stage_id == stage.pk]

    @property
    def ended(self) -> bool:
        return self.rollout.state in ROLLOUT.terminal


def parts_of(rollout: Rollout) -> Parts:
    gates = Prefetch("gates", queryset=Gate.objects.order_by("kind"))
    asked = with_votes(Approval.objects.filter(rollout=rollout)).order_by("created_at")
    targets = targets_of(rollout)
    begun = [target.new for target in targets if target.new and target.applied]
    return Parts(
        rollout=rollout,
        stages=list(rollout.stages.prefetch_related(gates)),
        targets=targets,
        approvals={one.gate_id: one for one in asked},
        expected=startups(begun, timezone.now()),
    )


def targets_of(rollout: Rollout) -> list[Target]:
    """The targets with their workspaces, without the large columns of either."""
    rows = rollout.targets.select_related(
        *("cluster", "stage", "new__revision", "new__pool", "old", "restored")
    )
    heavy = ("cluster__pools_packed", "cluster__nodes_packed", "cluster__credential_sealed")
    made = [f"{name}__manifests" for name in ("new", "old", "restored")]
    return list(rows.defer(*heavy, *made))


def board(principal: Principal, parts: Parts, now: datetime) -> list[Dict]:
    """The stages as components/stage_board.html takes them."""
    specs = {spec.name: spec for spec in strategy_of(parts.rollout).stages}
    short = len(parts.targets) > MOST_TARGETS
    made = []
    before = ""
    for stage in parts.stages:
        made.append(_stage(principal, parts, stage, specs[stage.name], before, short, now))
        before = before if stage.state == "skipped" else stage.name
    return made


def _stage(
    principal: Principal,
    parts: Parts,
    stage: Stage,
    spec: t.StageSpec,
    before: str,
    short: bool,
    now: datetime,
) -> Dict:
    targets = parts.of(stage)
    state = STAGE.states[stage.state]
    shown = [one for one in targets if not short or _exceptional(one)]
    gates = [] if stage.state == "skipped" else _ordered(stage.gates.all())
    return {
        "key": stage.pk,
        "name": stage.name,
        "label": state.label,
        "tone": state.tone,
        "is": _IS.get(stage.state, "todo"),
        "note": _stage_note(principal, parts, stage, spec, before, now),
        "deadline": _soak_end(parts.rollout, stage),
        "counts": counts(targets) if short else "",
        "targets": [_target(parts, target, now) for target in shown],
        "gates": [_gate(principal, parts, gate, spec, now) for gate in gates],
    }


def _stage_note(
    principal: Principal,
    parts: Parts,
    stage: Stage,
    spec: t.StageSpec,
    before: str,
    now: datetime,
) -> str:
    if stage.note:
        return stage.note
    if stage.state == "pending" and not parts.ended:
        return f"After {before}" if before else ""
    if stage.state == "soaking":
        soak = f"soak of {duration(spec.soak_seconds)} ends"
        return f"Demo {soak}" if settings.DEMO else soak.capitalize()
    open_ = _open_approval(parts, stage)
    if stage.state == "waiting" and open_ is not None:
        return f"Waiting for approval. {judged(principal, open_, now)[1]}".strip()
    return ""


def until_words(parts: Parts, wait: Wait | None) -> str:
    """What the time that a wait names is: it stands before a countdown."""
    if wait is None or wait.until is None:
        return ""
    if wait.kind in _UNTIL:
        return _UNTIL[wait.kind]
    if any(target.deadline == wait.until for target in parts.targets):
        return "It counts as failed"
    return "Tried again"


_UNTIL = {
    "approval": "The request expires",
    "soak": "Ends by itself",
    "window": "Opens",
    "old": "It goes",
}


def _open_approval(parts: Parts, stage: Stage) -> Approval | None:
    asked = [parts.approvals.get(gate.pk) for gate in stage.gates.all()]
    return next((one for one in asked if one and one.state == "waiting"), None)


def _soak_end(rollout: Rollout, stage: Stage) -> datetime | None:
    wait = wait_of(rollout)
    return wait.until if stage.state == "soaking" and wait and wait.kind == "soak" else None


def _exceptional(target: Target) -> bool:
    return target.state in EXCEPTIONS or bool(target.problem_kind)


def counts(targets: Iterable[Target]) -> str:
    """ "38 succeeded, 2 starting", in the order of the way."""
    found = Counter(target.state for target in targets)
    order = [key for key in TARGET.states if found[key]]
    return ", ".join(f"{found[key]} {TARGET.states[key].label.lower()}" for key in order)


def _target(parts: Parts, target: Target, now: datetime) -> Dict:
    state = TARGET.states[target.state]
    return {
        "key": target.pk,
        "cluster": target.cluster.name,
        "label": state.label,
        "tone": state.tone,
        "message": _message(target),
        "phases": _phases(target),
        "startup": parts.expected.get(target.new_id) if target.new_id else None,
        "notes": _notes(parts, target, now),
    }


def _phases(target: Target) -> list[Dict]:
    over = target.state in ("rolled_back", "skipped", "rolling_back")
    return phases(target.new) if target.new and target.applied and not over else []


def _message(target: Target) -> str:
    """Why it stands where it stands; nothing for one that simply goes on."""
    if _exceptional(target) or target.state == "skipped":
        return target.message
    if target.state == "queued" and target.cluster.cordoned:
        return f"Cordoned: {target.cluster.cordon_reason}"
    if target.new and (target.state == "starting" or target.new.state in TROUBLED):
        return why(target.new)
    return ""


def _notes(parts: Parts, target: Target, now: datetime) -> list[str]:
    notes = [f"Attempt {target.attempt}"] if target.attempt > 1 else []
    if not parts.ended and target.mutated and target.state not in ("rolled_back", "skipped"):
        notes.append(f"Roll back: {readiness_words(target, now)}")
    return notes


def readiness_words(target: Target, now: datetime) -> str:
    """How fast this target could go back."""
    if target.old_id is None:
        return "takes it away, nothing ran here before"
    return READINESS[look.readiness(target_view(target, now))]


def _ordered(gates: Iterable[Gate]) -> list[Gate]:
    kinds = [kind.value for kind in t.GateKind]
    return sorted(gates, key=lambda gate: kinds.index(gate.kind))


def _gate(principal: Principal, parts: Parts, gate: Gate, spec: t.StageSpec, now: datetime) -> Dict:
    state = GATE.states[gate.state]
    approval = parts.approvals.get(gate.pk)
    shown: Dict = {
        "label": gate_label(gate, spec.soak_seconds),
        "word": state.label,
        "tone": state.tone,
        "note": "" if gate.state in ("not_reached", "passed") else gate.message,
    }
    return shown if approval is None else shown | _asked(principal, approval, now)


def _asked(principal: Principal, approval: Approval, now: datetime) -> Dict:
    """What the newest request says of its gate."""
    state = APPROVAL.states[approval.state]
    page = reverse("approval", args=[approval.pk])
    shown: Dict = {"word": state.label, "tone": state.tone, "note": decided_by(approval)}
    if judged(principal, approval, now)[0]:
        return shown | {"url": page, "action": "See the evidence"}
    return shown


def decided_by(approval: Approval) -> str:
    """ "Approved by approver"; empty while nobody has decided."""
    names: dict[str, list[str]] = {"approve": [], "reject": []}
    for vote in votes_of(approval):
        names[vote.decision].append(vote.voter.username)
    if names["reject"]:
        return f"Rejected by {', '.join(names['reject'])}"
    return f"Approved by {', '.join(names['approve'])}" if names["approve"] else ""


def rejected_because(parts: Parts) -> str:
    """The words of whoever rejected it."""
    votes = [vote for one in parts.approvals.values() for vote in votes_of(one)]
    said = [vote.comment for vote in votes if vote.decision == "reject"]
    return f"\u201c{said[0]}\u201d" if said and said[0] else ""


def to_decide(principal: Principal, parts: Parts, now: datetime) -> Approval | None:
    """The open request that this person may decide now."""
    asked = (one for one in parts.approvals.values() if judged(principal, one, now)[0])
    return next(asked, None)


def waiting_request(parts: Parts) -> Approval | None:
    return next((one for one in parts.approvals.values() if one.state == "waiting"), None)


def decided(principal: Principal, parts: Parts) -> list[Approval]:
    """Requests that this person has answered: the browser may forget the comment it kept."""
    return [
        one
        for one in parts.approvals.values()
        if any(vote.voter_id == principal.user.pk for vote in votes_of(one))
    ]


def running_on(parts: Parts) -> int:
    return sum(target.state == "succeeded" for target in parts.targets)
