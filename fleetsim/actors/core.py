"""The actors' loop: changes of objects and timers in, one reconcile per touched object out.

One queue and one task serve the whole fleet, so idle clusters cost nothing. A reconcile that the
API refuses is tried again later, as a controller's work queue does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from fleetsim.actors import (
    admission,
    cloud,
    endpoints,
    exporters,
    inferenceset,
    kubelet,
    loads,
    naming,
    runtime,
    scheduler,
    statefulsets,
    timing,
    workspace,
)
from fleetsim.actors.agenda import Agenda
from fleetsim.actors.member import Member
from fleetsim.actors.objects import Obj, key_of, labels, meta
from fleetsim.actors.spec import ClusterSpec
from fleetsim.store import ApiError, ClusterStore, Fleet, Response
from fleetsim.table import Record

Key = tuple[str, str, str, str]  # cluster, controller, namespace, name
Reconcile = Callable[[Member, str, str], None]
KINDS = (
    "Workspace", "InferenceSet", "NodeClaim", "NodePool", "Node", "Pod",
    "Service", "StatefulSet", "ConfigMap",
)  # fmt: skip
BATCH = 200
log = logging.getLogger(__name__)

CONTROLLERS: dict[str, Reconcile] = {
    "workspace": workspace.reconcile,
    "inferenceset": inferenceset.reconcile,
    "claim": cloud.reconcile_claim,
    "pool": cloud.reconcile_pool,
    "statefulset": statefulsets.reconcile,
    "scheduler": scheduler.reconcile,
    "kubelet": kubelet.reconcile,
    "endpoints": endpoints.reconcile,
    "exporter": exporters.reconcile,
}


class Actors:
    """Everything that acts in a fleet. `settle` does all that can be done now; `run` for ever."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.agenda = Agenda(fleet)
        self.members: dict[str, Member] = {}
        self._dirty: dict[Key, None] = {}
        self._queue: asyncio.Queue[tuple[str, str, Obj]] | None = None
        fleet.graceful_pods = True
        fleet.proxy_handler = self._proxy
        fleet.log_handler = self._log

    def attach(self, store: ClusterStore, spec: ClusterSpec) -> Member:
        """Let actors work in a cluster: admission from now on, controllers once the loop runs."""
        name = store.name

        def enqueue(controller: str, namespace: str, obj: str) -> None:
            self._dirty[(name, controller, namespace, obj)] = None

        member = Member(store, spec, self.agenda, enqueue)
        member.joined = loads.millis(member)
        self.members[name] = member
        store.admission.append(admission.Webhook(member))
        if self._queue is not None:
            self._scan(member)
        return member

    def start(self) -> None:
        """Subscribe, and look once at everything that is already there."""
        if self._queue is not None:
            return
        self._queue = self.fleet.subscribe(KINDS, replay=False)
        for member in self.members.values():
            self._scan(member)

    def _scan(self, member: Member) -> None:
        store = member.store
        for name in (name for name in KINDS if name != "Node" and name in store.kinds):
            for record in store.table(name).rows(None):
                if not _settled(record):
                    self._route(member, "ADDED", record.load(store.kinds[name]))

    def rush(self, limit: int = 500) -> None:
        """Settle and run timers early, at most `limit`: for worlds that begin grown."""
        while not self.settle() and limit and self.agenda.run_next():
            limit -= 1

    def wake(self) -> None:
        """Make a sleeping loop look again, after a setting was changed from outside."""
        if self._queue is not None:
            self._queue.put_nowait(("", "WAKE", {}))

    def settle(self, limit: int | None = None) -> bool:
        """Handle events, due timers and touched objects until quiet (or `limit` reconciles).

        True when something is left to do at once.
        """
        self.start()
        done = 0
        while True:
            self.agenda.run_due()
            self._drain()
            if not self._dirty:
                return False
            key = next(iter(self._dirty))
            del self._dirty[key]
            self._reconcile(key)
            done += 1
            if limit is not None and done >= limit:
                return True

    async def run(self) -> None:
        """Settle, then sleep until an event or the next timer."""
        while True:
            if self._settle_some():
                await asyncio.sleep(0)
            else:
                await self._sleep()

    def _settle_some(self) -> bool:
        """One batch. An error of an actor is logged and its object left alone; the others go on."""
        try:
            return self.settle(BATCH)
        except Exception:
            log.exception("an actor failed")
            return True

    async def _sleep(self) -> None:
        queue = self._queue
        if queue is None:
            return
        try:
            event = await asyncio.wait_for(queue.get(), self.agenda.wait())
        except TimeoutError:
            return
        self._take(event)

    def _drain(self) -> None:
        queue = self._queue
        while queue is not None and not queue.empty():
            self._take(queue.get_nowait())

    def _take(self, event: tuple[str, str, Obj]) -> None:
        cluster, change, obj = event
        member = self.members.get(cluster)
        if member is not None and self.fleet.clusters.get(cluster) is member.store:
            self._route(member, change, obj)

    def _reconcile(self, key: Key) -> None:
        cluster, controller, namespace, name = key
        member = self.members[cluster]
        try:
            CONTROLLERS[controller](member, namespace, name)
        except ApiError as error:
            log.info("%s %s %s/%s: %s", cluster, controller, namespace, name, error.message)
            self.agenda.after(timing.RECONCILE_RETRY, lambda: self._dirty.setdefault(key))

    def _route(self, m: Member, change: str, obj: Obj) -> None:
        route = _ROUTES.get(obj["kind"])
        if route is not None:
            route(m, change, obj)

    def _proxy(self, store: ClusterStore, pod: Obj, *request: object) -> Response:
        return runtime.answer(self._member(store), pod, *request)  # type: ignore[arg-type]

    def _log(
        self, store: ClusterStore, pod: Obj, container: str, previous: bool, tail: int | None
    ) -> str:
        return runtime.log_text(self._member(store), pod, previous, tail)

    def _member(self, store: ClusterStore) -> Member:
        member = self.members.get(store.name)
        if member is None:
            raise ApiError(
                503, "error trying to reach service: dial tcp: connect: connection refused"
            )
        return member


