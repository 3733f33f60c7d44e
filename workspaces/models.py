"""The catalog, what teams deploy from it, where plans put it, and what it is on each cluster."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from clusters.models import Cluster, Pool
from fleetportal.accounts.models import Team
from fleetportal.pulse.models import Leased
from workspaces.querysets import (
    DeploymentQuerySet,
    PlanQuerySet,
    SecretQuerySet,
    WorkspaceQuerySet,
)
from workspaces.states import DEPLOYMENT, PLAN, WORKSPACE


class CatalogModel(models.Model):
    """An entry that can be deployed; synchronised from workspaces/catalog/*.yaml."""

    slug = models.CharField(max_length=120, primary_key=True)
    hf_id = models.CharField(max_length=120, unique=True)
    name = models.CharField(max_length=120)
    publisher = models.CharField(max_length=60)
    licence = models.CharField(max_length=60)
    gated = models.BooleanField(default=False)
    weights_gib = models.FloatField()
    context_limit = models.PositiveIntegerField()
    search = models.TextField()  # lower-case words and aliases
    facts = models.JSONField()  # the whole entry, as in the file
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TeamSecret(models.Model):
    """A team's Hugging Face token. Write-only: no page and no endpoint gives it back."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=40, default="hf-token")
    sealed = models.BinaryField()
    version = models.PositiveIntegerField(default=1)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    set_at = models.DateTimeField(auto_now=True)

    objects = SecretQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "name"], name="secret_once")]

    def __str__(self) -> str:
        return f"{self.name} of {self.team_id}"


class Deployment(models.Model):
    """A team's named service of one model."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="deployments")
    name = models.CharField(max_length=36)  # a DNS label; object names add a suffix to it
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10, choices=DEPLOYMENT.choices, default="active")
    held = models.BooleanField(default=False)  # promotion held after a rollback
    held_reason = models.CharField(max_length=300, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            DEPLOYMENT.constraint("deployment_state"),
            models.UniqueConstraint(
                fields=["team", "name"], condition=~Q(state="retired"), name="deployment_name_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def journal_scope(self) -> str:
        return f"deployment:{self.pk}"


class Revision(models.Model):
    """An immutable spec of a deployment. `digest` is SHA-256 over its canonical JSON."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    model = models.ForeignKey(CatalogModel, on_delete=models.PROTECT)
    spec = models.JSONField()  # {runtime, replicas, max_model_len, strategy, policy}
    digest = models.CharField(max_length=64)
    quarantined_reason = models.CharField(max_length=300, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["deployment", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["deployment", "number"], name="revision_number_once")
        ]

    def __str__(self) -> str:
        return f"{self.deployment.name} r{self.number}"

    @property
    def team_id(self) -> int:
        return self.deployment.team_id

    @property
    def news_topics(self) -> tuple[str, ...]:
        return (f"deployment:{self.deployment_id}", "deployments")


class Plan(Leased):
    """A frozen placement of one spec: a verdict for every cluster. It has a digest and expires."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="plans")
    deployment = models.ForeignKey(
        Deployment, null=True, blank=True, on_delete=models.CASCADE, related_name="plans"
    )
    name = models.CharField(max_length=36)  # of the deployment it is for, new or existing
    model = models.ForeignKey(CatalogModel, on_delete=models.PROTECT)
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10, choices=PLAN.choices, default="computing")
    blocked_reason = models.TextField(blank=True)
    spec = models.JSONField()  # as Revision.spec
    digest = models.CharField(max_length=64, blank=True)
    summary = models.TextField(blank=True)
    price_per_hour = models.FloatField(null=True, blank=True)
    price_is_partial = models.BooleanField(default=False)
    verdicts_packed = models.BinaryField(default=b"")  # selectors.verdicts: one per cluster
    manifests = models.JSONField(default=dict)  # {"base": [...], "clusters": {name: patch}}
    previous = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    objects = PlanQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [PLAN.constraint("plan_state")]
        indexes = [
            models.Index(  # the ticker's "which plans are to be computed or have run out"
                fields=["expires_at"],
                condition=Q(state__in=["computing", "ready", "blocked"]),
                name="plan_open",
            )
        ]

    def __str__(self) -> str:
        return f"plan of {self.name}"

    @property
    def journal_scope(self) -> str:
        return f"deployment:{self.deployment_id}" if self.deployment_id else f"plan:{self.pk}"


class Workspace(Leased):
    """What one revision has in one cluster: one row, 1..N Kubernetes objects."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="workspaces")
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="workspaces")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="workspaces")
    attempt = models.PositiveIntegerField(default=1)  # a name is never used twice
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=16, choices=WORKSPACE.choices, default="planned")
    reason = models.CharField(max_length=80, blank=True)  # KAITO's condition reason
    message = models.TextField(blank=True)
    state_since = models.DateTimeField(auto_now_add=True)

    kind = models.CharField(max_length=20)  # InferenceSet | Workspace
    namespace = models.CharField(max_length=63)
    name = models.CharField(max_length=63)
    service = models.CharField(max_length=63)
    replicas = models.PositiveIntegerField()
    ready_replicas = models.PositiveIntegerField(null=True, blank=True)
    pool = models.ForeignKey(Pool, null=True, blank=True, on_delete=models.SET_NULL)
    instance_type = models.CharField(max_length=80, blank=True)
    nodes_per_replica = models.PositiveIntegerField()
    price_per_hour = models.FloatField(null=True, blank=True)
    manifests = models.JSONField()  # rendered objects in apply order, without secret values
    desired_hash = models.CharField(max_length=64)

    serving = models.BooleanField(default=False)  # our Service points here
    changed_outside = models.JSONField(default=list)  # paths that somebody else changed
    phases = models.JSONField(default=dict)  # phase -> time it was first seen
    conditions = models.JSONField(default=list)  # KAITO's, of all children
    benchmark = models.JSONField(default=dict)  # {"peak_tokens_per_minute": n, ...}
    # {uid_matches, generation_matches, fields_match, deleting, replicas}; a missing key: unknown
    observed = models.JSONField(default=dict)
    running_requests = models.FloatField(null=True, blank=True)
    waiting_requests = models.FloatField(null=True, blank=True)
    observed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = WorkspaceQuerySet.as_manager()

    class Meta:
        ordering = ["deployment", "cluster__name", "-created_at"]
        constraints = [
            WORKSPACE.constraint("workspace_state"),
            models.UniqueConstraint(
                fields=["cluster", "namespace", "name"], name="workspace_name_once"
            ),
            models.UniqueConstraint(
                fields=["revision", "cluster", "attempt"], name="workspace_attempt_once"
            ),
            models.UniqueConstraint(  # one revision answers for a deployment on a cluster
                fields=["deployment", "cluster"],
                condition=Q(serving=True),
                name="workspace_serving_once",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["InferenceSet", "Workspace"]), name="workspace_kind"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.cluster.name}"

    @property
    def team_id(self) -> int:
        return self.deployment.team_id

    @property
    def journal_scope(self) -> str:
        return f"deployment:{self.deployment_id}"

    @property
    def news_topics(self) -> tuple[str, ...]:
        return ("deployments", f"cluster:{self.cluster_id}")


class WorkspaceObject(models.Model):
    """A Kubernetes object that we made on a cluster; gone only when the cluster said so."""

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="parts")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT)
    kind = models.CharField(max_length=40)
    namespace = models.CharField(max_length=63, blank=True)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=64, blank=True)
    shared = models.BooleanField(default=False)  # namespace, secret, service: outlives the revision
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "kind", "namespace", "name"],
                condition=Q(gone_at__isnull=True, shared=False),
                name="part_once",
            ),
            models.UniqueConstraint(
                fields=["workspace", "kind", "namespace", "name"], name="part_once_per_workspace"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Claim(models.Model):
    """One whole node of a pool promised to a workspace. `slot` counts from 0 to below `limit`.

    Two claims can never name the same slot, so two plans can never promise the same node; `limit`
    is the pool's size when the claim was made.
    """

    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="claims")
    slot = models.PositiveIntegerField()
    limit = models.PositiveIntegerField()
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="claims")
    created_at = models.DateTimeField(auto_now_add=True)
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pool", "slot"],
                condition=Q(released_at__isnull=True),
                name="claim_slot_once",
            ),
            models.CheckConstraint(
                condition=Q(slot__lt=models.F("limit")), name="claim_slot_below_limit"
            ),
        ]

    def __str__(self) -> str:
        return f"slot {self.slot} of {self.pool_id}"
