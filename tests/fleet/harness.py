"""A whole portal in one process against simulated clusters, for tests of what clusters end up with.

The collector runs on a thread of its own, a pump does what a worker's ticker does without a broker,
and the test talks to services or to the REST API. Every wait is for a condition, with a deadline.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import msgspec
from django.conf import settings
from django.db import close_old_connections, connections

from clusters.collector.fleet import Fleet
from clusters.engine.credential import parse_fields
from clusters.engine.inventory import Quota
from clusters.gateway.client import forget_gateways
from clusters.models import Cluster
from clusters.services.registration import Registration, cluster_register
from fleetportal.accounts.principal import Principal
from fleetportal.pulse.ticker import Ticker
from rollouts.engine.types import ApprovalMode, StageSpec, StrategySpec
from rollouts.models import Approval, Rollout, Strategy, Target
from rollouts.services.start import rollout_start
from tests.simfleet import SimCluster, SimFleet
from tests.support import People
from workspaces.engine.types import Requirement
from workspaces.models import Claim, Deployment, Plan, Workspace
from workspaces.services.catalog import catalog_sync
from workspaces.services.plans import plan_create, plan_wait

T = TypeVar("T")
PATIENCE = 60.0  # seconds; a condition that takes longer does not come
MODEL = "phi-4-mini-instruct"
NAMESPACE = "fp-assist"
OURS = ("InferenceSet", "Workspace", "ConfigMap", "Secret", "Service")
L4 = {"instance_type": "g6.xlarge", "pool": "l4", "count": 4}
ENVIRONMENTS = ("test", "staging", "production")
MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_numbers = itertools.count(1)


def until(what: str, condition: Callable[[], T | None], seconds: float = PATIENCE) -> T:
    """The condition's value as soon as it is true. Fails the test with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)
    return found


def quick_strategy(slug: str = "quick", **changes: Any) -> StrategySpec:
    """Three stages by environment with approval before production, no soak, nothing kept."""
    rest = {"keep_old_for_seconds": 0, **changes}
    stage = rest.pop("stage", {})
    spec = StrategySpec(
        stages=tuple(
            StageSpec(
                name=name,
                selector=(Requirement("environment", "In", (name,)),),
                approval=ApprovalMode.BEFORE if name == "production" else ApprovalMode.NONE,
                **stage,
            )
            for name in ENVIRONMENTS
        ),
        **rest,
    )
    return store_strategy(slug, spec)


def single_stage(slug: str = "single", **changes: Any) -> StrategySpec:
    """One stage for every cluster, no gate."""
    rest = {"keep_old_for_seconds": 0, **changes}
    stage = {"max_concurrency": 2, **rest.pop("stage", {})}
    return store_strategy(slug, StrategySpec(stages=(StageSpec(name="all", **stage),), **rest))


def store_strategy(slug: str, spec: StrategySpec) -> StrategySpec:
    Strategy.objects.update_or_create(
        slug=slug, defaults={"name": slug, "spec": msgspec.to_builtins(spec)}
    )
    return spec


class Part(Protocol):
    """Something of the portal that runs beside the test. `stop`: whether it has ended."""

    def start(self) -> None: ...

    def stop(self) -> bool: ...


