"""A plan becomes a rollout: revision, workspaces, claims, stages and targets in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction

from clusters.models import Cluster, Pool
from clusters.selectors import labels_of
from fleetportal.accounts.principal import Principal, require
from fleetportal.journal.services import event_record
from fleetportal.kit.doorbell import ring
from fleetportal.kit.errors import FieldProblem, Invalid, Refused
from fleetportal.kit.states import move
from rollouts.engine.stages import (
    AssignedStage,
    ChosenCluster,
    StrategyError,
    assign,
    rollout_digest,
)
from rollouts.engine.types import Serving, StrategySpec
from rollouts.models import Gate, Rollout, Stage, Target
from rollouts.services.strategies import strategy_frozen, strategy_get
from workspaces.engine.canonical import digest as canonical_digest
from workspaces.engine.manifests import render
from workspaces.engine.types import Verdict
from workspaces.models import Deployment, Plan, Revision, Workspace
from workspaces.selectors.verdicts import selected_of
from workspaces.services.claims import claims_take
from workspaces.services.plans import plan_check
from workspaces.states import PLAN

TASK = "rollouts.advance"


def rollout_start(*, principal: Principal, plan: Plan, digest: str) -> Rollout:
    """Start bringing the plan's revision to its clusters.

    Raises Forbidden; Refused when the plan is not what was seen, has expired, or another rollout
    of the deployment is active; NoRoom when its nodes were promised to somebody else meanwhile.
    """
    require(principal, "deployment.create", plan.team)
    strategy_row, strategy = strategy_get(plan.spec["strategy"])
    plan_check(plan, digest)
    verdicts = selected_of(plan)
    names = [verdict.cluster for verdict in verdicts]
    clusters = {c.name: c for c in Cluster.objects.managed().filter(name__in=names)}
    stages = _assign(strategy, verdicts, clusters)
    try:
        with transaction.atomic():
            return _create(principal, plan, strategy_row.slug, strategy, stages, verdicts, clusters)
    except IntegrityError as error:
        raise Refused(
            "Another rollout of this deployment is active.",
            remedy="Wait for it, or abort it first.",
            type_="rollout-active",
        ) from error


def _assign(
    strategy: StrategySpec, verdicts: Sequence[Verdict], clusters: dict[str, Cluster]
) -> tuple[AssignedStage, ...]:
    chosen = [
        ChosenCluster(clusters[v.cluster].uid, v.cluster, labels_of(clusters[v.cluster]))
        for v in sorted(verdicts, key=lambda verdict: verdict.cluster)
    ]
    try:
        return assign(strategy, chosen)
    except StrategyError as error:
        remedy = "Choose another strategy, or other clusters by the plan's policy."
        raise Invalid(FieldProblem(f"strategy.{error.field}", str(error), remedy)) from error


def _create(
    principal: Principal,
    plan: Plan,
    strategy_name: str,
    strategy: StrategySpec,
    stages: Sequence[AssignedStage],
    verdicts: Sequence[Verdict],
    clusters: dict[str, Cluster],
) -> Rollout:
    deployment = _held_active(plan.deployment) if plan.deployment else _deployment(principal, plan)
    revision = _revision(principal, plan, deployment)
    move(plan, "used", machine=PLAN, actor=principal, deployment=deployment)
    rollout = Rollout.objects.create(
        team=plan.team,
        deployment=deployment,
        revision=revision,
        previous=_previous(deployment, revision),
        plan=plan,
        strategy_name=strategy_name,
        strategy=strategy_frozen(strategy),
        plan_digest=plan.digest,
        digest=rollout_digest(plan.digest, strategy, stages),
        requested_by=principal.user,
    )
    workspaces = {v.cluster: _workspace(revision, plan, v, clusters[v.cluster]) for v in verdicts}
    for stage in stages:
        _stage(rollout, stage, workspaces, clusters)
    if deployment.held:
        Deployment.objects.filter(pk=deployment.pk).update(held=False, held_reason="")
        event_record(action="deployment.released", obj=deployment, principal=principal)
    event_record(
        action="rollout.started",
        obj=rollout,
        principal=principal,
        after={"state": rollout.state, "digest": rollout.digest},
    )
    ring(TASK, rollout.pk)
    return rollout


def _held_active(deployment: Deployment) -> Deployment:
    """Until the end of this transaction nobody else starts or deletes it. Raises Refused."""
    rows = Deployment.objects.select_for_update().filter(pk=deployment.pk, state="active")
    if rows.first() is None:
        raise Refused("This deployment is being deleted.", type_="deployment-retiring")
    return deployment


def _deployment(principal: Principal, plan: Plan) -> Deployment:
    deployment = Deployment.objects.create(
        team=plan.team, name=plan.name, created_by=principal.user
    )
    event_record(
        action="deployment.created", obj=deployment, principal=principal, after={"state": "active"}
    )
    return deployment


def _revision(principal: Principal, plan: Plan, deployment: Deployment) -> Revision:
    return Revision.objects.create(
        deployment=deployment,
        number=plan.manifests["number"],
        model=plan.model,
        spec=plan.spec,
        digest=canonical_digest([plan.model_id, plan.spec]),
        created_by=principal.user,
    )


def _previous(deployment: Deployment, revision: Revision) -> Revision | None:
    serving = (
        Workspace.objects.filter(deployment=deployment, serving=True)
        .exclude(revision=revision)
        .select_related("revision")
        .order_by("-revision__number")
        .first()
    )
    return serving.revision if serving else None


def _workspace(revision: Revision, plan: Plan, verdict: Verdict, cluster: Cluster) -> Workspace:
    manifests = render(plan.manifests["base"], plan.manifests["patches"][cluster.name])
    by_kind: dict[str, Any] = {obj["kind"]: obj for obj in manifests}
    main = by_kind.get("InferenceSet") or by_kind["Workspace"]
    nodes = verdict.nodes_per_replica or 1
    pool = Pool.objects.select_related("cluster").get(cluster=cluster, key=verdict.pool)
    workspace = Workspace.objects.create(
        deployment=revision.deployment,
        revision=revision,
        cluster=cluster,
        kind=main["kind"],
        namespace=main["metadata"]["namespace"],
        name=main["metadata"]["name"],
        service=by_kind["Service"]["metadata"]["name"],
        replicas=verdict.replicas,
        pool=pool,
        instance_type=verdict.instance_type,
        nodes_per_replica=nodes,
        price_per_hour=verdict.price_per_hour,
        manifests=manifests,
        desired_hash=canonical_digest(manifests),
    )
    claims_take(workspace=workspace, pool=pool, nodes=nodes * verdict.replicas)
    return workspace


def _stage(
    rollout: Rollout,
    assigned: AssignedStage,
    workspaces: dict[str, Workspace],
    clusters: dict[str, Cluster],
) -> None:
    spec = assigned.spec
    stage = Stage.objects.create(
        rollout=rollout,
        index=assigned.index,
        name=spec.name,
        max_concurrency=spec.max_concurrency,
        note=assigned.note,
    )
    Gate.objects.bulk_create([Gate(stage=stage, kind=kind.value) for kind in assigned.gates])
    for chosen in assigned.clusters:
        old = _serving(rollout, clusters[chosen.name])
        Target.objects.create(
            rollout=rollout,
            stage=stage,
            cluster=clusters[chosen.name],
            slots=spec.max_concurrency,
            new=workspaces[chosen.name],
            old=old,
            serving=(Serving.OLD if old else Serving.NOTHING).value,
        )


def _serving(rollout: Rollout, cluster: Cluster) -> Workspace | None:
    rows = Workspace.objects.filter(deployment=rollout.deployment, cluster=cluster, serving=True)
    return rows.first()
