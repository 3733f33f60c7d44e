"""The executor under a random schedule: doubled steps, leases that run out under their holders."""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import close_old_connections, connections
from django.utils import timezone

from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.pulse.ticker import Ticker
from rollouts.models import Rollout, Target
from rollouts.services.approvals import vote_cast
from rollouts.services.step import rollout_advance
from tests.fleet import harness
from tests.fleet.harness import Collector, Portal, mutations, ours, serving
from tests.simfleet import SimCluster, SimFleet
from tests.support import People
from workspaces.models import Claim, Workspace

RUNNERS = 3


class Disorder:
    """Threads that do what is due, do it twice, and let leases run out while somebody works."""

    def __init__(self, seed: int) -> None:
        self._stop = threading.Event()
        self.done: Counter[str] = Counter()
        self.errors: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed}/{number}"),))
            for number in range(RUNNERS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> bool:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, rng: random.Random) -> None:
        acts = {"tick": 6, "advance": 4, "expire": 2, "forget": 1}
        while not self._stop.wait(rng.uniform(0.02, 0.15)):
            act = rng.choices(list(acts), list(acts.values()))[0]
            try:
                getattr(self, f"_{act}")()
                self.done[act] += 1
            except Exception as error:
                self.errors.append(error)
            close_old_connections()
        connections.close_all()

    def _tick(self) -> None:
        Ticker().tick()

    def _advance(self) -> None:
        for pk in Rollout.objects.values_list("pk", flat=True):
            rollout_advance(str(pk))

    def _expire(self) -> None:
        past = timezone.now() - timedelta(seconds=1)
        for model in (Rollout, Workspace):
            model.objects.filter(lease_expires_at__isnull=False).update(lease_expires_at=past)

    def _forget(self) -> None:
        Rollout.objects.update(not_before=None)
        Target.objects.update(not_before=None)


@pytest.fixture(params=[1, 2])
def disorder(request: pytest.FixtureRequest) -> Disorder:
    return Disorder(request.param)


@pytest.fixture
def disordered(sim: SimFleet, everybody: People, disorder: Disorder) -> Iterator[Portal]:
    harness.quick_strategy(stage={"max_concurrency": 1})
    with harness.running(sim, everybody, Collector(), disorder) as portal:
        yield portal


def test_doubled_and_overtaken_steps_change_every_cluster_once(
    disordered: Portal, disorder: Disorder
) -> None:
    clusters = disordered.three()
    rollout = disordered.start(clusters)
    approval = disordered.approval(rollout)
    assert mutations(clusters[2]) == []
    approver = Principal(disordered.people.approver)
    vote_cast(principal=approver, approval=approval, decision="approve", digest=approval.digest)
    disordered.reach(rollout, "succeeded")
    assert disorder.errors == []
    assert disorder.done["expire"] and disorder.done["advance"]

    for cluster in clusters:
        assert serving(cluster) and len(ours(cluster, "InferenceSet")) == 1
        assert all(len(hashes) == 1 for hashes in contents(cluster).values())
    assert Claim.objects.filter(released_at=None).count() == 3
    for target in Target.objects.filter(rollout=rollout):
        moves = Event.objects.filter(object_id=str(target.pk)).values_list("action", flat=True)
        assert Counter(moves)["target.succeeded"] == 1
    ended = Event.objects.filter(object_id=str(rollout.pk), action="rollout.succeeded")
    assert ended.count() == 1


def contents(cluster: SimCluster) -> dict[str, set[str]]:
    """The wanted hashes that were ever sent for each path."""
    found: dict[str, set[str]] = defaultdict(set)
    for entry in mutations(cluster):
        if entry["method"] == "PATCH":
            found[entry["path"]].add(entry["marks"]["fleetportal.io/desired-hash"])
    return found
