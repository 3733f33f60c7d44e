"""What the engine may ask the executor to do.

Every action names the state it was decided in (`expect`): the executor writes `UPDATE ... WHERE
state = expect AND fence = the snapshot's`, and does nothing when no row matches. An effect (a
request to a cluster) first writes its intent that way, then calls, then records the answer the
same way. One call of the engine yields at most one action per row, so their order is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rollouts.engine.types import (
    ApprovalState,
    GateState,
    RolloutState,
    Serving,
    StageState,
    TargetPhase,
    TargetState,
)


@dataclass(frozen=True, slots=True)
class MoveRollout:
    """`hold`: no automatic promotion of this deployment until a person lifts it.
    `quarantine`: the revision may not be planned again until a person lifts it."""

    rollout: str
    expect: RolloutState
    to: RolloutState
    reason: str
    hold: bool = False
    quarantine: bool = False


@dataclass(frozen=True, slots=True)
class MoveStage:
    """Also writes the time into started_at (first RUNNING), soak_started_at or passed_at.
    `approval`: must still be approved by `votes.tally` inside the transaction that writes this."""

    stage: str
    expect: StageState
    to: StageState
    reason: str
    approval: str | None = None


@dataclass(frozen=True, slots=True)
class MoveTarget:
    """Clears `retry` and `not_before`, and `problem` unless `to` is failed or conflict.

    `phase` and `deadline` are written when given, `undo_blocked` always. `reset` starts attempt
    `attempt` + 1: checked, applied, verified and deadline are cleared; slot, mutated and
    observations stay.
    """

    target: str
    expect: TargetState
    to: TargetState
    attempt: int
    reason: str = ""
    phase: TargetPhase | None = None
    deadline: datetime | None = None
    reset: bool = False
    undo_blocked: bool = False


@dataclass(frozen=True, slots=True)
class MoveGate:
    """Clears `retry`."""

    gate: str
    expect: GateState
    to: GateState
    reason: str


@dataclass(frozen=True, slots=True)
class OpenApproval:
    """Insert one request for a decision; refused while the gate has one that is not ended."""

    gate: str
    expect: GateState
    digest: str
    requester: str
    quorum: int
    roles: tuple[str, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CloseApproval:
    """Move an approval; back to WAITING when a counted voter lost the role before it was used."""

    approval: str
    expect: ApprovalState
    to: ApprovalState
    reason: str


@dataclass(frozen=True, slots=True)
class ClaimSlot:
    """Take slot `index` of the stage: unique per (stage, index), index < max_concurrency."""

    target: str
    expect: TargetState
    stage: str
    index: int


@dataclass(frozen=True, slots=True)
class ReleaseSlot:
    target: str
    expect: TargetState
    index: int


@dataclass(frozen=True, slots=True)
class Effect:
    """A request to one cluster, valid for one attempt in one state.

    Those that change the cluster carry the rollout's digest and fence with them, and their intent
    sets `mutated` and `in_flight_until` (now + the lease) before the call. A temporary failure is
    recorded as a problem and a `not_before`; an answer that takes time sets `not_before` only.
    """

    target: str
    expect: TargetState
    attempt: int


@dataclass(frozen=True, slots=True)
class Preflight(Effect):
    """Changes nothing. Records `checked`, or a refused problem."""


@dataclass(frozen=True, slots=True)
class Apply(Effect):
    """Namespace, secret, ConfigMap and the new object. Records `applied` and the new UID."""

    digest: str


@dataclass(frozen=True, slots=True)
class Smoke(Effect):
    """One real completion, asked of the new or the restored one. Records `verified` or
    `restore_verified`."""

    of: Serving


@dataclass(frozen=True, slots=True)
class SwitchService(Effect):
    """Our Service to the new one. The intent sets `serving` unknown, the answer sets new."""

    digest: str


@dataclass(frozen=True, slots=True)
class SwitchBack(Effect):
    """Our Service to the old or the restored one; always written, so that its version moves on."""

    to: Serving


@dataclass(frozen=True, slots=True)
class DrainOld(Effect):
    """Sets the phase to drain: the old one's running and waiting requests are observed from now."""


@dataclass(frozen=True, slots=True)
class RetireOld(Effect):
    """Delete the old one by UID. The intent sets `old_retired`, and the phase to retire unless
    the new one is still to be introduced (recreate). The set first, its ConfigMap last."""


@dataclass(frozen=True, slots=True)
class DeleteNew(Effect):
    """Delete the new one by UID (and the Service, where nothing came before it)."""


@dataclass(frozen=True, slots=True)
class DeleteRestored(Effect):
    """Delete what R2 put up and could not bring to life. Leaves a refused `problem` as it is."""


@dataclass(frozen=True, slots=True)
class Reprovision(Effect):
    """R2: a new object name with the old one's spec, byte for byte but for the name."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until` (None: before something is observed or a person acts)."""

    until: datetime | None
    why: str


Action = (
    MoveRollout
    | MoveStage
    | MoveTarget
    | MoveGate
    | OpenApproval
    | CloseApproval
    | ClaimSlot
    | ReleaseSlot
    | Effect
    | Wait
)
