"""The way forward of a rollout: gates, concurrency, pauses, faults and retries."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fleetportal.accounts.principal import Principal
from rollouts.services import control
from tests.fleet.harness import Portal, left_of, mutations, ours, serving, single_stage, until
from tests.simfleet import SimCluster

QUEUED = "queued"


def test_at_most_max_concurrency_clusters_are_changed_and_not_yet_verified(portal: Portal) -> None:
    single_stage("one-by-one", stage={"max_concurrency": 1})
    clusters = [portal.add(wait=False) for _ in range(3)]
    for cluster in clusters:
        portal.ready(cluster)
    rollout = portal.start(clusters, strategy="one-by-one")
    portal.reach(rollout, "succeeded")
    spans = sorted(span(cluster) for cluster in clusters)
    for (_, switched), (begun, _) in pairwise(spans):
        assert switched < begun, "the next cluster was changed before the one before it served"


def span(cluster: SimCluster) -> tuple[int, int]:
    """The first change on the cluster and the moment its Service was made (request numbers)."""
    asked = mutations(cluster)
    made = next(e["seq"] for e in asked if e["resource"] == "services")
    return asked[0]["seq"], made


def test_a_paused_rollout_finishes_what_is_in_flight_and_begins_nothing_new(
    portal: Portal,
) -> None:
    test, staging = portal.add("test"), portal.add("staging")
    engineer = Principal(portal.people.engineer)
    test.change(faults=[{"kind": "image"}])
    rollout = portal.start([test, staging])
    portal.target_state(rollout, test, "starting")
    control.rollout_pause(principal=engineer, rollout=rollout, reason="Lunch.")
    portal.reach(rollout, "paused")
    test.change(faults=[])
    portal.target_state(rollout, test, "succeeded")
    assert mutations(staging) == []
    assert portal.target(rollout, staging).state == QUEUED
    rollout.refresh_from_db()
    assert rollout.state == "paused" and rollout.waiting_for["kind"] == "paused"
    control.rollout_resume(principal=engineer, rollout=rollout)
    portal.reach(rollout, "succeeded")
    assert serving(staging)


def test_a_target_that_was_late_succeeds_on_a_retry_once_the_fault_is_gone(portal: Portal) -> None:
    single_stage("strict", stage={"deadline_seconds": 6})
    cluster = portal.add()
    cluster.change(faults=[{"kind": "image"}])
    rollout = portal.start([cluster], strategy="strict")
    portal.reach(rollout, "failed")
    target = portal.target(rollout, cluster)
    assert target.state == "failed" and "deadline" in target.message
    assert rollout.waiting_for["kind"] == "decision"
    assert serving(cluster) == "", "what never got ready never served"
    cluster.change(faults=[])
    until("it got ready by itself", lambda: portal.target(rollout, cluster).new.state == "ready")  # type: ignore[union-attr]
    control.rollout_retry(principal=Principal(portal.people.engineer), rollout=rollout)
    portal.reach(rollout, "succeeded")
    target = portal.target(rollout, cluster)
    assert target.attempt == 2
    assert len(ours(cluster, "InferenceSet")) == 1, "a retry goes on with the same object"


def test_the_webhooks_cache_lag_is_waited_for(portal: Portal) -> None:
    cluster = portal.add(cache_lag=1.0)
    rollout = portal.start([cluster], strategy="single")
    portal.reach(rollout, "succeeded")
    answers = [e["code"] for e in mutations(cluster) if e["resource"].startswith("inferencesets")]
    assert answers[0] == 400 and answers[-1] == 201
    assert set(answers[:-1]) == {400}


def test_a_field_that_somebody_else_owns_stops_the_target_as_a_conflict(portal: Portal) -> None:
    cluster = portal.add()
    until("a first one serves", lambda: portal.deployed([cluster], strategy="single"))
    cluster.edit(
        "Service",
        "fp-assist",
        "chat",
        {"spec": {"selector": {"apps.kubernetes.io/pod-index": "7"}}},
    )
    rollout = portal.start([cluster], strategy="single")
    portal.reach(rollout, "failed")
    target = portal.target(rollout, cluster)
    assert target.state == "conflict" and "kubectl" in target.message
    last = mutations(cluster)[-1]
    assert (last["resource"], last["code"]) == ("services", 409)


@pytest.mark.parametrize("kind", ["reset", "lost_answer"])
def test_an_apply_whose_answer_is_lost_is_repeated_with_the_same_content(
    portal: Portal, kind: str
) -> None:
    cluster = portal.add()
    cluster.fault(kind, verb="patch", resource="inferencesets.kaito.sh", count=1)
    rollout = portal.start([cluster], strategy="single")
    portal.reach(rollout, "succeeded")
    assert len(ours(cluster, "InferenceSet")) == 1
    wanted = {
        e["marks"]["fleetportal.io/desired-hash"]
        for e in mutations(cluster)
        if e["resource"].startswith("inferencesets")
    }
    assert len(wanted) == 1
    assert left_of(cluster)
