"""Plans: asked by a person, computed by a worker, frozen, used once or expired."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from clusters.engine.types import ClusterFacts
from fleetportal.accounts.models import Team
from fleetportal.accounts.principal import Principal, require
from fleetportal.journal.services import event_record
from fleetportal.kit.doorbell import try_ring
from fleetportal.kit.errors import Refused, Stale
from fleetportal.kit.states import move
from fleetportal.pulse import leases
from workspaces.engine.canonical import digest as canonical_digest
from workspaces.engine.manifests import Manifests, RevisionSpec, build, targets
from workspaces.engine.placement import place
from workspaces.engine.types import Decision, Demand, Policy
from workspaces.engine.validate import check
from workspaces.models import CatalogModel, Deployment, Plan, Revision
from workspaces.selectors import verdicts
from workspaces.services import facts
from workspaces.services.wishes import model_row, policy_of, validate
from workspaces.states import PLAN

TASK = "workspaces.plan"
VALID_FOR = timedelta(minutes=15)
LEASE = 30.0
SECRET_NAME = "hf-token"  # noqa: S105 - the object's name


def plan_create(
    *,
    principal: Principal,
    team: Team,
    name: str,
    model: str | CatalogModel,
    replicas: int,
    max_model_len: int | None = None,
    runtime: str = "vllm",
    strategy: str = "staged",
    policy: Mapping[str, Any] | None = None,
    previous: Plan | None = None,
) -> Plan:
    """Ask for a placement. The plan is `computing` until a worker has answered.

    Raises Forbidden, and Invalid naming every field that cannot be used.
    """
    require(principal, "plan.create", team)
    entry = model_row(model) if isinstance(model, str) else model
    spec = {
        "runtime": runtime,
        "replicas": replicas,
        "max_model_len": max_model_len,
        "strategy": strategy,
        "policy": dict(policy or {}),
    }
    validate(name, spec, entry)
    deployment = Deployment.objects.live().filter(team=team, name=name).first()
    with transaction.atomic():
        plan = Plan.objects.create(
            team=team,
            deployment=deployment,
            name=name,
            model=entry,
            spec=spec,
            previous=previous,
            created_by=principal.user,
            expires_at=timezone.now() + VALID_FOR,
        )
        event_record(action="plan.requested", obj=plan, principal=principal, after=spec)
    if not try_ring(TASK, plan.pk):
        # Nobody can be asked: a person who waits is served here rather than not at all.
        _place(plan)
    return plan


def _place(plan: Plan) -> None:
    """Two may place the same plan, a web process without a lease and a worker: the first to end
    wins, and the other one takes what is stored.
    """
    try:
        _compute(plan)
    except Stale:
        plan.refresh_from_db()


def plan_again(*, principal: Principal, plan: Plan) -> Plan:
    """Ask for the same once more, to see what changed."""
    spec = plan.spec
    return plan_create(
        principal=principal,
        team=plan.team,
        name=plan.name,
        model=plan.model_id,
        replicas=spec["replicas"],
        max_model_len=spec["max_model_len"],
        runtime=spec["runtime"],
        strategy=spec["strategy"],
        policy=spec["policy"],
        previous=plan,
    )


def plan_wait(plan: Plan, *, seconds: float = 3.0) -> Plan:
    """Give the worker a moment. Reads only."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while plan.state == "computing" and time.monotonic() < deadline:
        plan.refresh_from_db()
        if plan.state == "computing":
            time.sleep(pause)
            pause = min(0.1, pause * 1.5)
    return plan


def plan_compute(pk: str) -> None:
    """Place a computing plan, or expire one whose time is over. Safe to repeat."""
    plan = Plan.objects.select_related("team", "deployment", "model").filter(pk=pk).first()
    if plan is None:
        return
    if plan.expires_at <= timezone.now() and plan.state in PLAN.active:
        plan_expire(plan, "Fifteen minutes are over.")
        return
    if plan.state != "computing" or not leases.claim(plan, seconds=LEASE):
        return
    _place(plan)


def _compute(plan: Plan) -> None:
    """Raises Stale when somebody else has placed or taken the plan meanwhile."""
    fleet = facts.fleet(timezone.now())
    decision = _decide(plan, fleet)
    number = next_number(plan.deployment)
    manifests = _manifests(plan, decision, fleet, number) if not decision.blocked else None
    refusal = _refusal(manifests, fleet, plan) if manifests else ""
    if refusal:
        decision, manifests = replace(decision, blocked=refusal, summary=refusal), None
    stored = {} if manifests is None else msgspec.to_builtins(manifests)
    chosen = {v.cluster_id for v in decision.verdicts if v.verdict == "selected"}
    uids = {cluster.name: cluster.uid for cluster in fleet if cluster.id in chosen}
    _store(plan, decision, {**stored, "number": number} if stored else {}, uids)


