"""What a rollout is made of, as plain values.

The engine reads one `Snapshot` (rows and last observations, loaded in one go) and answers with
actions (actions.py). No Django, no clock, no I/O. Unknown is None, never 0. A state's value is
the API's word; labels and tones are in rollouts/states.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from workspaces.engine.types import Requirement

STALE_AFTER_SECONDS = 90.0  # an older observation is no data


class RolloutState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"  # a gate, a soak or the kept old revision; the cause is in waiting_for
    PAUSED = "paused"
    FAILED = "failed"  # a person chooses: retry, abort or roll back
    ROLLING_BACK = "rolling_back"
    SUCCEEDED = "succeeded"
    ABORTED = "aborted"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    ROLLED_BACK_PARTIALLY = "rolled_back_partially"
    ROLLBACK_BLOCKED = "rollback_blocked"
    ABORTED_OUTSIDE = "aborted_outside"


class StageState(StrEnum):
    PENDING = "pending"
    WAITING = "waiting"  # for its gates: before the start, or (started_at set) after the soak
    RUNNING = "running"
    SOAKING = "soaking"
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"


class TargetState(StrEnum):
    QUEUED = "queued"
    CHECKING = "checking"
    APPLYING = "applying"
    STARTING = "starting"
    SWITCHING = "switching"
    CLUSTER_AWAY = "cluster_away"
    CONFLICT = "conflict"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    SKIPPED = "skipped"


class TargetPhase(StrEnum):
    INTRODUCE = "introduce"  # the new one comes up beside the old one
    SWITCH = "switch"  # our Service moves, or has moved, to the new one
    DRAIN = "drain"  # the stage has passed; the old one finishes its requests
    RETIRE = "retire"  # the old one is being deleted, or is gone


class GateKind(StrEnum):
    WINDOW = "window"
    APPROVAL_BEFORE = "approval_before"
    SOAK = "soak"
    ANALYSIS = "analysis"
    BENCHMARK = "benchmark"
    APPROVAL_AFTER = "approval_after"

    @property
    def words(self) -> str:
        return self.value.partition("_")[0]


class GateState(StrEnum):
    NOT_REACHED = "not_reached"
    HOLDING = "holding"
    NO_DATA = "no_data"
    INCONCLUSIVE = "inconclusive"
    PASSED = "passed"
    FAILED = "failed"
    OVERRIDDEN = "overridden"


class ApprovalState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"  # the plan changed under it
    WITHDRAWN = "withdrawn"


class ApprovalMode(StrEnum):
    NONE = "none"
    BEFORE = "before"
    AFTER = "after"


class OnDeadline(StrEnum):
    """What a failure in a stage leads to: stop and ask, or roll back unasked."""

    PAUSE = "pause"
    ROLLBACK = "rollback"


class Mode(StrEnum):
    BLUE_GREEN = "blue_green"  # new beside old: needs room for both
    SHIFT = "shift"  # new +1, old -1: reduced capacity
    RECREATE = "recreate"  # old away first: downtime


class Serving(StrEnum):
    """What our Service was last known to select on a target."""

    NOTHING = "nothing"
    OLD = "old"
    NEW = "new"
    RESTORED = "restored"
    UNKNOWN = "unknown"  # a switch was begun and its answer never recorded


class Decision(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


class Verdict(StrEnum):
    """What the judge of an analysis, benchmark or window gate says."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class ProblemKind(StrEnum):
    TEMPORARY = "temporary"  # try again at `not_before`
    CONFLICT = "conflict"  # another field manager owns a field we set
    REFUSED = "refused"  # the cluster, the pre-flight or the smoke test said no


