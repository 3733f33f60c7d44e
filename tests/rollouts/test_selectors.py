"""What pages say in words, from values alone."""

from __future__ import annotations

import pytest

from rollouts.engine.types import GateKind
from rollouts.engine.waiting import WaitKind
from rollouts.models import Rollout
from rollouts.selectors.evidence import in_words
from rollouts.selectors.words import GATES, label_of, wait_of


def waiting(kind: str, who: str, until: str | None = None) -> Rollout:
    said = {"kind": kind, "text": "Something.", "who": who, "until": until}
    return Rollout(state="waiting", waiting_for=said)


@pytest.mark.parametrize(
    ("kind", "who", "words"),
    [
        (WaitKind.APPROVAL, "approver", "An approver ends this"),
        (WaitKind.DECISION, "engineer or operator", "An engineer or operator ends this"),
        (WaitKind.HELD, "whoever lifts the hold", "Whoever lifts the hold ends this"),
        (WaitKind.WORK, "the cluster", "The cluster ends this"),
        (WaitKind.WORK, "FleetPortal", "FleetPortal ends this"),
        (WaitKind.SOAK, "time", ""),
    ],
)
def test_a_wait_names_who_ends_it(kind: WaitKind, who: str, words: str) -> None:
    wait = wait_of(waiting(kind.value, who))
    assert wait is not None
    assert wait.ends == words


def test_the_time_of_a_wait_is_read_from_its_row() -> None:
    wait = wait_of(waiting("soak", "time", "2026-01-01T00:00:10+00:00"))
    assert wait is not None and wait.until is not None
    assert wait.until.isoformat() == "2026-01-01T00:00:10+00:00"


def test_nothing_to_wait_for_is_none() -> None:
    assert wait_of(Rollout(waiting_for={})) is None
    assert wait_of(Rollout(waiting_for={"kind": "nothing", "text": "", "who": ""})) is None


@pytest.mark.parametrize(
    ("state", "kind", "label"),
    [
        ("waiting", "approval", "Waiting: approval"),
        ("waiting", "approval_expired", "Waiting: approval expired"),
        ("waiting", "work", "Waiting"),
        ("running", "approval", "Running"),
    ],
)
def test_a_waiting_rollout_carries_its_cause(state: str, kind: str, label: str) -> None:
    assert label_of(Rollout(state=state, waiting_for={"kind": kind})) == label


def test_every_kind_of_gate_has_words() -> None:
    assert set(GATES) == {kind.value for kind in GateKind}


def test_fields_of_a_policy_read_as_words() -> None:
    assert in_words([("policy.placement_type", "PickN", "PickAll"), ("replicas", "1", "2")]) == [
        ("placement type", "PickN", "PickAll"),
        ("replicas in all stages", "1", "2"),
    ]
