"""What runs on clusters, in the words that one principal may read.

This app does not know deployments: the app that does tells (`told_by`). Another team's workloads
are counted and never named; KAITO objects of somebody else are named, since an operator must know
whom to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from clusters.models import Cluster, ObservedObject
from fleetportal.accounts.principal import Principal

OTHER_TEAM = "other team"
ELSEWHERE = "not ours"


@dataclass(frozen=True, slots=True)
class Workload:
    """One of our workspaces on a cluster. `name` "": another team's, and nothing else is told."""

    cluster: UUID
    namespace: str
    object: str  # the KAITO object's name; a set's children add a suffix
    name: str
    url: str = ""
    team: str = ""
    label: str = ""
    tone: str = "idle"
    note: str = ""
    replicas: int = 0
    ready: int | None = None
    model: str = ""  # of the catalog
    revision: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A KAITO object that the portal did not make. `manager`: who writes its spec."""

    kind: str
    namespace: str
    name: str
    manager: str
    seen_at: Any


Reader = Callable[[Principal, Sequence[UUID]], Sequence[Workload]]
_readers: list[Reader] = []


def told_by(reader: Reader) -> None:
    """Name who reads our workloads. The console calls this once at start-up."""
    _readers[:] = [reader]


def workloads(principal: Principal, clusters: Sequence[UUID]) -> list[Workload]:
    """Ours on these clusters, one entry for each KAITO object; constant queries."""
    return [one for reader in _readers for one in reader(principal, clusters)]


class Names:
    """Who holds a GPU, as this principal may read it."""

    def __init__(self, principal: Principal, found: Iterable[Workload]) -> None:
        self._open = principal.sees_all
        self._ours: dict[tuple[UUID, str, str], Workload] = {
            (one.cluster, one.namespace, one.object): one for one in found
        }

    @property
    def all(self) -> bool:
        """Whether this principal reads every name."""
        return self._open

    def of(self, cluster: UUID, pod: str, workspace: str) -> str:
        """`pod` is namespace/name; `workspace` the KAITO Workspace that it belongs to, or ""."""
        ours = self.workload(cluster, pod, workspace)
        if ours is not None:
            return ours.name or OTHER_TEAM
        name = workspace or pod.partition("/")[2]
        return f"{ELSEWHERE} ({name})" if self._open else ELSEWHERE

    def workload(self, cluster: UUID, pod: str, workspace: str) -> Workload | None:
        """Our workspace that the pod belongs to; None: not ours."""
        namespace, _, _ = pod.partition("/")
        for candidate in (workspace, workspace.rpartition("-")[0]):
            ours = self._ours.get((cluster, namespace, candidate)) if candidate else None
            if ours is not None:
                return ours
        return None


def foreign(cluster: Cluster) -> list[Foreign]:
    """KAITO objects here that nobody made through this portal; children of a set go with it."""
    rows = ObservedObject.objects.filter(
        cluster=cluster,
        ours=False,
        owner="",
        deleted_at=None,
        kind__in=["Workspace", "InferenceSet"],
    ).order_by("kind", "namespace", "name")
    return [
        Foreign(row.kind, row.namespace, row.name, manager_of(row.body), row.seen_at)
        for row in rows[:200]
    ]


def manager_of(body: Mapping[str, Any]) -> str:
    """The field manager that asked for it; "unknown" where the object does not say.

    KAITO's own controller writes defaults into the spec and does not count.
    """
    for entry in (body.get("metadata") or {}).get("managedFields") or []:
        manager = str(entry.get("manager") or "")
        asks = {"f:spec", "f:resource"} & set(entry.get("fieldsV1") or {})
        if asks and manager and not entry.get("subresource") and not manager.startswith("kaito"):
            return manager
    return "unknown"