class RollbackReadiness(StrEnum):
    WARM = "warm"  # seconds: the old one serves as soon as the Service is back
    CAPACITY_CLAIMED = "capacity_claimed"  # tens of minutes, on nodes that are claimed
    NONE = "none"


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage of a strategy. Seconds throughout; an empty selector takes every cluster."""

    name: str
    selector: tuple[Requirement, ...] = ()
    max_concurrency: int = 1
    soak_seconds: int = 0
    approval: ApprovalMode = ApprovalMode.NONE
    approver_roles: tuple[str, ...] = ("approver",)
    quorum: int = 1
    approval_ttl_seconds: int = 86_400
    deadline_seconds: int = 3_600  # per target, from its check to its switch
    on_deadline: OnDeadline = OnDeadline.PAUSE
    analysis: bool = False
    benchmark: bool = False
    window: bool = False


@dataclass(frozen=True, slots=True)
class StrategySpec:
    stages: tuple[StageSpec, ...]
    keep_old_for_seconds: int = 600  # after the stage has passed
    mode: Mode = Mode.BLUE_GREEN


@dataclass(frozen=True, slots=True)
class WorkspaceView:
    """The last observation of one revision on one cluster.

    `state` is a word of the workspace states; `retired` means gone: no child, pod or node claim.
    `uid_matches`, `generation_matches` and `fields_match` are None while nobody could look.
    """

    id: str
    state: str
    observed_age_seconds: float | None = None  # None: never observed
    ready_replicas: int | None = None
    replicas: int | None = None
    uid_matches: bool | None = None  # it is the object that our apply made
    generation_matches: bool | None = None  # observedGeneration == generation
    fields_match: bool | None = None  # owned fields as applied, on every child too
    deleting: bool = False
    since: datetime | None = None  # when `state` began
    running_requests: float | None = None
    waiting_requests: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class ClusterView:
    uid: str
    name: str
    state: str  # a word of the cluster states
    frozen: str = ""  # why nothing new may start here (cordon, freeze window); empty: it may


@dataclass(frozen=True, slots=True)
class Problem:
    kind: ProblemKind
    message: str


@dataclass(frozen=True, slots=True)
class TargetView:
    """One cluster in a stage. `mutated` is written before the first request that changes it.

    `in_flight_until`: a request of an earlier, lost holder may still arrive until then; what was
    observed before says nothing about what an undo will find.
    """

    id: str
    cluster: ClusterView
    state: TargetState = TargetState.QUEUED
    phase: TargetPhase = TargetPhase.INTRODUCE
    slot: int | None = None
    attempt: int = 1
    not_before: datetime | None = None
    deadline: datetime | None = None
    in_flight_until: datetime | None = None
    checked: bool = False  # the pre-flight of this attempt said yes
    mutated: bool = False
    applied: bool = False  # the cluster answered the apply of this attempt
    verified: bool = False  # the smoke test of this attempt got a real completion
    serving: Serving = Serving.NOTHING
    old_retired: bool = False  # the delete of the old one was begun
    retry: bool = False  # a person asked for another attempt
    undo_blocked: bool = False  # the rollback of this target gave up
    restore_verified: bool = False
    capacity: bool | None = None  # R2: its own plan found (and claimed) room; None: unknown
    problem: Problem | None = None
    new: WorkspaceView | None = None  # None: never applied
    old: WorkspaceView | None = None  # None: there was none before
    restored: WorkspaceView | None = None  # R2's new object with the old spec


@dataclass(frozen=True, slots=True)
class VoteView:
    """`had_role` as it was when the vote was given; `has_role` and `active` as they are now."""

    voter: str
    decision: Decision
    digest: str
    given_at: datetime
    had_role: bool
    has_role: bool
    active: bool = True


@dataclass(frozen=True, slots=True)
class ApprovalView:
    id: str
    state: ApprovalState
    digest: str
    requester: str
    quorum: int
    roles: tuple[str, ...]
    expires_at: datetime
    votes: tuple[VoteView, ...] = ()


@dataclass(frozen=True, slots=True)
class GateView:
    """`verdict` and its age come from the judge of the gate; `approval` is the newest request."""

    id: str
    kind: GateKind
    state: GateState = GateState.NOT_REACHED
    verdict: Verdict | None = None
    verdict_age_seconds: float | None = None
    message: str = ""  # "needs about 1,400 more requests, 12 minutes at the present rate"
    until: datetime | None = None  # window: when it opens, if that is known
    retry: bool = False
    approval: ApprovalView | None = None


@dataclass(frozen=True, slots=True)
class StageView:
    id: str
    index: int
    spec: StageSpec
    state: StageState = StageState.PENDING
    gates: tuple[GateView, ...] = ()
    targets: tuple[TargetView, ...] = ()
    started_at: datetime | None = None  # when it opened: its gates before the start had passed
    soak_started_at: datetime | None = None
    passed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RolloutView:
    """`digest` is what was approved; `current_digest` is computed from the inputs as they are."""

    id: str
    state: RolloutState
    digest: str
    current_digest: str
    plan_digest: str
    fence: int  # the lease's token; every write compares it
    requester: str
    pause: bool = False
    abort: bool = False
    rollback: bool = False
    retire_now: bool = False  # a person gives up the kept old revision
    held: str = ""  # why the deployment is on hold; empty: it is not
    ended_outside: str = ""  # who ended the run behind our back (the hub engine)
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    rollout: RolloutView
    strategy: StrategySpec
    stages: tuple[StageView, ...]
