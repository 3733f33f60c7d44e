"""The fleet and its clusters: what actors, scenarios and the HTTP layer read and write.

Every write of anyone takes the same path (writes.py): schema, managedFields, admission,
resourceVersion, watch events. Everything runs in one event loop and no method awaits, so each call
is atomic. Kinds are named by their Kind ("Pod", "InferenceSet"). Objects are plain dicts; what you
get is a copy.
"""

import asyncio
import random
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from fleetsim import lifecycle, rules, writes
from fleetsim.access import PORTAL_RULES, Rule, User
from fleetsim.clock import Clock
from fleetsim.errors import ApiError
from fleetsim.hooks import Admission, LogHandler, Operation, ProxyHandler, Response
from fleetsim.kinds import BUILTIN, Kind, kinds_of_crd
from fleetsim.owners import Owners
from fleetsim.selectors import label_matcher
from fleetsim.table import Change, Obj, Table
from fleetsim.writes import Write

Watched = tuple[str, str, Obj]
FIRST_RV = 1000
PORTAL_NAMESPACE = "fleetportal-system"
SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class Fleet:
    """All clusters of one process. `speed` divides durations; `seed` makes choices repeatable."""

    def __init__(self, seed: int = 1, speed: float = 1.0) -> None:
        self.seed = seed
        self.speed = speed
        self.clock = Clock()
        self.clusters: dict[str, ClusterStore] = {}
        self.graceful_pods = False
        """True once an actor plays the kubelet: a bound pod then waits for `delete(grace=0)`."""
        self.proxy_handler: ProxyHandler | None = None
        self.log_handler: LogHandler | None = None
        self._subscribers: list[tuple[frozenset[str], asyncio.Queue[Watched]]] = []
        self.on_new_cluster: list[Callable[[ClusterStore], None]] = []
        """Called with every cluster that is added, at start or at run time."""

    def rng(self, name: str) -> random.Random:
        """A fresh generator for `name`: the same seed and name give the same numbers."""
        return random.Random(f"{self.seed}/{name}")

    def seconds(self, duration: float) -> float:
        """Real seconds that a simulated duration takes."""
        return duration / self.speed

    def add_cluster(self, name: str, crds: Iterable[Obj] = ()) -> "ClusterStore":
        """A new empty cluster (system namespaces and `crds` only). Raises ApiError 409 when the
        name is taken.
        """
        if name in self.clusters:
            raise ApiError(409, f'cluster "{name}" already exists', "AlreadyExists")
        cluster = ClusterStore(self, name)
        self.clusters[name] = cluster
        for namespace in (*SYSTEM_NAMESPACES, PORTAL_NAMESPACE):
            cluster.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for crd in crds:
            cluster.seed({**crd, "metadata": dict(crd["metadata"])})
        for callback in self.on_new_cluster:
            callback(cluster)
        return cluster

    def subscribe(self, kinds: Iterable[str], replay: bool = True) -> asyncio.Queue[Watched]:
        """One queue of (cluster name, ADDED|MODIFIED|DELETED, object) over all clusters, new ones
        included.

        With `replay` it begins with an ADDED for everything that exists.
        """
        queue: asyncio.Queue[Watched] = asyncio.Queue()
        wanted = frozenset(kinds)
        self._subscribers.append((wanted, queue))
        if replay:
            for cluster in self.clusters.values():
                for kind in wanted & cluster.kinds.keys():
                    for obj in cluster.list(kind):
                        queue.put_nowait((cluster.name, "ADDED", obj))
        return queue

    def publish(self, cluster: str, kind: Kind, change: Change) -> None:
        """Hand a change to the subscribers of its kind (called by the write path)."""
        for wanted, queue in self._subscribers:
            if kind.kind in wanted:
                queue.put_nowait((cluster, change.type, change.new.load(kind)))