class Portal:
    """The running portal. `clusters`: the simulated ones by name."""

    def __init__(self, sim: SimFleet, people: People, parts: Sequence[Part] = ()) -> None:
        self.sim = sim
        self.people = people
        self.clusters: dict[str, SimCluster] = {}
        self.parts = parts or (Pump(), Collector())

    def add(self, environment: str = "test", *, wait: bool = True, **spec: Any) -> SimCluster:
        """A fresh cluster, registered, probed and observed."""
        wanted = {"environment": environment, "nodes": [dict(L4)], "cache_lag": 0.0, **spec}
        name = f"{environment[:4]}-{next(_numbers)}"
        cluster = self.sim.add_cluster(name, **wanted)
        self.clusters[name] = cluster
        self.register(cluster)
        if wait:
            self.ready(cluster)
        return cluster

    def three(self, **spec: Any) -> tuple[SimCluster, SimCluster, SimCluster]:
        """One cluster of each environment."""
        test, staging, production = (self.add(name, wait=False, **spec) for name in ENVIRONMENTS)
        for cluster in (test, staging, production):
            self.ready(cluster)
        return test, staging, production

    def register(self, cluster: SimCluster, name: str = "") -> Cluster:
        info = cluster.info
        registration = Registration(
            name=name or cluster.name,
            credential=parse_fields(
                server=cluster.server, ca_pem=cluster.ca_pem, token=cluster.token
            ),
            environment=info["environment"],
            region=info["region"],
            provider=info["provider"],
            labels=info["labels"],
            quotas=tuple(Quota(q["instance_type"], q["nodes"]) for q in info["quotas"]),
            simulated=True,
        )
        operator = Principal(self.people.operator)
        return cluster_register(principal=operator, registration=registration)[0]

    def row(self, cluster: SimCluster) -> Cluster:
        return Cluster.objects.get(name=cluster.name)

    def ready(self, cluster: SimCluster) -> None:
        """Wait until the portal has seen what the cluster holds."""
        until(
            f"{cluster.name} is ready and observed",
            lambda: (
                Cluster.objects.filter(name=cluster.name, state="ready", observed_at__isnull=False)
                .exclude(pools_packed=b"")
                .exists()
            ),
        )

    def plan(
        self,
        clusters: Iterable[SimCluster],
        *,
        name: str = "chat",
        strategy: str = "quick",
        **more: Any,
    ) -> Plan:
        """A plan for exactly these clusters, one replica each."""
        names = [cluster.name for cluster in clusters]
        plan = plan_create(
            principal=Principal(self.people.engineer),
            team=self.people.assist,
            name=name,
            model=MODEL,
            strategy=strategy,
            policy={"placement_type": "PickFixed", "cluster_names": names},
            **{"replicas": len(names), "max_model_len": 2048, **more},
        )
        plan = plan_wait(plan, seconds=20)
        assert plan.state == "ready", (plan.state, plan.blocked_reason)
        return plan

    def start(self, clusters: Iterable[SimCluster], **asked: Any) -> Rollout:
        plan = self.plan(clusters, **asked)
        return rollout_start(
            principal=Principal(self.people.engineer), plan=plan, digest=plan.digest
        )

    def deployed(self, clusters: Iterable[SimCluster], **asked: Any) -> Deployment:
        """A deployment that serves on these clusters."""
        rollout = self.start(clusters, **asked)
        self.reach(rollout, "succeeded")
        return rollout.deployment

    def reach(self, rollout: Rollout, *states: str, seconds: float = PATIENCE) -> Rollout:
        """Wait until the rollout is in one of the states; says where it stands if it never is."""

        def there() -> bool:
            rollout.refresh_from_db()
            return rollout.state in states

        try:
            until(f"rollout {states}", there, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{describe(rollout)}") from None
        return rollout

    def approval(
        self, rollout: Rollout, state: str = "waiting", seconds: float = PATIENCE
    ) -> Approval:
        """The request for approval, once the rollout asks for it."""
        rows = Approval.objects.filter(rollout=rollout, state=state).order_by("-created_at")
        try:
            return until("an approval is asked for", rows.first, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{describe(rollout)}") from None

    def target(self, rollout: Rollout, cluster: SimCluster) -> Target:
        return Target.objects.select_related("new", "old", "restored").get(
            rollout=rollout, cluster__name=cluster.name
        )

    def target_state(
        self, rollout: Rollout, cluster: SimCluster, *states: str, seconds: float = PATIENCE
    ) -> Target:
        def there() -> Target | None:
            found = self.target(rollout, cluster)
            return found if found.state in states else None

        try:
            return until(f"{cluster.name} is {states}", there, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{describe(rollout)}") from None

    def __enter__(self) -> Portal:
        catalog_sync()
        for part in self.parts:
            part.start()
        return self

    def __exit__(self, *_: object) -> None:
        stuck = [part for part in self.parts if not part.stop()]
        assert not stuck, f"does not stop: {stuck}"
        for cluster in self.clusters.values():
            cluster.clear_faults()
            self.sim.control("DELETE", f"/_sim/clusters/{cluster.name}")
        forget_gateways()


class Pump:
    """Does what is due, again and again: the ticker of a worker whose broker is down.

    A new ticker for each look, so that a step which is due again is not left alone for seconds.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> bool:
        self._stop.set()
        self._thread.join(60)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(0.15):
            Ticker().tick()
            close_old_connections()
        connections.close_all()


class Collector:
    """The collector's loop on a thread."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> bool:
        if not self._thread.is_alive():
            return True
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(Fleet(self._name).run(self._stop))
        self._loop.close()


@contextmanager
def running(sim: SimFleet, people: People, *parts: Part) -> Iterator[Portal]:
    settings_were = settings.ALLOW_LOOPBACK_CLUSTERS
    settings.ALLOW_LOOPBACK_CLUSTERS = True
    try:
        with Portal(sim, people, parts) as portal:
            yield portal
    finally:
        settings.ALLOW_LOOPBACK_CLUSTERS = settings_were


# -- what clusters were asked, and hold ------------------------------------------------------------


def mutations(cluster: SimCluster, after: int = 0) -> list[dict[str, Any]]:
    """The portal's requests that change what the cluster holds, in their order."""
    return [
        entry
        for entry in cluster.log(after)
        if entry["method"] in MUTATING
        and entry["user"].endswith(":fleetportal")
        and not entry["dry_run"]
        and "accessreviews" not in entry["resource"]
        and "/proxy" not in entry["path"]
    ]


def ours(cluster: SimCluster, *kinds: str) -> list[str]:
    """ "Kind/name" of every object of these kinds that carries our label."""
    return sorted(
        f"{kind}/{obj['metadata']['name']}"
        for kind in kinds or OURS
        for obj in cluster.objects(kind)
        if "fleetportal.io/install" in (obj["metadata"].get("labels") or {})
    )


def left_of(cluster: SimCluster, *more: str) -> list[str]:
    """What is on the cluster that a deployment brought: objects, children, pods, `more` kinds."""
    made = [
        f"{kind}/{obj['metadata']['name']}"
        for kind in ("Workspace", "InferenceSet", "Pod", "StatefulSet", *more)
        for obj in cluster.objects(kind)
        if obj["metadata"].get("namespace", "") in ("", NAMESPACE)
    ]
    return sorted({*made, *ours(cluster, "ConfigMap", "Secret", "Service")})


def serving(cluster: SimCluster, name: str = "chat") -> str:
    """The InferenceSet that the deployment's Service selects; empty without a Service."""
    for service in cluster.objects("Service", NAMESPACE):
        if service["metadata"]["name"] == name:
            return str(service["spec"]["selector"]["inferenceset.kaito.sh/created-by"])
    return ""


def claims_on(cluster: SimCluster) -> int:
    """Nodes of the cluster that are promised to a workspace."""
    return Claim.objects.filter(pool__cluster__name=cluster.name, released_at=None).count()


def describe(rollout: Rollout) -> str:
    """Where a rollout stands, for a failed test."""
    rollout.refresh_from_db()
    lines = [f"{rollout.state} {rollout.waiting_for}"]
    for stage in rollout.stages.all():
        gates = [(gate.kind, gate.state) for gate in stage.gates.all()]
        lines.append(f"  {stage.name} {stage.state} {gates}")
        for t in stage.targets.select_related("cluster"):
            lines.append(
                f"    {t.cluster.name} ({t.cluster.state}) {t.state}/{t.phase} {t.serving} "
                f"{t.problem_kind} {t.message} slot={t.slot} flight={t.in_flight_until}"
            )
    for w in Workspace.objects.filter(deployment=rollout.deployment).select_related("cluster"):
        lines.append(
            f"  {w.name} on {w.cluster.name}: {w.state} {w.reason} {w.message} {w.observed} "
            f"{w.ready_replicas} seen={w.observed_at}"
        )
    return "\n".join(lines)