def _refusal(manifests: Manifests, fleet: list[ClusterFacts], plan: Plan) -> str:
    """What KAITO's admission would refuse of the manifests; empty when it would take them."""
    model = facts.model_spec(plan.model)
    for cluster in fleet:
        if cluster.name in manifests.patches:
            for problem in check(manifests.of(cluster.name), cluster, model):
                return f"{cluster.name} would refuse {problem.field}: {problem.message}."
    return ""


def plan_expire(plan: Plan, reason: str) -> None:
    move(plan, "expired", machine=PLAN, reason=reason, blocked_reason=reason)


def plan_check(plan: Plan, digest: str) -> None:
    """Whether the plan may be started now, as the person saw it. Raises Refused and expires it.

    A plan breaks only when a selected cluster no longer carries its part.
    """
    if plan.state != "ready":
        label = PLAN.states[plan.state].label.lower()
        raise Refused(f"This plan is {label}.", remedy="Plan again.", type_="plan-not-ready")
    if plan.digest != digest:
        raise Refused("This is not the plan you looked at.", remedy="Reload.", type_="stale-digest")
    broken = "Fifteen minutes are over." if plan.expires_at <= timezone.now() else _broken(plan)
    if broken:
        plan_expire(plan, broken)
        raise Refused(broken, remedy="Plan again to see what changed.", type_="plan-expired")


def next_number(deployment: Deployment | None) -> int:
    if deployment is None:
        return 1
    last = Revision.objects.filter(deployment=deployment).aggregate(last=Max("number"))["last"]
    return (last or 0) + 1


def suggest_name(team: Team, model: CatalogModel) -> str:
    """A free deployment name made from the model's: the same again gets a suffix."""
    base = re.sub(r"[^a-z0-9]+", "-", model.hf_id.rpartition("/")[2].lower()).strip("-")[:30]
    base = base.strip("-") if base[:1].isalpha() else f"m-{base}"[:30].strip("-")
    taken = set(
        Deployment.objects.live()
        .filter(team=team, name__startswith=base)
        .values_list("name", flat=True)
    )
    free = (
        name for n in range(1, 1000) if (name := base if n == 1 else f"{base}-{n}") not in taken
    )
    return next(free)


def _decide(plan: Plan, fleet: list[ClusterFacts]) -> Decision:
    return place(
        _demand(plan, policy_of(plan.spec)),
        fleet,
        facts.situation(deployment=plan.deployment, model=plan.model),
    )


def _demand(plan: Plan, policy: Policy) -> Demand:
    return Demand(
        model=facts.model_spec(plan.model),
        replicas=plan.spec["replicas"],
        max_model_len=plan.spec["max_model_len"],
        team=plan.team.slug,
        policy=policy,
        has_secret=plan.model.gated and facts.has_secret(plan.team),
    )


def _broken(plan: Plan) -> str:
    """Why a selected verdict does not hold any more; empty while all do."""
    chosen = verdicts.selected_of(plan)
    fixed = Policy(
        placement_type="PickFixed", cluster_names=tuple(v.cluster for v in chosen), spread=()
    )
    if (
        plan.spec["replicas"] < len(chosen)
        or next_number(plan.deployment) != plan.manifests["number"]
    ):
        return "The deployment has a newer revision meanwhile."
    seen = facts.fleet(timezone.now(), fixed.cluster_names)
    decision = place(
        _demand(plan, fixed), seen, facts.situation(deployment=plan.deployment, model=plan.model)
    )
    return decision.blocked


def revision_spec(plan: Plan, number: int, *, attempt: int = 1) -> RevisionSpec:
    """The revision that the plan would make, as manifests need it."""
    model = facts.model_spec(plan.model)
    return RevisionSpec(
        team=plan.team.slug,
        deployment=plan.name,
        number=number,
        model=model.hf_id,
        install=settings.INSTALL_ID,
        runtime=plan.spec["runtime"],
        max_model_len=plan.spec["max_model_len"],
        secret=SECRET_NAME if model.gated else "",
        attempt=attempt,
    )


def _manifests(plan: Plan, decision: Decision, fleet: list[ClusterFacts], number: int) -> Manifests:
    revision = revision_spec(plan, number, attempt=_attempt(plan, number))
    return build(revision, targets(decision.verdicts, fleet))


def _attempt(plan: Plan, number: int) -> int:
    """Counts gone deployments of this name: their objects' names are never used again."""
    same = Revision.objects.filter(
        deployment__team=plan.team, deployment__name=plan.name, number=number
    )
    return 1 + same.count()


def _store(plan: Plan, decision: Decision, stored: dict[str, Any], uids: Mapping[str, str]) -> None:
    move(
        plan,
        "blocked" if decision.blocked else "ready",
        machine=PLAN,
        expect={"lease_token": plan.lease_token},
        reason=decision.blocked,
        digest=canonical_digest([decision.digest, plan.spec, stored, uids]),
        summary=decision.summary,
        blocked_reason=decision.blocked,
        price_per_hour=decision.price_per_hour,
        price_is_partial=decision.price_is_partial,
        also={
            "verdicts_packed": verdicts.pack(decision.verdicts),
            "manifests": stored,
            "lease_expires_at": None,
        },
    )
