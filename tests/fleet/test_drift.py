"""What others do to our objects, and clusters that go away, come back or turn out to be others."""

from __future__ import annotations

from uuid import UUID

import pytest

from clusters.models import Cluster
from fleetportal.journal.models import Event
from rollouts.models import Rollout
from tests.fleet.harness import NAMESPACE, Portal, mutations, serving, until
from tests.simfleet import SimCluster
from workspaces.models import Workspace


def state_of(cluster: SimCluster) -> str:
    return Cluster.objects.get(name=cluster.name).state


def test_an_edit_of_our_object_by_others_is_reported_and_not_undone(portal: Portal) -> None:
    cluster = portal.add()
    portal.deployed([cluster], strategy="single")
    name = serving(cluster)
    after = cluster.log()[-1]["seq"]
    cluster.edit("InferenceSet", NAMESPACE, name, {"spec": {"replicas": 2}})
    row = until(
        "it is seen",
        lambda: Workspace.objects.filter(name=name).exclude(changed_outside=[]).first(),
    )
    assert row.changed_outside == ["spec.replicas"]
    assert Event.objects.filter(action="workspace.changed_outside").count() == 1
    assert mutations(cluster, after) == []
    cluster.edit("InferenceSet", NAMESPACE, name, {"spec": {"replicas": 1}})
    until("it is back", lambda: Workspace.objects.get(name=name).changed_outside == [])


@pytest.mark.slow
def test_a_cluster_that_goes_away_holds_its_target_until_it_is_back(portal: Portal) -> None:
    test, staging = portal.add("test"), portal.add("staging")
    staging.fault("blackhole")
    staging.hang_up()
    until("it is missed", lambda: state_of(staging) == "unreachable")
    staging.clear_faults()
    until("it is back", lambda: state_of(staging) == "ready")
    staging.change(faults=[{"kind": "image"}])
    rollout = portal.start([test, staging])
    portal.target_state(rollout, staging, "starting")
    staging.fault("reset")
    staging.hang_up()
    portal.target_state(rollout, staging, "cluster_away")
    rollout.refresh_from_db()
    assert rollout.state in ("running", "waiting")
    assert until("it says so", lambda: waits_for(rollout.pk) == "cluster")
    staging.change(faults=[])
    staging.clear_faults()
    portal.reach(rollout, "succeeded")


def waits_for(pk: UUID) -> str:
    return str(Rollout.objects.get(pk=pk).waiting_for.get("kind", ""))


def test_nothing_is_ever_applied_to_another_cluster_at_the_address(portal: Portal) -> None:
    test, staging = portal.add("test"), portal.add("staging")
    rollout = portal.start([test, staging])
    staging.fault("other_uid")
    portal.target_state(rollout, test, "succeeded")
    staging.hang_up()
    until("it is seen", lambda: state_of(staging) == "different_cluster")
    until("the rollout waits for it", lambda: waits_for(rollout.pk) == "cluster")
    assert mutations(staging) == []
    staging.clear_faults()
    portal.reach(rollout, "succeeded")
    assert serving(staging)
