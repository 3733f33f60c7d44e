"""How a deployment serves: its ticks on all its clusters or one, and how old the numbers are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Min, Q

from clusters.models import Telemetry
from clusters.selectors.telemetry import decode_serving, ticks
from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from workspaces.engine.serving import Line, Range, Standing, Stored, lines, pieces, times
from workspaces.models import Deployment, Workspace
from workspaces.selectors.marks import Mark, marks

SERVING = ("ready", "not_ready", "unknown")  # states of what has served


@dataclass(frozen=True, slots=True)
class Source:
    """One cluster's metrics. `at`: of the last answer, None: never; `problem`: why there is none
    now, or which pods did not answer."""

    cluster: str
    at: datetime | None
    problem: str


@dataclass(frozen=True, slots=True)
class Serving:
    """`lines`: newest revision first, a tick or a gap for each of `times`. `cluster`: "" is all of
    `clusters`. `empty`: why there is no line."""

    asked: Range
    cluster: str
    clusters: tuple[str, ...]
    times: tuple[datetime, ...]
    lines: tuple[Line, ...]
    sources: tuple[Source, ...]
    marks: tuple[Mark, ...]
    empty: str
    subjects: tuple[str, ...]  # namespace/name of the objects that `lines` are made of


@dataclass(frozen=True, slots=True)
class Place:
    """One workspace, as metrics name it. `since`: when it came into its state."""

    workspace: UUID
    cluster_id: UUID
    cluster: str
    revision: int
    subject: str
    state: str
    since: datetime

    @property
    def topic(self) -> str:
        return f"serving:{self.cluster_id}:{self.subject}"


def serving_of(deployment: Deployment, asked: Range, cluster: str, now: datetime) -> Serving:
    """Constant queries, whatever the number of clusters and revisions.

    `cluster`: a name; one that the deployment is not on gives no lines.
    """
    found = places_of(deployment, datetime.fromtimestamp(times(asked, now.timestamp())[0], UTC))
    chosen = [place for place in found if cluster in ("", place.cluster)]
    starts = tuple(datetime.fromtimestamp(at, UTC) for at in times(asked, now.timestamp()))
    stored = _stored(chosen, asked, now.timestamp())
    made = lines(stored, asked, now.timestamp(), _standing(chosen))
    sources = _sources([place for place in chosen if place.state not in ("planned", "retired")])
    return Serving(
        asked=asked,
        cluster=cluster,
        clusters=tuple(sorted({place.cluster for place in found})),
        times=starts,
        lines=tuple(made),
        sources=sources,
        marks=tuple(marks(deployment.pk, starts[0])),
        empty="" if made else _why_empty(chosen, sources, asked),
        subjects=tuple(sorted({place.subject for place in chosen})),
    )


def places_of(deployment: Deployment, since: datetime | None = None) -> list[Place]:
    """Workspaces that are there, or were after `since`."""
    there = ~Q(state="retired")
    if since is not None:
        there |= Q(state_since__gte=since)
    rows = Workspace.objects.filter(there, deployment=deployment).values_list(
        "pk",
        "cluster_id",
        "cluster__name",
        "revision__number",
        "namespace",
        "name",
        "state",
        "state_since",
    )
    return [
        Place(pk, cluster_id, cluster, revision, f"{namespace}/{name}", state, since)
        for pk, cluster_id, cluster, revision, namespace, name, state, since in rows
    ]


def place_of(workspace: Workspace) -> Place:
    """Of a row that is read already, with its cluster and revision."""
    return Place(
        workspace.pk,
        workspace.cluster_id,
        workspace.cluster.name,
        workspace.revision.number,
        f"{workspace.namespace}/{workspace.name}",
        workspace.state,
        workspace.state_since,
    )


def topics_of(places: Iterable[Place], most: int = 48) -> list[str]:
    """What an open page listens to: new numbers of each workspace that is there."""
    return [place.topic for place in places if place.state != "planned"][:most]


def serving_heard(principal: Principal, keys: AbstractSet[str]) -> Iterator[str]:
    """Those of "<cluster>:<namespace>/<name>" that are workspaces which the principal may see."""
    wanted = Q(pk__in=())
    for key in keys:
        cluster, _, subject = key.partition(":")
        namespace, _, name = subject.partition("/")
        wanted |= Q(cluster_id=_uuid(cluster), namespace=namespace, name=name)
    rows = Workspace.objects.visible_to(principal).filter(wanted)
    for cluster_id, namespace, name in rows.values_list("cluster_id", "namespace", "name"):
        yield f"{cluster_id}:{namespace}/{name}"


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _stored(places: Sequence[Place], asked: Range, now: float) -> Iterator[Stored]:
    """At most three queries: the tail of a range is read from finer ticks."""
    revisions = {(place.cluster_id, place.subject): place.revision for place in places}
    for resolution, start, end in pieces(asked, now):
        if start >= end:
            continue
        rows = ticks(
            clusters={place.cluster_id for place in places},
            subjects={place.subject for place in places},
            resolution=resolution,
            start=datetime.fromtimestamp(start, UTC),
            end=datetime.fromtimestamp(end, UTC),
        )
        for row in rows:
            revision = revisions.get((row.cluster_id, row.subject))
            if revision is not None:
                subject = f"{row.cluster_id}:{row.subject}"
                yield Stored(revision, subject, row.at.timestamp(), row.tick)


def _standing(places: Iterable[Place]) -> Iterator[Standing]:
    """Those that serve, or did when they were last seen, and when they were ready for the first
    time: their silence is said in every sum since. One query."""
    held = [place for place in places if place.state in SERVING]
    moves = Event.objects.filter(
        object_type="workspace",
        object_id__in=[str(place.workspace) for place in held],
        after__state="ready",
    )
    first = dict(moves.order_by().values_list("object_id").annotate(Min("at")))
    for place in held:
        since = min(first.get(str(place.workspace), place.since), place.since)
        subject = f"{place.cluster_id}:{place.subject}"
        yield Standing(place.revision, subject, since.timestamp())


def _sources(places: Sequence[Place]) -> tuple[Source, ...]:
    rows = Telemetry.objects.filter(cluster_id__in={place.cluster_id for place in places})
    known = {
        pk: (at, problem, packed)
        for pk, at, problem, packed in rows.values_list(
            "cluster_id", "at", "problem", "serving_packed"
        )
    }
    subjects: dict[tuple[str, UUID], set[str]] = {}
    for place in places:
        subjects.setdefault((place.cluster, place.cluster_id), set()).add(place.subject)
    return tuple(
        Source(name, None, "Its metrics have not been read yet.")
        if pk not in known
        else Source(name, known[pk][0], known[pk][1] or _silent_pods(known[pk][2], own))
        for (name, pk), own in sorted(subjects.items())
    )


def _silent_pods(packed: bytes | memoryview, subjects: set[str]) -> str:
    """Why pods of ours did not answer the last time; "" when all did."""
    pods = [pod for pod in decode_serving(packed) if pod.subject in subjects]
    silent = [pod for pod in pods if pod.problem]
    if not silent:
        return ""
    return f"{len(silent)} of {len(pods)} pods did not answer: {silent[0].problem}"


def _why_empty(places: Sequence[Place], sources: Sequence[Source], asked: Range) -> str:
    if not places:
        return "It was on no cluster in this time, so there is nothing to measure."
    if all(place.state != "ready" for place in places):
        return "Nothing serves yet. Numbers appear here when a cluster is ready."
    troubled = [f"{source.cluster}: {source.problem}" for source in sources if source.problem]
    if troubled:
        return " ".join(troubled)
    return f"Nothing was measured in the last {asked.label}."
