"""The rollout engine under everything that can go wrong, in any order.

Steps are doubled, lost, stalled and late; clusters go away, never become ready, refuse; people
vote, pause, abort, roll back; data stops coming; time jumps. After every step the invariants of
rollout_watch hold, and once the faults stop every rollout comes to an end or to a person.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rollouts.engine import actions as a
from rollouts.engine import look
from rollouts.engine.steps import next_actions
from rollouts.engine.types import (
    ApprovalMode,
    ApprovalState,
    Decision,
    Mode,
    OnDeadline,
    StageSpec,
    StrategySpec,
    TargetState,
    Verdict,
)
from rollouts.engine.waiting import WaitKind
from tests.engine.rollout_executor import Play, override_gates, wishes
from tests.engine.rollout_watch import Watch
from tests.engine.rollout_world import DIGEST, Fault, Late, Rows, Site

PEOPLE = ("engineer", "approver", "second", "stranger")
ROLES = {"engineer": {"approver"}, "approver": {"approver"}, "second": {"approver"}}
CLUSTERS = ("t1", "s1", "p1", "p2")
SWITCHES = ("reachable", "healthy", "completes", "admits", "conflicted", "observed", "measured")
ENDINGS = ("abort", "rollback", "rollback", "retire now", "edit the plan", "the hub ends it")
SECONDS = st.sampled_from([1, 20, 91, 700, 1000, 7200])
LOOKS = st.integers(0, 5)  # how often the portal looks right after something happened
FOR_PEOPLE = (
    WaitKind.NOTHING,
    WaitKind.APPROVAL,
    WaitKind.APPROVAL_EXPIRED,
    WaitKind.ANALYSIS,
    WaitKind.BENCHMARK,
    WaitKind.WINDOW,
    WaitKind.PAUSED,
    WaitKind.HELD,
    WaitKind.DECISION,
)


@st.composite
def strategies(draw: st.DrawFn) -> StrategySpec:
    def stage(name: str) -> StageSpec:
        return StageSpec(
            name,
            max_concurrency=draw(st.integers(1, 2)),
            soak_seconds=draw(st.sampled_from([0, 10, 120])),
            approval=draw(st.sampled_from(list(ApprovalMode))),
            quorum=draw(st.sampled_from([1, 1, 2])),
            approval_ttl_seconds=900,
            deadline_seconds=600,
            on_deadline=draw(st.sampled_from(list(OnDeadline))),
            analysis=draw(st.booleans()),
            benchmark=draw(st.booleans()),
            window=draw(st.sampled_from([False, False, True])),
        )

    first = replace(stage("test"), approval=ApprovalMode.NONE, window=False)
    return StrategySpec(
        (first, stage("staging"), stage("production")),
        keep_old_for_seconds=draw(st.sampled_from([0, 300])),
        mode=draw(st.sampled_from([Mode.BLUE_GREEN, Mode.BLUE_GREEN, Mode.RECREATE])),
    )


class RolloutMachine(RuleBasedStateMachine):
    play: Play

    @initialize(
        plan=strategies(),
        old=st.sampled_from([True, True, False]),
        empty=st.sampled_from([False, False, True]),
        patience=st.sampled_from([0, 20, 60, 100]),
        judged=st.sampled_from([None, Verdict.PASSED, Verdict.PASSED]),
        rounds=st.integers(0, 12),
    )
    def start(
        self,
        plan: StrategySpec,
        old: bool,
        empty: bool,
        patience: int,
        judged: Verdict | None,
        rounds: int,
    ) -> None:
        members = {
            "test": ["t1"],
            "staging": [] if empty else ["s1"],
            "production": ["p1", "p2", "s1"] if empty else ["p1", "p2"],
        }
        self.rows = Rows(plan, members, old=old)
        self.rows.roles = {person: set(roles) for person, roles in ROLES.items()}
        self.play = Play(self.rows)
        self.watch = Watch(self.rows)
        self.kept: tuple[list[a.Action], int] | None = None
        self.patience = patience  # moves before anybody ends it
        self._judge(judged, 1.0)
        for _ in range(rounds):  # a good start, so that trouble also comes late
            self.everybody_approves(looks=0)
            self.a_while(10, 1)

    # One look, one decision, one action: the loop that every rule below shares.

    def decide(self) -> list[a.Action]:
        self.rows.observe()
        snapshot = self.rows.snapshot()
        actions = next_actions(snapshot, self.rows.now)
        again = next_actions(snapshot, self.rows.now)
        assert actions == again, "the same rows gave another answer"
        self.watch.decision(snapshot, actions)
        return actions

    def act(self, action: a.Action, fence: int, fault: Fault | None = None) -> None:
        opened = {pk for pk, stage in self.rows.stages.items() if stage.started_at}
        self.play.executor.perform(action, fence, fault)
        for pk, stage in self.rows.stages.items():
            if stage.started_at and pk not in opened:
                self.watch.stage_opens(pk)
        self.watch.state_of_the_world()

    def take_over(self) -> None:
        """Another process goes on while an earlier one still holds a decision."""
        if self.kept is not None:
            self.rows.steal_lease()

    def drive(self, looks: int) -> bool:
        """True when it came to rest."""
        for _ in range(looks):
            actions = self.decide()
            if isinstance(actions[0], a.Wait):
                return True
            for action in actions:
                self.act(action, self.rows.rollout.fence)
        return False

    @rule(looks=st.integers(1, 8))
    def steps(self, looks: int) -> None:
        self.take_over()
        self.drive(looks)

    @rule(seconds=st.sampled_from([5, 10, 30]), times=st.integers(1, 5))
    def a_while(self, seconds: int, times: int) -> None:
        self.take_over()
        for _ in range(times):
            self.rows.fleet.advance(seconds)
            self.drive(12)

    @rule(which=st.integers(0, 2), fault=st.sampled_from(list(Fault)), looks=LOOKS)
    def a_process_dies(self, which: int, fault: Fault, looks: int) -> None:
        self.take_over()
        actions = self.decide()
        effects = [action for action in actions if isinstance(action, a.Effect)] or actions
        victim = effects[min(which, len(effects) - 1)]
        for action in actions[: actions.index(victim)]:
            self.act(action, self.rows.rollout.fence)
        self.act(victim, self.rows.rollout.fence, fault)
        self.drive(looks)

    @rule(looks=LOOKS)
    def a_step_twice(self, looks: int) -> None:
        self.take_over()
        actions = self.decide()
        for action in actions + actions:
            self.act(action, self.rows.rollout.fence)
        self.drive(looks)

    @rule()
    def a_process_stalls_with_its_decision(self) -> None:
        self.take_over()
        self.kept = (self.decide(), self.rows.rollout.fence)

    @precondition(lambda self: self.kept is not None)
    @rule()
    def the_stalled_process_goes_on(self) -> None:
        assert self.kept is not None
        actions, fence = self.kept
        self.kept = None
        stale = fence != self.rows.rollout.fence
        before = deepcopy((self.rows.targets, self.rows.stages, self.rows.fleet.log))
        for action in actions:
            self.act(action, fence)
        after = (self.rows.targets, self.rows.stages, self.rows.fleet.log)
        assert not stale or before == after, "I11: a holder of an expired lease changed something"

    @precondition(lambda self: bool(self.rows.late))
    @rule()
    def a_late_request_arrives(self) -> None:
        late: Late = self.rows.late.pop(0)
        if self.rows.now < late.until:
            late.send()

    def site(self, index: int) -> Site:
        """A cluster, those that are in the middle of something first."""
        busy = look.AT_WORK | {TargetState.ROLLING_BACK, TargetState.CLUSTER_AWAY}
        targets = sorted(self.rows.targets.values(), key=lambda target: target.state not in busy)
        return self.rows.fleet.sites[targets[index].id]

    @rule(index=st.sampled_from([0, 0, 1, 2, 3]), what=st.sampled_from(SWITCHES), looks=LOOKS)
    def a_cluster_changes(self, index: int, what: str, looks: int) -> None:
        site = self.site(index)
        setattr(site, what, not getattr(site, what))
        self.drive(looks)

    @rule(what=st.sampled_from(SWITCHES), looks=LOOKS, seconds=SECONDS, heals=st.booleans())
    def trouble_in_the_middle_of_it(self, what: str, looks: int, seconds: int, heals: bool) -> None:
        """The portal works up to some point, and there a cluster fails it, for a while."""
        self.take_over()
        self.drive(looks)
        site = self.site(0)
        setattr(site, what, what == "conflicted")
        self.rows.fleet.advance(1)
        self.drive(6)
        self.rows.fleet.advance(seconds)
        self.drive(6)
        if heals:
            setattr(site, what, what != "conflicted")
            self.drive(looks)

    @rule(index=st.integers(0, 3), busy=st.integers(0, 2))
    def traffic_changes(self, index: int, busy: int) -> None:
        for found in self.site(index).objects.values():
            found.busy = busy

    @rule(looks=LOOKS)
    def everything_works_again(self, looks: int) -> None:
        for site in self.rows.fleet.sites.values():
            site.reachable = site.healthy = site.completes = site.admits = True
            site.observed = site.measured = True
            site.conflicted = False
        self.drive(looks)

    @rule(seconds=SECONDS, looks=LOOKS)
    def time_passes(self, seconds: int, looks: int) -> None:
        self.rows.fleet.advance(seconds)
        self.drive(looks)

    @rule(voter=st.sampled_from(PEOPLE), approve=st.integers(0, 5), looks=LOOKS)
    def somebody_votes(self, voter: str, approve: int, looks: int) -> None:
        self._vote(voter, approve > 0)
        self.drive(looks)

    @rule(looks=LOOKS)
    def everybody_approves(self, looks: int) -> None:
        for person in PEOPLE:
            self._vote(person, True)
        self.drive(looks)

    def _vote(self, person: str, approve: bool) -> None:
        if any(x.state is ApprovalState.WAITING for x in self.rows.approvals.values()):
            self.play.vote(person, Decision.APPROVE if approve else Decision.REJECT)

    @rule(person=st.sampled_from(PEOPLE[1:3]), looks=LOOKS)
    def somebody_loses_or_gets_the_role(self, person: str, looks: int) -> None:
        self.rows.roles[person] = set() if self.rows.roles[person] else {"approver"}
        self.drive(looks)

    @rule(looks=LOOKS)
    def somebody_asks_again(self, looks: int) -> None:
        self.rows.ask_again()
        self.drive(looks)

    @rule(what=st.sampled_from(["pause", "hold"]), looks=LOOKS, resumes=st.sampled_from([1, 1, 0]))
    def somebody_stops_the_line(self, what: str, looks: int, resumes: int) -> None:
        wishes(self.rows, what)
        self.drive(looks)
        if resumes:
            wishes(self.rows, "resume")
            self.drive(looks)

    @rule(looks=LOOKS)
    def somebody_resumes(self, looks: int) -> None:
        wishes(self.rows, "resume")
        self.drive(looks)

    @rule(looks=LOOKS)
    def somebody_retries(self, looks: int) -> None:
        wishes(self.rows, "retry")
        self.drive(looks)

    @precondition(lambda self: len(self.rows.journal) >= self.patience)
    @rule(looks=LOOKS)
    def somebody_overrides_a_gate(self, looks: int) -> None:
        override_gates(self.rows)
        self.drive(looks)

    @precondition(lambda self: len(self.rows.journal) >= self.patience)
    @rule(what=st.sampled_from(ENDINGS), looks=LOOKS)
    def somebody_ends_it(self, what: str, looks: int) -> None:
        if what == "the hub ends it":
            self.rows.rollout = replace(self.rows.rollout, ended_outside="another run")
        else:
            wishes(self.rows, what)
        self.drive(looks)

    @precondition(lambda self: len(self.rows.journal) >= self.patience)
    @rule(index=st.integers(0, 3), looks=LOOKS)
    def a_cluster_leaves_the_portal(self, index: int, looks: int) -> None:
        name = self.site(index).name
        target = self.rows.targets[name]
        cluster = replace(target.cluster, state="retired")
        self.rows.targets[name] = replace(target, cluster=cluster)
        self.drive(looks)

    @rule(verdict=st.sampled_from([None, *Verdict]), age=st.sampled_from([1.0, 300.0]), looks=LOOKS)
    def the_analysis_says(self, verdict: Verdict | None, age: float, looks: int) -> None:
        self._judge(verdict, age)
        self.drive(looks)

    def _judge(self, verdict: Verdict | None, age: float) -> None:
        for pk, gate in self.rows.gates.items():
            if pk.endswith(("/analysis", "/benchmark", "/window")):
                self.rows.gates[pk] = replace(gate, verdict=verdict, verdict_age_seconds=age)

    @rule(cluster=st.sampled_from(CLUSTERS), room=st.sampled_from([True, True, False, None]))
    def capacity_becomes_known(self, cluster: str, room: bool | None) -> None:
        self.rows.targets[cluster] = replace(self.rows.targets[cluster], capacity=room)

    @invariant()
    def nothing_forbidden_has_happened(self) -> None:
        if hasattr(self, "watch"):
            self.watch.state_of_the_world()
            assert self.rows.rollout.digest == DIGEST

    def teardown(self) -> None:
        """I12: when the faults stop, it comes to an end or to a person, without manual repair."""
        if not hasattr(self, "watch"):
            return
        self.everything_works_again(looks=0)
        for site in self.rows.fleet.sites.values():
            for found in site.objects.values():
                found.busy = 0
        self.kept = None
        for _ in range(300):
            self.rows.fleet.advance(30)
            self.rows.late = [late for late in self.rows.late if late.until > self.rows.now]
            assert self.drive(60), "it never came to rest"
            waits = self.play.waits()
            if waits.kind in FOR_PEOPLE:
                return
        state = self.rows.rollout.state
        raise AssertionError(f"{state.value} for ever: {waits}")


RolloutMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestRolloutMachine = RolloutMachine.TestCase
