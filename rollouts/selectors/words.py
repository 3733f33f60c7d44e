"""What pages say about a rollout in words. No queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from rollouts.engine.types import RollbackReadiness
from rollouts.engine.waiting import WaitKind
from rollouts.models import Gate, Rollout
from rollouts.states import ROLLOUT

QUIET = ("", WaitKind.NOTHING, WaitKind.WORK)
# What a person ends, so that a list can put it first.
PERSON = (WaitKind.APPROVAL, WaitKind.APPROVAL_EXPIRED, WaitKind.HELD, WaitKind.DECISION)
GATES = {
    "window": "Window",
    "approval_before": "Approval before the start",
    "soak": "Soak",
    "analysis": "Analysis",
    "benchmark": "Benchmark",
    "approval_after": "Approval before it passes",
}
READINESS = {
    RollbackReadiness.WARM: "warm (seconds)",
    RollbackReadiness.CAPACITY_CLAIMED: "capacity claimed (tens of minutes)",
    RollbackReadiness.NONE: "none",
}


@dataclass(frozen=True, slots=True)
class Wait:
    """What a rollout waits for. `ends`: who or what ends that, as a sentence's start."""

    kind: str
    text: str
    who: str
    ends: str
    until: datetime | None

    @property
    def person(self) -> bool:
        return self.kind in PERSON


def wait_of(rollout: Rollout) -> Wait | None:
    """None where nothing is waited for."""
    said: dict[str, Any] = rollout.waiting_for
    kind, text = str(said.get("kind", "")), str(said.get("text", ""))
    if not text:
        return None
    who = str(said.get("who", ""))
    return Wait(kind, text, who, _ends(kind, who), _moment(said.get("until")))


def label_of(rollout: Rollout) -> str:
    """The state's word, with its cause where it waits: "Waiting: approval"."""
    label = ROLLOUT.states[rollout.state].label
    kind = str(rollout.waiting_for.get("kind", ""))
    if rollout.state == "waiting" and kind not in QUIET:
        return f"{label}: {cause_words(kind)}"
    return label


def cause_words(kind: str) -> str:
    """ "approval expired", "old revision"."""
    return "old revision" if kind == WaitKind.OLD else kind.replace("_", " ")


def gate_label(gate: Gate, soak_seconds: int) -> str:
    label = GATES[gate.kind]
    return f"{label}, {soak_seconds} s" if gate.kind == "soak" else label


def _ends(kind: str, who: str) -> str:
    """ "approver" -> "An approver ends this"; empty where the date says it all."""
    if who in ("", "time"):
        return ""
    person = kind in PERSON and not who.startswith("whoever")
    article = "An" if who[0] in "aeiou" else "A"
    return f"{article} {who} ends this" if person else f"{who[0].upper()}{who[1:]} ends this"


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return parse_datetime(value) if isinstance(value, str) else None
