"""A second revision beside the first, and every way back from it."""

from __future__ import annotations

from typing import Any

from fleetportal.accounts.principal import Principal
from rollouts.models import Rollout
from rollouts.services import control
from tests.fleet.harness import (
    Portal,
    claims_on,
    left_of,
    mutations,
    ours,
    serving,
    single_stage,
    until,
)
from tests.simfleet import SimCluster
from workspaces.models import Deployment

WARM = {"keep_old_for_seconds": 600}
UNUSED: dict[str, Any] = {"load": [{"rate": 0.0}]}  # nobody's requests to wait for


def test_a_second_revision_comes_beside_the_first_and_the_first_goes_with_all_it_had(
    portal: Portal,
) -> None:
    cluster = portal.add()
    first = one_revision(portal, cluster)
    after = cluster.log()[-1]["seq"]
    rollout = portal.start([cluster], strategy="single")
    portal.reach(rollout, "succeeded")
    second = serving(cluster)
    assert second and second != first
    asked = [(e["method"], e["resource"].partition(".")[0]) for e in mutations(cluster, after)]
    switched = asked.index(("PATCH", "services"))
    retired = asked.index(("DELETE", "inferencesets"))
    assert asked.index(("PATCH", "inferencesets")) < switched < retired
    assert not [left for left in left_of(cluster) if first in left], "the first one is gone"
    assert ours(cluster, "InferenceSet") == [f"InferenceSet/{second}"]
    assert claims_on(cluster) == 1


def test_what_never_served_is_deleted_and_the_old_one_stays_untouched(portal: Portal) -> None:
    cluster = portal.add()
    first = one_revision(portal, cluster)
    after = cluster.log()[-1]["seq"]
    cluster.change(faults=[{"kind": "stuck", "match": "chat-r2"}])
    rollout = portal.start([cluster], strategy="single")
    portal.target_state(rollout, cluster, "starting")
    roll_back(portal, rollout)
    portal.reach(rollout, "rolled_back")
    assert serving(cluster) == first
    until(
        "only the first is left", lambda: ours(cluster, "InferenceSet") == [f"InferenceSet/{first}"]
    )
    touched = {e["name"] for e in mutations(cluster, after)}
    assert first not in touched and "chat" not in touched
    assert Deployment.objects.get(name="chat").held
    assert claims_on(cluster) == 1


def test_a_warm_old_revision_gets_its_service_back(portal: Portal) -> None:
    single_stage("warm", **WARM)
    cluster = portal.add(**UNUSED)
    first = one_revision(portal, cluster)
    rollout = portal.start([cluster], strategy="warm")
    until("the second serves", lambda: serving(cluster) not in ("", first))
    portal.target_state(rollout, cluster, "succeeded")
    roll_back(portal, rollout)
    portal.reach(rollout, "rolled_back")
    assert serving(cluster) == first
    assert ours(cluster, "InferenceSet") == [f"InferenceSet/{first}"]
    target = portal.target(rollout, cluster)
    assert target.serving == "old" and target.old is not None and target.old.serving


def test_an_old_revision_that_is_gone_is_built_again_from_its_spec(portal: Portal) -> None:
    single_stage("gone-in-test", stage={"soak_seconds": 0})
    test, staging = portal.add("test", **UNUSED), portal.add("staging", **UNUSED)
    first = one_revision(portal, test, staging)
    spec = test.objects("InferenceSet")[0]["spec"]
    staging.change(faults=[{"kind": "stuck", "match": "chat-r2"}])
    rollout = portal.start([test, staging])
    until("the first is gone in test", lambda: not [x for x in left_of(test) if first in x])
    portal.target_state(rollout, staging, "starting")
    roll_back(portal, rollout)
    portal.reach(rollout, "rolled_back", seconds=60)
    back = serving(test)
    assert back and back != first
    found = next(o for o in test.objects("InferenceSet") if o["metadata"]["name"] == back)
    assert str(found["spec"]).replace(back, first) == str(spec), "the old spec, byte for byte"
    assert serving(staging) == first
    assert claims_on(test) == 1 and claims_on(staging) == 1


def test_a_rollback_without_room_for_the_old_revision_says_so_and_keeps_the_new_one(
    portal: Portal,
) -> None:
    nodes = {"instance_type": "g6.xlarge", "pool": "l4", "count": 2}
    test, staging = portal.add("test", nodes=[nodes], **UNUSED), portal.add("staging", **UNUSED)
    first = one_revision(portal, test, staging)
    staging.change(faults=[{"kind": "stuck", "match": "chat-r2"}])
    rollout = portal.start([test, staging])
    until("the first is gone in test", lambda: not [x for x in left_of(test) if first in x])
    until("its node is free", lambda: claims_on(test) == 1)
    portal.deployed([test], name="other", strategy="single")
    roll_back(portal, rollout)
    portal.reach(rollout, "rolled_back_partially")
    second = serving(test)
    assert second and second != first, "the new one goes on serving"
    target = portal.target(rollout, test)
    assert target.undo_blocked and "room" in target.message


def one_revision(portal: Portal, *clusters: SimCluster) -> str:
    """The object's name of a first revision that serves on all of them."""
    portal.deployed(clusters, strategy="single")
    names = {serving(cluster) for cluster in clusters}
    assert len(names) == 1
    return names.pop()


def roll_back(portal: Portal, rollout: Rollout) -> None:
    control.rollout_rollback(principal=Principal(portal.people.engineer), rollout=rollout)
