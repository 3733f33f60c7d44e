"""A toy portal and a toy fleet for the rollout engine's tests.

`Rows` is the database: rows change only by compare-and-swap on state, attempt and fence, and by a
move that the tables allow. `Fleet` is the truth on the clusters, with its own request log. The
executor in between can be killed before or after each half of an effect, or stall so that its
request arrives late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from rollouts.engine.stages import gates_for
from rollouts.engine.types import (
    ApprovalState,
    ApprovalView,
    ClusterView,
    GateView,
    RolloutState,
    RolloutView,
    Serving,
    Snapshot,
    StageSpec,
    StageState,
    StageView,
    StrategySpec,
    TargetView,
    WorkspaceView,
)

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
LEASE = timedelta(seconds=30)
DIGEST = "4f2c"
REQUESTER = "engineer"


class Fault(StrEnum):
    """Where the executor dies in the middle of an effect."""

    BEFORE_INTENT = "before intent"
    AFTER_INTENT = "after intent"
    STALLED = "request still on its way"
    AFTER_EFFECT = "before the answer is recorded"


@dataclass
class Obj:
    """One workspace object on a cluster."""

    uid: int
    ready: bool = False
    deleting: bool = False
    completed: bool = False  # it answered a real completion
    since: datetime = START
    busy: int = 0


@dataclass
class Site:
    """One cluster. `healthy`: what is started becomes ready; the rest are faults to switch on."""

    name: str
    stage: str
    reachable: bool = True
    healthy: bool = True
    completes: bool = True
    admits: bool = True
    conflicted: bool = False
    observed: bool = True  # the collector works
    measured: bool = True  # so do the runtime's metrics
    objects: dict[str, Obj] = field(default_factory=dict)
    service: str = ""


@dataclass(frozen=True)
class Request:
    """One accepted mutating request, as the cluster saw it."""

    cluster: str
    verb: str  # create | switch | delete
    role: str
    digest: str


class Answer(StrEnum):
    OK = "ok"
    AWAY = "away"
    REFUSED = "refused"
    CONFLICT = "conflict"


class Fleet:
    def __init__(self) -> None:
        self.sites: dict[str, Site] = {}
        self.log: list[Request] = []
        self.now = START
        self._uid = 0

    def place(self, site: Site, role: str) -> Obj:
        self._uid += 1
        site.objects[role] = Obj(self._uid, since=self.now)
        return site.objects[role]

    def create(self, name: str, role: str, digest: str) -> Answer:
        """An apply: idempotent, and lost (with a 200) on an object that is going."""
        site = self.sites[name]
        if site.conflicted and site.reachable:
            return Answer.CONFLICT
        if site.reachable and role not in site.objects:
            self.place(site, role)
            self.log.append(Request(name, "create", role, digest))
        return Answer.OK if site.reachable else Answer.AWAY

    def switch(self, name: str, role: str, digest: str) -> Answer:
        site = self.sites[name]
        if not site.reachable:
            return Answer.AWAY
        site.service = role
        self.log.append(Request(name, "switch", role, digest))
        return Answer.OK

    def delete(self, name: str, role: str) -> Answer:
        site = self.sites[name]
        if site.reachable and role in site.objects and not site.objects[role].deleting:
            site.objects[role].deleting = True
            self.log.append(Request(name, "delete", role, ""))
        return Answer.OK if site.reachable else Answer.AWAY

    def complete(self, name: str, role: str) -> Answer:
        site = self.sites[name]
        found = site.objects.get(role)
        if not site.reachable:
            return Answer.AWAY
        if found is None or not found.ready or not site.completes:
            return Answer.REFUSED
        found.completed = True
        return Answer.OK

    def advance(self, seconds: float) -> None:
        """Let time pass: objects come up, and those that are going are gone."""
        self.now += timedelta(seconds=seconds)
        for site in self.sites.values():
            for role, found in list(site.objects.items()):
                if found.deleting:
                    del site.objects[role]
                elif found.ready is not site.healthy:
                    found.ready, found.since = site.healthy, self.now


@dataclass
class Late:
    """A request that left a process which has lost its lease. The client drops it at `until`."""

    target: str
    until: datetime
    send: Callable[[], Answer]


class Rows:
    """All rows, the journal of moves, and what the collector last wrote."""

    def __init__(self, strategy: StrategySpec, clusters: dict[str, list[str]], *, old: bool):
        self.strategy = strategy
        self.fleet = Fleet()
        self.journal: list[tuple[str, str, str, str]] = []
        self.late: list[Late] = []
        self.observed_at: dict[tuple[str, str], datetime] = {}
        self.delete_begun: set[tuple[str, str]] = set()
        self.roles: dict[str, set[str]] = {}
        self.slots_seen: set[tuple[str, int]] = set()
        self.rollout = RolloutView("r", RolloutState.PENDING, DIGEST, DIGEST, "plan", 1, REQUESTER)
        self.stages: dict[str, StageView] = {}
        self.gates: dict[str, GateView] = {}
        self.approvals: dict[str, ApprovalView] = {}
        self.approval_gate: dict[str, str] = {}
        self.targets: dict[str, TargetView] = {}
        self.stage_of: dict[str, str] = {}
        for index, spec in enumerate(strategy.stages):
            self._stage(index, spec, clusters.get(spec.name, []), old)
        self.observe()

    def _stage(self, index: int, spec: StageSpec, names: list[str], old: bool) -> None:
        self.stages[spec.name] = StageView(spec.name, index, spec)
        for kind in gates_for(spec):
            gate = GateView(f"{spec.name}/{kind.value}", kind)
            self.gates[gate.id] = gate
        for name in names:
            site = self.fleet.sites[name] = Site(name, spec.name)
            cluster = ClusterView(f"uid-{name}", name, "ready")
            view = WorkspaceView(f"{name}/old", "ready") if old else None
            serving = Serving.OLD if old else Serving.NOTHING
            self.targets[name] = TargetView(name, cluster, old=view, serving=serving)
            self.stage_of[name] = spec.name
            if old:
                found = self.fleet.place(site, "old")
                found.ready = found.completed = True
                site.service = "old"

    @property
    def now(self) -> datetime:
        return self.fleet.now

    def observe(self) -> None:
        """What the collector writes: the truth of every cluster that it can reach."""
        for name, target in self.targets.items():
            site = self.fleet.sites[name]
            if not site.observed or target.cluster.state == "retired":
                continue
            state = "ready" if site.reachable else "unreachable"
            target = replace(target, cluster=replace(target.cluster, state=state))
            if site.reachable:
                target = replace(
                    target,
                    new=self._look(name, "new", target.new),
                    old=self._look(name, "old", target.old),
                    restored=self._look(name, "restored", target.restored),
                )
            self.targets[name] = target

    def _look(self, name: str, role: str, view: WorkspaceView | None) -> WorkspaceView | None:
        if view is None or view.state == "retired":
            return view
        site = self.fleet.sites[name]
        self.observed_at[name, role] = self.now
        found = site.objects.get(role)
        if found is None:
            begun = (name, role) in self.delete_begun
            return replace(view, state="retired" if begun else "applying", deleting=False)
        state = "retiring" if found.deleting else "ready" if found.ready else "loading_weights"
        return replace(
            view,
            state=state,
            deleting=found.deleting,
            uid_matches=True,
            generation_matches=True,
            fields_match=True,
            replicas=1,
            ready_replicas=int(found.ready),
            since=found.since,
            running_requests=float(found.busy) if site.measured else None,
            waiting_requests=0.0 if site.measured else None,
        )

    def snapshot(self) -> Snapshot:
        stages = [
            replace(
                stage,
                gates=tuple(
                    self._gate(g) for g in self.gates.values() if g.id.startswith(f"{name}/")
                ),
                targets=tuple(
                    self._aged(t) for t in self.targets.values() if self.stage_of[t.id] == name
                ),
            )
            for name, stage in self.stages.items()
        ]
        return Snapshot(self.rollout, self.strategy, tuple(stages))

    def _gate(self, gate: GateView) -> GateView:
        newest = [a for a in self.approvals.values() if self.approval_gate[a.id] == gate.id]
        return replace(gate, approval=self.with_roles(newest[-1]) if newest else None)

    def with_roles(self, approval: ApprovalView) -> ApprovalView:
        votes = tuple(
            replace(vote, has_role=self.may(vote.voter, approval)) for vote in approval.votes
        )
        return replace(approval, votes=votes)

    def may(self, person: str, approval: ApprovalView) -> bool:
        return bool(self.roles.get(person, set()) & set(approval.roles))

    def _aged(self, target: TargetView) -> TargetView:
        def aged(role: str, view: WorkspaceView | None) -> WorkspaceView | None:
            at = self.observed_at.get((target.id, role))
            if view is None or at is None:
                return view
            return replace(view, observed_age_seconds=(self.now - at).total_seconds())

        return replace(
            target,
            new=aged("new", target.new),
            old=aged("old", target.old),
            restored=aged("restored", target.restored),
        )

    def steal_lease(self) -> None:
        self.rollout = replace(self.rollout, fence=self.rollout.fence + 1)

    def ask_again(self) -> None:
        """A person asks anew for every approval that ended undecided."""
        ended = (ApprovalState.EXPIRED, ApprovalState.VOID, ApprovalState.WITHDRAWN)
        for gate in self.gates.values():
            found = self._gate(gate).approval
            stage = self.stages[gate.id.split("/")[0]]
            if found and found.state in ended and stage.state is StageState.WAITING:
                self.add_approval(gate.id, replace(found, digest=self.rollout.digest))

    def add_approval(self, gate: str, like: ApprovalView) -> None:
        spec = self.stages[gate.split("/")[0]].spec
        pk = f"a{len(self.approvals) + 1}"
        expires = self.now + timedelta(seconds=spec.approval_ttl_seconds)
        waiting = ApprovalState.WAITING
        self.approvals[pk] = replace(like, id=pk, state=waiting, votes=(), expires_at=expires)
        self.approval_gate[pk] = gate
