"""What people may do to a rollout now, and what would happen to each cluster if they did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rollouts.engine import look
from rollouts.engine.types import RollbackReadiness
from rollouts.models import Target
from rollouts.selectors.board import MOST_TARGETS, Parts, readiness_words
from rollouts.selectors.facts import target_view
from rollouts.selectors.words import wait_of
from rollouts.states import ROLLOUT

Consequence = Callable[[Target, datetime], str]
RETRIED = ("failed", "conflict")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do. `button`: the words on the control; `comment`: "optional" or "required"."""

    key: str
    button: str
    title: str
    text: str
    submit: str
    comment: str
    danger: bool = False


PAUSE = Action(
    "pause",
    "Pause…",
    "Pause this rollout?",
    "Nothing new begins. What is on its way to a cluster is finished; what serves goes on serving.",
    "Pause",
    "required",
)
RESUME = Action(
    "resume",
    "Resume…",
    "Resume this rollout?",
    "It goes on where it stopped; its gates are asked again.",
    "Resume",
    "optional",
)
RETRY = Action(
    "retry",
    "Retry…",
    "Try again?",
    "Everything that failed gets another attempt, from its check on.",
    "Retry",
    "optional",
)
ASK = Action(
    "ask",
    "Ask again…",
    "Ask for approval again?",
    "A new request goes to the approvers; the old one stays in the history.",
    "Ask again",
    "optional",
)
ABORT = Action(
    "abort",
    "Abort…",
    "Abort this rollout?",
    "It ends here. What serves the new revision goes on serving it; what was begun and does not "
    "serve is taken away. Nothing new begins.",
    "Abort the rollout",
    "required",
    danger=True,
)
ROLLBACK = Action(
    "rollback",
    "Roll back…",
    "Roll back every cluster?",
    "Every cluster that was touched goes back, the last stage first. Promotion is held afterwards "
    "until somebody starts another rollout.",
    "Roll back",
    "required",
    danger=True,
)
RETIRE = Action(
    "retire",
    "Retire the old revision…",
    "Retire the old revision now?",
    "It is taken off every cluster before its time. A roll back then needs new capacity and tens "
    "of minutes.",
    "Retire it now",
    "required",
    danger=True,
)
ACTIONS = {one.key: one for one in (PAUSE, RESUME, RETRY, ASK, ABORT, ROLLBACK, RETIRE)}


def offered(parts: Parts) -> list[Action]:
    """What makes sense now, the constructive ones first. Whether one may is another question."""
    rollout = parts.rollout
    if rollout.state in ROLLOUT.terminal or rollout.rollback or rollout.state == "rolling_back":
        return []
    wait = wait_of(rollout)
    keeps_old = bool(wait and wait.kind == "old" and not rollout.retire_now)
    failed = rollout.state == "failed" or any(one.state in RETRIED for one in parts.targets)
    found = [
        (RETRY, failed),
        (ASK, bool(wait and wait.kind == "approval_expired")),
        (RESUME, rollout.pause),
        (PAUSE, not rollout.pause and rollout.state != "failed" and not rollout.abort),
        (RETIRE, keeps_old),
        (ROLLBACK, any(target.mutated for target in parts.targets)),
        (ABORT, not rollout.abort and not keeps_old),
    ]
    return [action for action, now in found if now]


def consequences(action: Action, parts: Parts, now: datetime) -> list[tuple[str, str]]:
    """(cluster, what happens there); counts instead, beyond twelve."""
    if action.key not in _TOLD:
        return []
    tell = _TOLD[action.key]
    told = [(target.cluster.name, tell(target, now)) for target in parts.targets]
    told = [(name, text) for name, text in told if text]
    if len(told) <= MOST_TARGETS:
        return told
    found = Counter(text for _, text in told)
    return [(f"{count} clusters", text) for text, count in found.most_common()]


def _aborted(target: Target, now: datetime) -> str:
    if target.state == "succeeded":
        return "goes on serving the new revision"
    if target.state in ("rolled_back", "skipped"):
        return ""
    if not target.mutated:
        return "is left as it is"
    if target.phase == "switch" and target.state not in RETRIED:
        return "finishes its switch and serves the new revision"
    return "keeps what served before; the new one is taken away"


def _rolled_back(target: Target, now: datetime) -> str:
    if target.state in ("rolled_back", "skipped"):
        return ""
    if not target.mutated:
        return "is left as it is"
    if target.old_id is None:
        return "the new one is taken away; nothing ran here before"
    if look.readiness(target_view(target, now)) is RollbackReadiness.NONE:
        return "cannot go back: the old revision is gone and has no room"
    return f"goes back to the old revision: {readiness_words(target, now)}"


def _retried(target: Target, now: datetime) -> str:
    return f"attempt {target.attempt + 1}" if target.state in RETRIED else ""


def _retired(target: Target, now: datetime) -> str:
    return "loses its warm old revision" if target.old and not target.old_retired else ""


_TOLD: dict[str, Consequence] = {
    "abort": _aborted,
    "rollback": _rolled_back,
    "retry": _retried,
    "retire": _retired,
}
