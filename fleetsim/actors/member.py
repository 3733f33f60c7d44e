"""What the actors of one cluster share: its store, its spec, timers, and the little they remember.

Truth lives in the objects. Kept here is only what a real kubelet, cache or engine holds in memory.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fleetsim.actors.agenda import Agenda
from fleetsim.actors.floor import Floor
from fleetsim.actors.loads import Loads
from fleetsim.actors.objects import Obj, digest, key_of, meta
from fleetsim.actors.spec import ClusterSpec
from fleetsim.store import ApiError, ClusterStore

Enqueue = Callable[[str, str, str], None]


@dataclass(slots=True)
class Progress:
    """How far a model pod is. Stages: image, weights, load, benchmark, serving, stuck."""

    stage: str
    since: datetime
    seconds: float = 0.0  # real seconds this stage takes
    result: dict[str, Any] | None = None  # the benchmark's, once there
    benchmark_failed: bool = False
    restarts: int = 0
    last: Obj | None = None  # how the previous container ended; lingers in the pod's status


@dataclass(slots=True)
class Member:
    """One cluster as its actors see it."""

    store: ClusterStore
    spec: ClusterSpec
    agenda: Agenda
    enqueue: Enqueue
    configs: dict[tuple[str, str], tuple[str, datetime]] = field(default_factory=dict)
    progress: dict[str, Progress] = field(default_factory=dict)
    loads: Loads = field(default_factory=Loads)
    floor: Floor = field(default_factory=Floor)
    joined: int = 0  # ms since 1970: when the actors came
    busy: set[str] = field(default_factory=set)  # uids that a timer already serves
    pending: set[tuple[str, str]] = field(default_factory=set)  # pods without a node
    addresses: int = 0

    def now(self) -> datetime:
        """Wall clock."""
        return self.store.fleet.clock.now()

    def stamp(self) -> str:
        """Wall clock as Kubernetes writes it."""
        return self.store.fleet.clock.stamp()

    def rng(self, purpose: str) -> random.Random:
        """Seeded randomness for one purpose in this cluster."""
        return self.store.fleet.rng(f"{self.store.name}/{purpose}")

    def next_ip(self) -> str:
        """A fresh pod address."""
        self.addresses += 1
        return f"10.244.{self.addresses // 250}.{self.addresses % 250 + 2}"

    def once(self, uid: str, seconds: float, step: Callable[[], None]) -> None:
        """Run `step` after simulated seconds, unless a timer for this uid is already set."""
        if uid in self.busy:
            return
        self.busy.add(uid)

        def run() -> None:
            self.busy.discard(uid)
            step()

        self.agenda.after(seconds, run)

    def event(self, about: Obj, reason: str, message: str, warning: bool = False) -> None:
        """A Kubernetes Event; a repeated one only counts up."""
        namespace, name = key_of(about)
        where = namespace or "default"
        event_name = f"{name}.{digest(meta(about)['uid'] + reason + message, 16)}"
        old = self.store.get("Event", where, event_name)
        stamp = self.stamp()
        if old is not None:
            old["count"], old["lastTimestamp"] = old["count"] + 1, stamp
            self.store.update(old, manager="kubelet")
            return
        try:
            self.store.create(self._event(about, where, event_name, reason, message, warning))
        except ApiError as error:
            if error.code != 403:  # a terminating namespace takes no events
                raise

    def _event(
        self, about: Obj, where: str, name: str, reason: str, message: str, warning: bool
    ) -> Obj:
        stamp = self.stamp()
        target = {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": meta(about)["name"],
        }
        target |= {"uid": meta(about)["uid"], "namespace": meta(about).get("namespace", "")}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": where},
            "involvedObject": target,
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "count": 1,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "source": {"component": "fleetsim"},
        }
