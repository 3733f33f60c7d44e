"""kill -9 of the worker and of Redis: nothing is lost, nothing is done twice, work goes on soon."""

from __future__ import annotations

import time
from collections import defaultdict

import pytest

from fleetportal.accounts.principal import Principal
from rollouts.models import Rollout
from rollouts.services.approvals import vote_cast
from tests.fleet.harness import mutations, ours, serving, until
from tests.process.conftest import Running
from tests.simfleet import SimCluster

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(400)]

NEXT_ACTION = 45.0  # seconds from a kill to the next thing that is done
LONG = 150.0


def test_a_rollout_outlives_three_kills_of_its_worker(processes: Running) -> None:
    portal = processes.portal
    test, staging, production = portal.three()
    rollout = portal.start([test, staging, production])

    until("an apply is under way", lambda: mutations(test), LONG)
    kill_and_measure(processes, rollout, test)

    until("staging starts", lambda: mutations(staging), LONG)
    kill_and_measure(processes, rollout, staging)

    approval = portal.approval(rollout, seconds=LONG)
    approver = Principal(portal.people.approver)
    vote_cast(principal=approver, approval=approval, decision="approve", digest=approval.digest)
    assert mutations(production) == []
    kill_and_measure(processes, rollout, production)

    portal.reach(rollout, "succeeded", seconds=LONG)
    for cluster in (test, staging, production):
        assert serving(cluster)
        assert len(ours(cluster, "InferenceSet")) == 1
        assert not changed_twice(cluster)


def test_a_rollout_goes_on_without_redis_and_with_it_again(processes: Running) -> None:
    portal = processes.portal
    test = portal.add("test")
    staging = portal.add("staging")
    rollout = portal.start([test, staging])
    until("an apply is under way", lambda: mutations(test), LONG)
    processes.redis.kill()
    portal.target_state(rollout, test, "succeeded", seconds=LONG)
    processes.redis.start()
    portal.reach(rollout, "succeeded", seconds=LONG)
    assert not changed_twice(test) and not changed_twice(staging)


def kill_and_measure(processes: Running, rollout: Rollout, cluster: SimCluster) -> None:
    """Kill, start again, and see the rollout's row taken up within NEXT_ACTION seconds."""
    processes.worker.kill()
    token = token_of(rollout)
    killed = time.monotonic()
    processes.worker.start()
    until(f"the next action after a kill on {cluster.name}", lambda: token_of(rollout) > token, 90)
    assert time.monotonic() - killed < NEXT_ACTION


def token_of(rollout: Rollout) -> int:
    """The fence: it counts up whenever a step takes the rollout."""
    return Rollout.objects.values_list("lease_token", flat=True).get(pk=rollout.pk)


def changed_twice(cluster: SimCluster) -> list[str]:
    """Objects that were sent to the cluster with more than one content."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for entry in mutations(cluster):
        if entry["method"] == "PATCH":
            wanted[entry["path"]].add(entry["marks"]["fleetportal.io/desired-hash"])
    return [path for path, hashes in wanted.items() if len(hashes) > 1]
