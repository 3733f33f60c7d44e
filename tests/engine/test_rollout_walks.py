"""Long seeded walks over the rules of the state machine, and proof that they reach everything.

Hypothesis finds and shrinks short failures; these walks go deep. Each is a rollout under sixty
random events; together they take nearly every move that the tables allow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from rollouts.engine import moves
from rollouts.engine.types import (
    ApprovalMode,
    Mode,
    OnDeadline,
    StageSpec,
    StrategySpec,
    Verdict,
)
from tests.engine.rollout_world import Fault
from tests.engine.test_rollout_machine import (
    CLUSTERS,
    ENDINGS,
    PEOPLE,
    SWITCHES,
    RolloutMachine,
)

WALKS = 250
EVENTS = 60
SECONDS = (1, 20, 91, 700, 1000, 7200)


def strategy(rng: Random) -> StrategySpec:
    def stage(name: str, *, guarded: bool) -> StageSpec:
        return StageSpec(
            name,
            max_concurrency=rng.choice([1, 2]),
            soak_seconds=rng.choice([0, 10, 120]),
            approval=rng.choice(list(ApprovalMode)) if guarded else ApprovalMode.NONE,
            quorum=rng.choice([1, 1, 2]),
            approval_ttl_seconds=900,
            deadline_seconds=600,
            on_deadline=rng.choice(list(OnDeadline)),
            analysis=rng.random() < 0.5,
            benchmark=rng.random() < 0.2,
            window=guarded and rng.random() < 0.2,
        )

    stages = (
        stage("test", guarded=False),
        stage("staging", guarded=True),
        stage("production", guarded=True),
    )
    mode = rng.choice([Mode.BLUE_GREEN, Mode.BLUE_GREEN, Mode.RECREATE])
    return StrategySpec(stages, keep_old_for_seconds=rng.choice([0, 300]), mode=mode)


def event(machine: RolloutMachine, rng: Random) -> None:
    """One random event; what keeps a rollout going is likelier than what ends it."""
    looks = rng.randint(0, 5)
    dice = rng.random()
    if dice < 0.25:
        machine.steps(rng.randint(1, 4))
    elif dice < 0.35:
        machine.a_while(rng.choice([5, 10, 30]), rng.randint(1, 3))
    elif dice < 0.52:
        what = rng.choice(SWITCHES)
        machine.trouble_in_the_middle_of_it(what, looks, rng.choice(SECONDS), rng.random() < 0.7)
    elif dice < 0.56:
        machine.time_passes(1, rng.randint(1, 3))
        machine.trouble_in_the_middle_of_it(rng.choice(SWITCHES), 0, 700, rng.random() < 0.7)
    elif dice < 0.66:
        machine.a_process_dies(rng.randint(0, 2), rng.choice(list(Fault)), looks)
    elif dice < 0.76:
        _processes(machine, rng, looks)
    elif dice < 0.95:
        _people_and_clusters(machine, rng, looks)
    elif dice < 0.96:
        _just_approved(machine, rng)
    elif len(machine.rows.journal) >= machine.patience:
        _endings(machine, rng, looks)


def _processes(machine: RolloutMachine, rng: Random, looks: int) -> None:
    if machine.kept is not None and rng.random() < 0.5:
        machine.the_stalled_process_goes_on()
    elif machine.rows.late and rng.random() < 0.7:
        machine.a_late_request_arrives()
    elif rng.random() < 0.5:
        machine.a_process_stalls_with_its_decision()
    else:
        machine.a_step_twice(looks)


def _people_and_clusters(machine: RolloutMachine, rng: Random, looks: int) -> None:
    verdict = rng.choice([None, *Verdict, Verdict.PASSED])
    choices: list[Callable[[], None]] = [
        lambda: machine.everybody_approves(looks),
        lambda: machine.everybody_approves(0),
        lambda: machine.somebody_votes(rng.choice(PEOPLE[1:]), rng.randint(0, 1), 0),
        lambda: machine.somebody_votes(rng.choice(PEOPLE), rng.randint(0, 5), looks),
        lambda: machine.somebody_overrides_a_gate(looks),
        lambda: machine.somebody_loses_or_gets_the_role(rng.choice(PEOPLE[1:3]), looks),
        lambda: machine.somebody_asks_again(looks),
        lambda: machine.somebody_retries(looks),
        lambda: machine.somebody_retries(looks),
        lambda: machine.somebody_stops_the_line("pause", looks, rng.randint(0, 1)),
        lambda: machine.somebody_stops_the_line("hold", looks, 1),
        lambda: machine.somebody_resumes(looks),
        lambda: machine.everything_works_again(looks),
        lambda: machine.everything_works_again(looks),
        lambda: machine.time_passes(rng.choice(SECONDS), looks),
        lambda: machine.the_analysis_says(verdict, rng.choice([1.0, 1.0, 300.0]), looks),
        lambda: machine.capacity_becomes_known(rng.choice(CLUSTERS), rng.random() < 0.7),
        lambda: machine.traffic_changes(rng.randint(0, 3), rng.randint(0, 1)),
    ]
    rng.choice(choices)()


def _just_approved(machine: RolloutMachine, rng: Random) -> None:
    """Something happens between the last vote and its use."""
    machine.somebody_stops_the_line("pause", 1, 0)
    machine.everybody_approves(2)
    choices: list[Callable[[], None]] = [
        lambda: _lose_roles(machine),
        lambda: machine.time_passes(1000, 2),
        lambda: machine.somebody_ends_it("edit the plan", 2),
        lambda: machine.somebody_ends_it("abort", 2),
    ]
    rng.choice(choices)()


def _lose_roles(machine: RolloutMachine) -> None:
    for person in PEOPLE[1:3]:
        machine.somebody_loses_or_gets_the_role(person, 1)


def _endings(machine: RolloutMachine, rng: Random, looks: int) -> None:
    if rng.random() < 0.5:
        machine.time_passes(1, rng.randint(1, 3))
    if rng.random() < 0.4:
        machine.a_process_dies(0, Fault.STALLED, 0)
    if rng.random() < 0.2:
        _just_approved(machine, rng)
    elif rng.random() < 0.3:
        machine.a_cluster_leaves_the_portal(rng.randint(0, 3), looks)
    else:
        machine.somebody_ends_it(rng.choice(ENDINGS), looks)


@pytest.fixture(scope="module")
def taken() -> Counter[tuple[str, str, str]]:
    """Every move that was taken, how often, over all walks."""
    found: Counter[tuple[str, str, str]] = Counter()
    for seed in range(WALKS):
        rng = Random(seed)
        machine = RolloutMachine()
        machine.start(
            plan=strategy(rng),
            old=rng.random() < 0.8,
            empty=rng.random() < 0.2,
            patience=rng.choice([0, 0, 10, 30, 60]),
            judged=rng.choice([None, Verdict.PASSED, Verdict.PASSED]),
            rounds=rng.choice([0, 0, 1, 2, 5, 10]),
        )
        if seed % 10 == 0:
            _endings(machine, rng, looks=1)
        for _ in range(EVENTS):
            event(machine, rng)
            machine.nothing_forbidden_has_happened()
        machine.teardown()
        found.update((kind, source, to) for kind, _, source, to in machine.rows.journal)
    return found


@pytest.mark.parametrize(
    ("kind", "table", "share"),
    [
        ("rollout", moves.ROLLOUT_MOVES, 0.7),
        ("stage", moves.STAGE_MOVES, 0.85),
        ("target", moves.TARGET_MOVES, 0.65),
        ("gate", moves.GATE_MOVES, 0.5),
        ("approval", moves.APPROVAL_MOVES, 0.6),
    ],
)
def test_the_walks_break_nothing_and_take_nearly_every_move(
    taken: Counter[tuple[str, str, str]], kind: str, table: moves.Moves, share: float
) -> None:
    missing = sorted((source, to) for source, to in table if not taken[kind, source, to])
    assert len(missing) <= (1 - share) * len(table), f"never taken: {missing}"