def _settled(record: Record) -> bool:
    """A running pod that is nothing to KAITO: nobody needs to look at it."""
    running = record.fields.get("status.phase") == "Running"
    return running and naming.WORKSPACE not in record.labels


def _on_workspace(m: Member, change: str, obj: Obj) -> None:
    namespace, name = key_of(obj)
    m.enqueue("workspace", namespace, name)
    owner = inferenceset.owner_of(obj)
    if owner and m.spec.inference_sets:
        m.enqueue("inferenceset", namespace, owner)


def _on_set(m: Member, change: str, obj: Obj) -> None:
    if m.spec.inference_sets:
        m.enqueue("inferenceset", *key_of(obj))


def _workspace_of_labels(m: Member, found: dict[str, str]) -> None:
    name = found.get(naming.WORKSPACE) or found.get(naming.KARPENTER_WORKSPACE)
    namespace = found.get(naming.WORKSPACE_NAMESPACE) or found.get(naming.KARPENTER_NAMESPACE)
    if name and namespace:
        m.enqueue("workspace", namespace, name)


def _on_claim(m: Member, change: str, obj: Obj) -> None:
    m.enqueue("claim", "", meta(obj)["name"])
    _workspace_of_labels(m, labels(obj))


def _on_pool(m: Member, change: str, obj: Obj) -> None:
    m.enqueue("pool", "", meta(obj)["name"])


def _on_node(m: Member, change: str, obj: Obj) -> None:
    if change == "DELETED":
        kubelet.node_lost(m, meta(obj)["name"])
    elif m.spec.exporters:
        m.enqueue("exporter", "", meta(obj)["name"])
    m.enqueue("scheduler", "", "")
    _workspace_of_labels(m, labels(obj))
    if m.spec.byo:
        for workspace_obj in m.store.list("Workspace"):
            m.enqueue("workspace", *key_of(workspace_obj))


def _on_pod(m: Member, change: str, obj: Obj) -> None:
    namespace, name = key_of(obj)
    if change == "DELETED":
        kubelet.forget(m, obj)
        m.enqueue("scheduler", "", "")
    else:
        m.enqueue("kubelet", namespace, name)
    for ref in meta(obj).get("ownerReferences") or ():
        if ref["kind"] == "StatefulSet":
            m.enqueue("statefulset", namespace, ref["name"])
    owner = labels(obj).get(naming.WORKSPACE)
    if owner:
        m.enqueue("workspace", namespace, owner)
    for service in endpoints.services_of(m, obj):
        m.enqueue("endpoints", namespace, service)


def _on_service(m: Member, change: str, obj: Obj) -> None:
    m.enqueue("endpoints", *key_of(obj))


def _on_stateful_set(m: Member, change: str, obj: Obj) -> None:
    namespace, name = key_of(obj)
    m.enqueue("statefulset", namespace, name)
    if change == "DELETED" and labels(obj).get(naming.WORKSPACE):
        m.enqueue("workspace", namespace, labels(obj)[naming.WORKSPACE])


def _on_config(m: Member, change: str, obj: Obj) -> None:
    """The webhook's cache hears of ConfigMaps here; when it shows them is admission's affair."""
    if change == "DELETED":
        m.configs.pop(key_of(obj), None)
    elif m.configs.get(key_of(obj), ("",))[0] != meta(obj)["uid"]:
        m.configs[key_of(obj)] = (meta(obj)["uid"], m.now())


_ROUTES: dict[str, Callable[[Member, str, Obj], None]] = {
    "Workspace": _on_workspace,
    "InferenceSet": _on_set,
    "NodeClaim": _on_claim,
    "NodePool": _on_pool,
    "Node": _on_node,
    "Pod": _on_pod,
    "Service": _on_service,
    "StatefulSet": _on_stateful_set,
    "ConfigMap": _on_config,
}
