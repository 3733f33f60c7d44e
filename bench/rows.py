"""Many rows of everything that has a list: what the services leave behind, written in bulk.

Each deployment waits for approval of its third stage, the state with most to show. Nothing here
checks capacity: the rows are for reading pages, not for rolling out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from clusters.models import Cluster
from fleetportal.accounts.models import Team, User
from fleetportal.journal.models import Event
from rollouts.models import Approval, Gate, Rollout, Stage, Target
from rollouts.services.strategies import strategy_get
from workspaces.models import CatalogModel, Deployment, Plan, Revision, Workspace

STAGES = ("test", "staging", "production")
SPEC = {
    "runtime": "vllm",
    "replicas": 3,
    "max_model_len": 2048,
    "strategy": "staged",
    "policy": {"placement_type": "PickN", "number_of_clusters": 3},
}
DIGEST = "5e" * 32
BATCH = 100


def deployments_create(count: int, *, team: Team, asker: User, clusters: Sequence[Cluster]) -> None:
    """`count` more deployments, each with a rollout over three clusters, and their journal."""
    first, model = Deployment.objects.count(), CatalogModel.objects.order_by("slug")[0]
    made = [
        Deployment(team=team, name=f"service-{first + number:04}", created_by=asker)
        for number in range(count)
    ]
    Deployment.objects.bulk_create(made, BATCH)
    revisions = [
        Revision(deployment=one, number=1, model=model, spec=SPEC, digest=DIGEST, created_by=asker)
        for one in made
    ]
    Revision.objects.bulk_create(revisions, BATCH)
    rollouts = _rollouts(revisions, asker)
    for number, rollout in enumerate(rollouts):
        start = (first + number) * len(STAGES) % len(clusters)
        _stages(rollout, [clusters[(start + n) % len(clusters)] for n in range(len(STAGES))])
    _events(rollouts, asker)


def _rollouts(revisions: Sequence[Revision], asker: User) -> list[Rollout]:
    now = timezone.now()
    plans = [
        Plan(
            team=one.deployment.team,
            deployment=one.deployment,
            name=one.deployment.name,
            model=one.model,
            state="used",
            spec=SPEC,
            digest=DIGEST,
            summary="3 replicas.",
            price_per_hour=8.15,
            created_by=asker,
            expires_at=now,
        )
        for one in revisions
    ]
    Plan.objects.bulk_create(plans, BATCH)
    strategy, _ = strategy_get("staged")
    said = {"kind": "approval", "text": "Waiting for approval.", "who": "approver", "until": None}
    rows = [
        Rollout(
            team=revision.deployment.team,
            deployment=revision.deployment,
            revision=revision,
            plan=plan,
            state="waiting",
            strategy_name=strategy.slug,
            strategy=strategy.spec,
            plan_digest=DIGEST,
            digest=DIGEST,
            requested_by=asker,
            waiting_for=said,
        )
        for revision, plan in zip(revisions, plans, strict=True)
    ]
    return Rollout.objects.bulk_create(rows, BATCH)


def _stages(rollout: Rollout, clusters: Sequence[Cluster]) -> None:
    now = timezone.now()
    states = ("passed", "passed", "waiting")
    stages = [
        Stage(rollout=rollout, index=index, name=name, state=state, max_concurrency=2)
        for index, (name, state) in enumerate(zip(STAGES, states, strict=True))
    ]
    Stage.objects.bulk_create(stages)
    gate = Gate.objects.create(stage=stages[-1], kind="approval_before", state="holding")
    workspaces = [
        _workspace(rollout, cluster, "planned" if stage.state == "waiting" else "ready")
        for stage, cluster in zip(stages, clusters, strict=True)
    ]
    Workspace.objects.bulk_create(workspaces)
    Target.objects.bulk_create(
        [_target(stage, new) for stage, new in zip(stages, workspaces, strict=True)]
    )
    Approval.objects.create(
        team=rollout.team,
        rollout=rollout,
        gate=gate,
        digest=DIGEST,
        requester=rollout.requested_by,
        roles=["approver"],
        expires_at=now + timedelta(days=1),
    )


def _workspace(rollout: Rollout, cluster: Cluster, state: str) -> Workspace:
    name, now = rollout.deployment.name, timezone.now()
    ready = state == "ready"
    return Workspace(
        deployment=rollout.deployment,
        revision=rollout.revision,
        cluster=cluster,
        state=state,
        kind="InferenceSet",
        namespace=f"fp-{rollout.team.slug}",
        name=f"{name}-r1-5e5e",
        service=name,
        replicas=1,
        ready_replicas=1 if ready else None,
        instance_type="g6.xlarge",
        nodes_per_replica=1,
        price_per_hour=0.8048,
        manifests=[],
        desired_hash=DIGEST,
        serving=ready,
        phases={"applied": now.isoformat(), "ready": now.isoformat()} if ready else {},
        benchmark={"peak_tokens_per_minute": 1000.0} if ready else {},
        observed_at=now if ready else None,
    )


def _target(stage: Stage, new: Workspace) -> Target:
    ready = new.serving
    return Target(
        rollout=stage.rollout,
        stage=stage,
        cluster=new.cluster,
        slots=stage.max_concurrency,
        new=new,
        state="succeeded" if ready else "queued",
        phase="switch" if ready else "introduce",
        serving="new" if ready else "nothing",
        applied=ready,
        mutated=ready,
    )


def _events(rollouts: Sequence[Rollout], asker: User) -> None:
    Event.objects.bulk_create(
        [
            Event(
                at=timezone.now(),
                actor=asker,
                actor_name=asker.username,
                via="session",
                action="rollout.started",
                object_type="rollout",
                object_id=str(rollout.pk),
                object_name=str(rollout)[:200],
                scope=rollout.journal_scope,
                team=rollout.team,
                after={"state": "pending", "digest": DIGEST},
            )
            for rollout in rollouts
        ],
        BATCH,
    )


def catalog_keep(count: int) -> None:
    """Exactly `count` enabled models; beyond the shipped ones, copies under other names."""
    shipped = list(CatalogModel.objects.exclude(slug__contains="--copy").order_by("slug"))
    copies = [
        CatalogModel(
            slug=f"{one.slug}--copy{number}",
            hf_id=f"{one.hf_id}-copy{number}",
            name=f"{one.name} copy {number}",
            publisher=one.publisher,
            licence=one.licence,
            gated=one.gated,
            weights_gib=one.weights_gib,
            context_limit=one.context_limit,
            search=one.search,
            facts=one.facts,
        )
        for number in range(1 + count // len(shipped))
        for one in shipped
    ]
    CatalogModel.objects.bulk_create(copies, BATCH, ignore_conflicts=True)
    kept = [one.slug for one in (*shipped, *copies)[:count]]
    CatalogModel.objects.update(enabled=False)
    CatalogModel.objects.filter(slug__in=kept).update(enabled=True)
