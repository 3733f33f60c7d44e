"""Clusters under management: how to reach them, what they hold, what was asked of them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from clusters.querysets import CheckQuerySet, ClusterQuerySet
from clusters.states import CHECK, CLUSTER
from fleetportal.accounts.models import Team
from fleetportal.pulse.models import Leased


class Cluster(Leased):
    """One Kubernetes API server. `uid` pins its kube-system namespace: another one is refused."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=63)
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=20, choices=CLUSTER.choices, default="joining")
    state_reason = models.CharField(max_length=300, blank=True)
    state_since = models.DateTimeField(auto_now_add=True)
    created_at = models.DateTimeField(auto_now_add=True)

    server = models.URLField(max_length=300)
    ca_pem = models.TextField()
    tls_server_name = models.CharField(max_length=253, blank=True)
    credential_kind = models.CharField(max_length=12)  # token | client-cert
    credential_sealed = models.BinaryField()  # kit.crypto, JSON of the secret parts
    credential_version = models.PositiveIntegerField(default=1)
    uid = models.CharField(max_length=64, blank=True)

    environment = models.CharField(max_length=40, blank=True)
    provider = models.CharField(max_length=20, blank=True)
    region = models.CharField(max_length=60, blank=True)
    labels = models.JSONField(default=dict, blank=True)
    properties = models.JSONField(default=dict, blank=True)
    taints = models.JSONField(default=list, blank=True)
    simulated = models.BooleanField(default=False)
    cordoned = models.BooleanField(default=False)
    cordon_reason = models.CharField(max_length=300, blank=True)
    open_to_all = models.BooleanField(default=True)  # else only ClusterGrant teams
    teams = models.ManyToManyField(Team, through="ClusterGrant", related_name="clusters")

    capabilities = models.JSONField(default=dict, blank=True)  # engine.types.Capabilities
    probed_at = models.DateTimeField(null=True, blank=True)
    last_contact_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    successes = models.PositiveIntegerField(default=0)

    # How often stored objects or the state changed, and up to where the apps above have read.
    changes = models.PositiveIntegerField(default=0)
    changes_read = models.PositiveIntegerField(default=0)

    # How metrics are read: {"road": "direct" | "prometheus" | "off", "prometheus": {"service":
    # "namespace/name:port"} or {"url": ...}, "prefix": "", "matchers": {label: value}}; {}: direct.
    metrics = models.JSONField(default=dict, blank=True)
    metrics_token_sealed = models.BinaryField(default=b"")  # kit.crypto: of an external Prometheus

    # What the collector saw last. Totals are GPUs; None is unknown and never 0.
    observed_at = models.DateTimeField(null=True, blank=True)
    pools_packed = models.BinaryField(default=b"")  # selectors.facts: tuple[PoolFacts, ...]
    nodes_packed = models.BinaryField(default=b"")  # selectors.facts: tuple[NodeFacts, ...]
    inventory_notes = models.TextField(blank=True, default="")  # engine.inventory: Inventory.notes
    gpus_physical = models.PositiveIntegerField(null=True, blank=True)
    gpus_allocatable = models.PositiveIntegerField(null=True, blank=True)
    gpus_used = models.PositiveIntegerField(null=True, blank=True)
    gpus_free = models.PositiveIntegerField(null=True, blank=True)
    gpus_faulty = models.PositiveIntegerField(null=True, blank=True)

    objects = ClusterQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            CLUSTER.constraint("cluster_state"),
            models.UniqueConstraint(  # a removed cluster's name may be used again
                fields=["name"], condition=~Q(state="retired"), name="cluster_name_once"
            ),
            models.UniqueConstraint(
                fields=["uid"],
                condition=~Q(uid="") & ~Q(state="retired"),
                name="cluster_uid_once",
            ),
            models.CheckConstraint(
                condition=Q(credential_kind__in=["token", "client-cert"]),
                name="cluster_credential_kind",
            ),
        ]
        indexes = [
            models.Index(  # all that the heatmap asks of a row that is kilobytes long
                fields=["name", "state", "cordoned", "open_to_all", "id"], name="cluster_glance"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def news_topics(self) -> tuple[str, ...]:
        return ("fleet",)


class ClusterGrant(models.Model):
    """A team may use a cluster that is not open to all."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="grants")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="grants")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "team"], name="grant_once")]

    def __str__(self) -> str:
        return f"{self.cluster_id} to {self.team_id}"


class Quota(models.Model):
    """What an operator declares may be provisioned; no API of a cluster can tell."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="quotas")
    instance_type = models.CharField(max_length=80)
    nodes = models.PositiveIntegerField()
    capacity_type = models.CharField(max_length=12, default="on-demand")
    source = models.CharField(max_length=120, blank=True)
    declared_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "instance_type"], name="quota_once"),
        ]

    def __str__(self) -> str:
        return f"{self.nodes} x {self.instance_type}"


class Pool(models.Model):
    """What claims hold on to: one row for each pool key of a cluster (facts: Cluster.pools_packed).

    Written only when an inventory is stored; a row keeps its id while its key lives.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="pools")
    key = models.CharField(max_length=160)
    kind = models.CharField(max_length=14)  # existing | provisionable
    gpu_model = models.CharField(max_length=80)
    instance_type = models.CharField(max_length=80, blank=True)
    slots = models.PositiveIntegerField()  # whole nodes that claims may count on: free or quota
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "key"], name="pool_once"),
            models.CheckConstraint(
                condition=Q(kind__in=["existing", "provisionable"]), name="pool_kind"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cluster_id} {self.key}"


class ObservedObject(models.Model):
    """A KAITO object or pod of ours as the cluster returned it last (collector's cache)."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="observed")
    kind = models.CharField(max_length=40)  # Workspace | InferenceSet
    namespace = models.CharField(max_length=63)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=64)
    resource_version = models.CharField(max_length=40)
    owner = models.CharField(max_length=253, blank=True)  # InferenceSet that made this Workspace
    ours = models.BooleanField(default=False)  # carries our managed-by label and install id
    body = models.JSONField()
    seen_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "kind", "namespace", "name"], name="observed_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Check(Leased):
    """Something a person asked of a cluster and that a worker answers: pages never call clusters.

    `kind` is the name of the task that runs it ("clusters.connection", "workspaces.prompt").
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=40)
    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.CASCADE)
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE)
    subject_id = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=CHECK.choices, default="pending")
    request = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)

    objects = CheckQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [CHECK.constraint("check_state")]
        indexes = [
            models.Index(  # the ticker's "which checks wait"
                fields=["created_at"],
                condition=Q(state__in=["pending", "running"]),
                name="check_open",
            ),
            models.Index(fields=["kind", "subject_id", "-created_at"], name="check_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def journal_quiet(self) -> bool:
        """The portal's own probes: several a minute for each hundred clusters."""
        return self.requested_by_id is None

    @property
    def news_topics(self) -> tuple[str, ...]:
        return (f"cluster:{self.cluster_id}", f"check-of:{self.subject_id}")
