"""Fixtures of this app's tests: the fleet as rows, and deployments in chosen states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from clusters.models import Cluster
from fleetportal.accounts.models import Team, User
from fleetportal.accounts.principal import Principal
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import CatalogModel, Deployment, Plan, Revision, Workspace
from workspaces.services.plans import plan_create

PHI = "microsoft--phi-4-mini-instruct"
SPEC: dict[str, Any] = {
    "runtime": "vllm",
    "replicas": 1,
    "max_model_len": 2048,
    "strategy": "staged",
    "policy": {},
}

MakePlan = Callable[..., Plan]
MakeDeployment = Callable[..., Deployment]


@pytest.fixture
def fleet(people: People) -> dict[str, Cluster]:
    return make_fleet()


@pytest.fixture
def make_plan(people: People, fleet: dict[str, Cluster]) -> MakePlan:
    """`make_plan(name="chat", replicas=3)`: a computed plan of team assist."""

    def made(name: str = "chat", model: str = PHI, replicas: int = 3, **more: Any) -> Plan:
        plan = plan_create(
            principal=Principal(people.engineer),
            team=people.assist,
            name=name,
            model=model,
            replicas=replicas,
            **more,
        )
        plan.refresh_from_db()
        return plan

    return made


@pytest.fixture
def make_deployment(people: People, fleet: dict[str, Cluster]) -> MakeDeployment:
    """`make_deployment("chat", {"prod-weu": "ready"})`: one workspace per named cluster."""

    def made(
        name: str,
        states: dict[str, str],
        team: Team | None = None,
        user: User | None = None,
        **fields: Any,
    ) -> Deployment:
        deployment = Deployment.objects.create(
            team=team or people.assist, name=name, created_by=user or people.engineer
        )
        revision = Revision.objects.create(
            deployment=deployment,
            number=1,
            model=CatalogModel.objects.get(pk=PHI),
            spec=SPEC,
            digest="d" * 64,
            created_by=deployment.created_by,
        )
        for cluster, state in states.items():
            make_workspace(revision, fleet[cluster], state, **fields)
        return deployment

    return made


def make_workspace(revision: Revision, cluster: Cluster, state: str, **fields: Any) -> Workspace:
    deployment = revision.deployment
    values: dict[str, Any] = {
        "kind": "InferenceSet",
        "namespace": f"fp-{deployment.team.slug}",
        "name": f"{deployment.name}-r{revision.number}-{cluster.name}"[:63],
        "service": deployment.name,
        "replicas": 1,
        "ready_replicas": 1 if state == "ready" else 0,
        "nodes_per_replica": 1,
        "price_per_hour": 3.67,
        "manifests": [],
        "desired_hash": "h",
        "serving": state == "ready",
        "observed_at": timezone.now(),
    }
    return Workspace.objects.create(
        deployment=deployment,
        revision=revision,
        cluster=cluster,
        state=state,
        **{**values, **fields},
    )