class ClusterStore:
    """One logical cluster: its kinds, objects, admission hooks and handlers of pods."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.fleet = fleet
        self.name = name
        self.rng = fleet.rng(f"cluster/{name}")
        self.rv = FIRST_RV
        self.kinds: dict[str, Kind] = {kind.kind: kind for kind in BUILTIN}
        self.routes = {(kind.group, kind.version, kind.plural): kind for kind in BUILTIN}
        self.users: dict[str, User] = {}
        """Who may do what, by bearer token."""
        self.portal_rules: tuple[Rule, ...] = PORTAL_RULES
        """What the portal's service account may do (its token is made when the cluster is
        published).
        """
        self.tables: dict[str, Table] = {}
        self.owners = Owners()
        self.admission: list[Admission] = []
        self.meta: dict[str, Any] = {}
        """What the scenario says about the cluster (labels, provider, ...); written to
        clusters.json.
        """
        self.version = "v1.33.4"
        self.proxy_handler: ProxyHandler | None = None
        self.log_handler: LogHandler | None = None

    @property
    def uid(self) -> str:
        """The cluster's identity: the uid of its kube-system namespace."""
        return self.table("Namespace").records[("", "kube-system")].uid

    def new_uid(self) -> str:
        """A random (seeded) UUID."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def next_rv(self) -> int:
        """Advance the cluster's resourceVersion."""
        self.rv += 1
        return self.rv

    def kind(self, name: str) -> Kind:
        """The kind served under this Kind name. Raises ApiError 404 when the cluster does not serve
        it.
        """
        try:
            return self.kinds[name]
        except KeyError:
            raise ApiError(404, f'no matches for kind "{name}"') from None

    def table(self, kind: str) -> Table:
        """The objects of a kind. Raises ApiError 404 when the cluster does not serve it."""
        table = self.tables.get(kind)
        if table is None:
            table = self.tables[kind] = Table(self.kind(kind), dropped=FIRST_RV)
        return table

    def put(self, kind: Kind, change: Change, logged: bool = True) -> None:
        """Store a change and tell watches and subscribers (write path only)."""
        self.table(kind.kind).put(change, logged)
        self.fleet.publish(self.name, kind, change)

    def serve_crd(self, crd: Obj) -> None:
        """Serve (or serve anew) the kinds of a CRD. The storage version wins where there are
        several.
        """
        for kind in kinds_of_crd(crd):
            self.kinds[kind.kind] = kind
            self.routes[kind.group, kind.version, kind.plural] = kind
            if kind.kind in self.tables:
                self.tables[kind.kind].kind = kind

    def drop_crd(self, crd: Obj) -> None:
        """Stop serving a CRD's kind and forget its objects; open watches end."""
        name = crd["spec"]["names"]["kind"]
        kind = self.kinds.pop(name, None)
        if kind is not None:
            self.routes.pop((kind.group, kind.version, kind.plural), None)
        table = self.tables.pop(name, None)
        if table is not None:
            table.hang_up()

    def get(self, kind: str, namespace: str | None, name: str) -> Obj | None:
        """A copy of one object, or None. `namespace` is None for cluster-scoped kinds."""
        record = self.table(kind).records.get((namespace or "", name))
        return record.load(self.kinds[kind]) if record else None

    def list(
        self, kind: str, namespace: str | None = None, selector: str | dict[str, str] | None = None
    ) -> list[Obj]:
        """Copies of all objects of a kind, optionally of one namespace or with matching labels."""
        matches = label_matcher(selector)
        table = self.table(kind)
        return [row.load(table.kind) for row in table.rows(namespace) if matches(row.labels)]

    def create(self, obj: Obj, *, manager: str = "fleetsim", dry_run: bool = False) -> Obj:
        """Create as POST does. Raises ApiError (409 AlreadyExists, 404 namespace, 422, admission's
        400 ...).
        """
        return writes.create(self, self._kind_of(obj), obj, Write(manager, dry_run=dry_run))

    def update(self, obj: Obj, *, manager: str = "fleetsim", dry_run: bool = False) -> Obj:
        """Replace as PUT does; checks metadata.resourceVersion. Raises ApiError (409 when stale,
        404 ...).
        """
        return writes.replace(self, self._kind_of(obj), obj, Write(manager, dry_run=dry_run))

    def update_status(self, obj: Obj, *, manager: str = "fleetsim") -> Obj:
        """Replace the status subresource only; checks metadata.resourceVersion."""
        return writes.replace(self, self._kind_of(obj), obj, Write(manager, subresource="status"))

    def apply(
        self,
        obj: Obj,
        *,
        manager: str,
        force: bool = False,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Obj:
        """Server-side apply. Raises ApiError 409 with the conflicts unless `force`."""
        options = Write(manager, subresource=subresource, force=force, dry_run=dry_run)
        return writes.apply(self, self._kind_of(obj), obj, options)[0]

    def patch(
        self,
        kind: str,
        namespace: str | None,
        name: str,
        patch: Obj,
        *,
        manager: str = "fleetsim",
        subresource: str = "",
    ) -> Obj:
        """JSON merge patch (RFC 7396); no resourceVersion needed. Raises ApiError 404."""
        options = Write(manager, subresource=subresource)
        key = (namespace or "", name)
        return writes.patch(self, self.kind(kind), key, "merge", patch, options)

    def delete(
        self,
        kind: str,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str = "Background",
        grace: int | None = None,
    ) -> Obj:
        """Delete; finalizers only mark it. Returns the last state. Raises ApiError 404, 409
        (preconditions).

        `propagation` is Background, Foreground or Orphan. `grace=0` removes a pod that is
        terminating.
        """
        options = lifecycle.Delete(uid, resource_version, propagation, grace)
        return lifecycle.delete(self, self.kind(kind), (namespace or "", name), options)

    def seed(self, obj: Obj) -> Obj:
        """Fast path for scenarios: store as it is (status included), without schema, admission or
        managedFields.

        Sets uid, resourceVersion, generation and creationTimestamp where missing. The object must
        be new.
        """
        kind = self._kind_of(obj)
        meta = obj["metadata"]
        if kind.kind in ("Namespace", "CustomResourceDefinition"):
            rules.on_create(self, kind, obj)
        meta.setdefault("uid", self.new_uid())
        meta.setdefault("creationTimestamp", self.fleet.clock.stamp())
        if kind.generation:
            meta.setdefault("generation", 1)
        meta["resourceVersion"] = str(self.next_rv())
        writes.store(self, kind, "ADDED", obj, None, logged=False)
        return obj

    def subscribe(
        self, kinds: Iterable[str], replay: bool = True
    ) -> asyncio.Queue[tuple[str, Obj]]:
        """A queue of (ADDED|MODIFIED|DELETED, object) for these kinds of this cluster. For many
        clusters use `Fleet.subscribe`. With `replay` it begins with an ADDED for everything that
        exists.
        """
        queue: asyncio.Queue[tuple[str, Obj]] = asyncio.Queue()
        for name in kinds:
            table = self.table(name)
            if replay:
                for obj in self.list(name):
                    queue.put_nowait(("ADDED", obj))
            table.listeners.append(_feed(queue, table.kind))
        return queue

    def _kind_of(self, obj: Obj) -> Kind:
        kind = self.kind(str(obj.get("kind", "")))
        if obj.get("apiVersion") != kind.api_version:
            text = f'no matches for kind "{kind.kind}" in version "{obj.get("apiVersion")}"'
            raise ApiError(404, text)
        return kind


def _feed(queue: asyncio.Queue[tuple[str, Obj]], kind: Kind) -> Callable[[Change], None]:
    return lambda change: queue.put_nowait((change.type, change.new.load(kind)))


__all__ = ["Admission", "ApiError", "Clock", "ClusterStore", "Fleet", "LogHandler", "Obj",
           "Operation", "ProxyHandler", "Response"]  # fmt: skip
