"""Deleting a deployment: nothing of it stays on any cluster, and nothing else is touched."""

from __future__ import annotations

from typing import Any

from fleetportal.accounts.principal import Principal
from rollouts.services.control import rollout_abort
from rollouts.services.deletion import deployment_delete
from tests.fleet.harness import (
    NAMESPACE,
    Portal,
    claims_on,
    left_of,
    mutations,
    ours,
    serving,
    single_stage,
    until,
)
from tests.fleet.rest import Person
from workspaces.models import Deployment, Workspace, WorkspaceObject

A100 = "Standard_NC24ads_A100_v4"
AUTO: dict[str, Any] = {
    "mode": "azure-gpu-provisioner",
    "provider": "azure",
    "region": "westeurope",
    "nodes": [],
    "quotas": [{"instance_type": A100, "nodes": 4, "capacity_type": "on-demand"}],
    "capacity": {A100: 4},
}


def test_a_deleted_deployment_leaves_nothing_but_its_namespace_by_rest(portal: Portal) -> None:
    owned, made = portal.add("test"), portal.add("staging", **AUTO)
    engineer = Person(portal.people.engineer)
    started = engineer.deploy([owned, made])
    engineer.reach(started["rollout"], "succeeded")
    path = f"deployments/{started['id']}/"
    assert made.objects("NodeClaim")
    assert engineer.delete(f"{path}?confirm=chatt", status=422)["type"].endswith("invalid")
    assert serving(owned) and serving(made)

    engineer.delete(f"{path}?confirm=chat")
    until("it is gone", lambda: Deployment.objects.get(pk=started["id"]).state == "retired")
    assert left_of(owned) == [] and left_of(made, "NodeClaim") == []
    for cluster in (owned, made):
        assert NAMESPACE in {ns["metadata"]["name"] for ns in cluster.objects("Namespace")}
        assert claims_on(cluster) == 0
        deleted = [e["resource"] for e in mutations(cluster) if e["method"] == "DELETE"]
        assert deleted.index("services") < deleted.index("inferencesets.kaito.sh")
        assert deleted.index("inferencesets.kaito.sh") < deleted.index("configmaps")
    assert not WorkspaceObject.objects.filter(gone_at=None).exists()


def test_two_revisions_that_go_at_once_take_the_shared_service_with_them(portal: Portal) -> None:
    single_stage("warm", keep_old_for_seconds=600)
    cluster = portal.add()
    portal.deployed([cluster], strategy="single")
    rollout = portal.start([cluster], strategy="warm")
    portal.target_state(rollout, cluster, "succeeded")
    engineer = Principal(portal.people.engineer)
    rollout_abort(principal=engineer, rollout=rollout)
    portal.reach(rollout, "aborted")
    deployment_delete(principal=engineer, deployment=rollout.deployment, confirm="chat")
    until("both are gone", lambda: not Workspace.objects.exclude(state="retired").exists())
    assert left_of(cluster) == []
    assert Deployment.objects.get(name="chat").state == "retired"


def test_another_deployment_in_the_namespace_is_left_alone(portal: Portal) -> None:
    cluster = portal.add()
    kept = portal.deployed([cluster], name="kept", strategy="single")
    gone = portal.deployed([cluster], name="gone", strategy="single")
    before = serving(cluster, "kept")
    engineer = Principal(portal.people.engineer)
    deployment_delete(principal=engineer, deployment=gone, confirm="gone")
    until("it is gone", lambda: Deployment.objects.get(pk=gone.pk).state == "retired")
    assert serving(cluster, "kept") == before
    assert ours(cluster, "InferenceSet") == [f"InferenceSet/{before}"]
    assert not [entry for entry in mutations(cluster)[-4:] if before in entry["name"]]
    assert Deployment.objects.get(pk=kept.pk).state == "active"


def test_a_removal_never_takes_another_cluster_at_the_address_for_an_empty_one(
    portal: Portal,
) -> None:
    cluster = portal.add()
    deployment = portal.deployed([cluster], strategy="single")
    after = cluster.log()[-1]["seq"]
    cluster.fault("other_uid")
    engineer = Principal(portal.people.engineer)
    deployment_delete(principal=engineer, deployment=deployment, confirm="chat")
    row = until(
        "the removal says why it waits",
        lambda: Workspace.objects.filter(message__contains="another cluster").first(),
    )
    assert row.state == "retiring" and mutations(cluster, after) == []
    assert claims_on(cluster) == 1
    cluster.clear_faults()
    until("it is gone", lambda: Deployment.objects.get(pk=deployment.pk).state == "retired")
    assert left_of(cluster) == []
