"""The allowed moves of every machine, as data.

They live in the engine so that its tests can refuse any other move without Django;
rollouts/states.py adds the words and tones. A move that is not here cannot be stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from rollouts.engine.types import (
    ApprovalState,
    GateState,
    RolloutState,
    StageState,
    TargetState,
)

Moves = frozenset[tuple[str, str]]


def _moves(*rows: tuple[Iterable[StrEnum], Iterable[StrEnum]]) -> Moves:
    return frozenset(
        (str(source), str(to))
        for sources, targets in rows
        for source in sources
        for to in targets
        if source != to
    )


R = RolloutState
_GOING = (R.PENDING, R.RUNNING, R.WAITING, R.PAUSED)
ROLLOUT_ACTIVE = frozenset({*_GOING, R.FAILED, R.ROLLING_BACK})
ROLLOUT_TERMINAL = frozenset(R) - ROLLOUT_ACTIVE
ROLLOUT_MOVES = _moves(
    ((R.PENDING,), (R.RUNNING,)),
    ((R.RUNNING,), (R.WAITING, R.SUCCEEDED)),
    ((R.WAITING,), (R.RUNNING, R.SUCCEEDED)),
    ((R.PAUSED, R.FAILED), (R.RUNNING,)),
    ((R.PENDING, R.RUNNING, R.WAITING), (R.PAUSED,)),
    (_GOING, (R.FAILED,)),
    ((*_GOING, R.FAILED), (R.ROLLING_BACK, R.ABORTED, R.ABORTED_OUTSIDE)),
    ((R.RUNNING, R.WAITING, R.PAUSED, R.FAILED), (R.REJECTED,)),
    (
        (R.ROLLING_BACK,),
        (R.ROLLED_BACK, R.ROLLED_BACK_PARTIALLY, R.ROLLBACK_BLOCKED, R.ABORTED_OUTSIDE),
    ),
)

S = StageState
_OPENED = (S.WAITING, S.RUNNING, S.SOAKING, S.FAILED)
STAGE_MOVES = _moves(
    ((S.PENDING,), (S.WAITING, S.RUNNING, S.SKIPPED, S.ABORTED)),
    ((S.WAITING,), (S.RUNNING, S.PASSED)),
    ((S.RUNNING,), (S.SOAKING, S.WAITING, S.PASSED)),
    ((S.SOAKING,), (S.WAITING, S.PASSED)),
    ((S.FAILED,), (S.RUNNING, S.SOAKING, S.WAITING)),
    ((*_OPENED, S.PASSED), (S.FAILED, S.ROLLED_BACK)),
    (_OPENED, (S.ABORTED,)),
)

T = TargetState
_AT_WORK = (T.CHECKING, T.APPLYING, T.STARTING, T.SWITCHING)
_STOPPED = (T.CLUSTER_AWAY, T.CONFLICT, T.FAILED)
TARGET_MOVES = _moves(
    ((T.QUEUED,), (T.CHECKING, T.SKIPPED, T.ROLLING_BACK)),
    ((T.CHECKING,), (T.APPLYING,)),
    ((T.APPLYING,), (T.STARTING,)),
    ((T.STARTING,), (T.SWITCHING,)),
    ((T.SWITCHING,), (T.SUCCEEDED,)),
    (_AT_WORK, (T.CLUSTER_AWAY, T.FAILED, T.SKIPPED, T.ROLLING_BACK)),
    ((T.APPLYING, T.SWITCHING), (T.CONFLICT,)),
    ((T.CLUSTER_AWAY,), _AT_WORK),
    ((T.CONFLICT, T.FAILED), (T.QUEUED,)),
    (_STOPPED, (T.SKIPPED, T.ROLLING_BACK)),
    ((T.SUCCEEDED,), (T.ROLLING_BACK,)),
    ((T.ROLLING_BACK,), (T.ROLLED_BACK, T.FAILED, T.SKIPPED)),
)

G = GateState
_LIVE = (G.NOT_REACHED, G.HOLDING, G.NO_DATA, G.INCONCLUSIVE)
GATE_MOVES = _moves(
    (_LIVE, (G.HOLDING, G.NO_DATA, G.INCONCLUSIVE, G.PASSED, G.FAILED)),
    ((G.HOLDING, G.NO_DATA, G.INCONCLUSIVE, G.FAILED), (G.OVERRIDDEN,)),
    ((G.PASSED, G.FAILED), (G.HOLDING,)),
)

A = ApprovalState
_ENDED = (A.EXPIRED, A.VOID, A.WITHDRAWN)
APPROVAL_MOVES = _moves(
    ((A.WAITING,), (A.APPROVED, A.REJECTED, *_ENDED)),
    ((A.APPROVED,), (A.WAITING, A.REJECTED, *_ENDED)),
)
