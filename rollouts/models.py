"""Plans in motion: rollouts with their stages, gates and targets, and the approvals people give.

Columns mirror rollouts/engine/types.py; what must never happen is a constraint here.
"""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from clusters.models import Cluster
from fleetportal.accounts.models import Team
from fleetportal.pulse.models import Leased
from rollouts.engine import types as engine
from rollouts.querysets import ApprovalQuerySet, RolloutQuerySet
from rollouts.states import APPROVAL, GATE, ROLLOUT, STAGE, TARGET
from workspaces.models import Deployment, Plan, Revision, Workspace


def _words(field: str, enum: type[StrEnum], name: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(**{f"{field}__in": [e.value for e in enum]}), name=name
    )


class Strategy(models.Model):
    """How a rollout goes through a fleet: stages, selectors, gates (engine.types.StrategySpec)."""

    slug = models.SlugField(max_length=40, primary_key=True)
    name = models.CharField(max_length=80)
    description = models.TextField(blank=True)
    spec = models.JSONField()

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class Rollout(Leased):
    """Bringing a revision to the clusters of its plan. One active rollout for each deployment."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="rollouts")
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="rollouts")
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="rollouts")
    previous = models.ForeignKey(
        Revision, null=True, blank=True, on_delete=models.PROTECT, related_name="replaced_by"
    )
    plan = models.OneToOneField(Plan, on_delete=models.PROTECT, related_name="rollout")
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=24, choices=ROLLOUT.choices, default="pending")
    strategy_name = models.CharField(max_length=40)
    strategy = models.JSONField()  # frozen copy of engine.types.StrategySpec
    plan_digest = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    waiting_for = models.JSONField(default=dict)  # {kind, text, who, until}
    pause = models.BooleanField(default=False)
    abort = models.BooleanField(default=False)
    rollback = models.BooleanField(default=False)
    retire_now = models.BooleanField(default=False)
    ended_outside = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    settled = models.BooleanField(default=False)  # ended, and everything it owed is done

    objects = RolloutQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            ROLLOUT.constraint("rollout_state"),
            models.UniqueConstraint(
                fields=["deployment"],
                condition=Q(state__in=sorted(ROLLOUT.active)),
                name="rollout_active_once",
            ),
        ]
        indexes = [
            models.Index(  # the ticker's "which rollouts have a next step"
                fields=["not_before"], condition=Q(settled=False), name="rollout_due"
            )
        ]

    def __str__(self) -> str:
        return f"rollout of {self.revision}"

    @property
    def journal_scope(self) -> str:
        return f"deployment:{self.deployment_id}"


class Stage(models.Model):
    """Some of the clusters, taken at once as far as `max_concurrency` allows, behind its gates."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="stages")
    index = models.PositiveIntegerField()
    name = models.CharField(max_length=40)
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=16, choices=STAGE.choices, default="pending")
    max_concurrency = models.PositiveIntegerField()
    note = models.CharField(max_length=300, blank=True)  # why it was skipped
    started_at = models.DateTimeField(null=True, blank=True)
    soak_started_at = models.DateTimeField(null=True, blank=True)
    passed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["index"]
        constraints = [
            STAGE.constraint("stage_state"),
            models.UniqueConstraint(fields=["rollout", "index"], name="stage_index_once"),
            models.UniqueConstraint(fields=["rollout", "name"], name="stage_name_once"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def team_id(self) -> int:
        return self.rollout.team_id

    @property
    def journal_scope(self) -> str:
        return self.rollout.journal_scope

    @property
    def news_topics(self) -> tuple[str, ...]:
        return (f"rollout:{self.rollout_id}", "rollouts")


class Gate(models.Model):
    """What must hold before a stage starts or passes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    stage = models.ForeignKey(Stage, on_delete=models.CASCADE, related_name="gates")
    kind = models.CharField(max_length=20)
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=16, choices=GATE.choices, default="not_reached")
    verdict = models.CharField(max_length=16, blank=True)
    verdict_at = models.DateTimeField(null=True, blank=True)
    message = models.CharField(max_length=300, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    retry = models.BooleanField(default=False)

    class Meta:
        ordering = ["stage__index", "kind"]
        constraints = [
            GATE.constraint("gate_state"),
            _words("kind", engine.GateKind, "gate_kind"),
            models.UniqueConstraint(fields=["stage", "kind"], name="gate_once"),
        ]

    def __str__(self) -> str:
        return f"{engine.GateKind(self.kind).words} of {self.stage}"

    @property
    def team_id(self) -> int:
        return self.stage.rollout.team_id

    @property
    def journal_scope(self) -> str:
        return self.stage.rollout.journal_scope

    @property
    def news_topics(self) -> tuple[str, ...]:
        return (f"rollout:{self.stage.rollout_id}", "rollouts")


class Target(models.Model):
    """One cluster in a stage. A slot is a row's right to be mutated; a stage has so many slots."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="targets")
    stage = models.ForeignKey(Stage, on_delete=models.CASCADE, related_name="targets")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="targets")
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=16, choices=TARGET.choices, default="queued")
    phase = models.CharField(max_length=12, default=engine.TargetPhase.INTRODUCE.value)
    slot = models.PositiveIntegerField(null=True, blank=True)
    slots = models.PositiveIntegerField()  # of the stage, copied for the constraint
    attempt = models.PositiveIntegerField(default=1)
    not_before = models.DateTimeField(null=True, blank=True)
    deadline = models.DateTimeField(null=True, blank=True)
    in_flight_until = models.DateTimeField(null=True, blank=True)
    checked = models.BooleanField(default=False)
    mutated = models.BooleanField(default=False)
    applied = models.BooleanField(default=False)
    verified = models.BooleanField(default=False)
    serving = models.CharField(max_length=10, default=engine.Serving.NOTHING.value)
    old_retired = models.BooleanField(default=False)
    retry = models.BooleanField(default=False)
    undo_blocked = models.BooleanField(default=False)
    restore_verified = models.BooleanField(default=False)
    capacity = models.BooleanField(null=True, blank=True)
    problem_kind = models.CharField(max_length=10, blank=True)
    message = models.TextField(blank=True)
    new = models.ForeignKey(
        Workspace, null=True, blank=True, on_delete=models.PROTECT, related_name="introduced_by"
    )
    old = models.ForeignKey(
        Workspace, null=True, blank=True, on_delete=models.PROTECT, related_name="replaced_by"
    )
    restored = models.ForeignKey(
        Workspace, null=True, blank=True, on_delete=models.PROTECT, related_name="restored_by"
    )

    class Meta:
        ordering = ["stage__index", "cluster__name"]
        constraints = [
            TARGET.constraint("target_state"),
            _words("phase", engine.TargetPhase, "target_phase"),
            _words("serving", engine.Serving, "target_serving"),
            models.UniqueConstraint(fields=["rollout", "cluster"], name="target_cluster_once"),
            models.UniqueConstraint(fields=["stage", "slot"], name="target_slot_once"),
            models.CheckConstraint(
                condition=Q(slot__isnull=True) | Q(slot__lt=F("slots")), name="target_slot_below"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cluster.name}"

    @property
    def team_id(self) -> int:
        return self.rollout.team_id

    @property
    def journal_scope(self) -> str:
        return self.rollout.journal_scope

    @property
    def journal_name(self) -> str:
        return f"{self.rollout.revision} on {self.cluster.name}"

    @property
    def news_topics(self) -> tuple[str, ...]:
        return (f"rollout:{self.rollout_id}", "rollouts")


class Approval(models.Model):
    """A request for a decision, bound to the rollout's digest. One open request for each gate."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="approvals")
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="approvals")
    gate = models.ForeignKey(Gate, on_delete=models.CASCADE, related_name="approvals")
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10, choices=APPROVAL.choices, default="waiting")
    digest = models.CharField(max_length=64)
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    roles = models.JSONField(default=list)
    quorum = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            APPROVAL.constraint("approval_state"),
            models.UniqueConstraint(
                fields=["gate"], condition=Q(state="waiting"), name="approval_open_once"
            ),
            models.UniqueConstraint(fields=["id", "digest", "requester"], name="approval_identity"),
        ]

    def __str__(self) -> str:
        return f"approval of {self.gate.stage.name}"

    @property
    def journal_scope(self) -> str:
        return self.rollout.journal_scope

    @property
    def news_topics(self) -> tuple[str, ...]:
        return (f"rollout:{self.rollout_id}", "rollouts")


class Vote(models.Model):
    """One answer of one person; requester and digest are copied in for the constraints."""

    approval = models.ForeignKey(Approval, on_delete=models.CASCADE, related_name="votes")
    voter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    requester_id_copy = models.BigIntegerField()
    approval_digest = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    decision = models.CharField(max_length=8)
    had_role = models.BooleanField(default=True)  # when the vote was given
    comment = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["at"]
        constraints = [
            models.UniqueConstraint(fields=["approval", "voter"], name="vote_once"),
            models.CheckConstraint(
                condition=~Q(voter_id=F("requester_id_copy")), name="vote_not_by_requester"
            ),
            models.CheckConstraint(
                condition=Q(digest=F("approval_digest")), name="vote_for_this_digest"
            ),
            _words("decision", engine.Decision, "vote_decision"),
        ]

    def __str__(self) -> str:
        return f"{self.decision} by {self.voter_id}"
