"""When workspaces that start will be ready, as far as earlier starts and their pods tell.

Starts are alike when model, GPU and the way to nodes are the same: existing nodes wait for nobody.
Three queries whatever the number of workspaces, and none where nothing starts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from clusters.models import Telemetry
from clusters.selectors.telemetry import decode_serving
from fleetportal.kit.format import duration
from workspaces.engine.startup import (
    BEGINS,
    END,
    LAST,
    Estimate,
    Learned,
    current,
    estimate,
    learn,
)
from workspaces.models import Workspace

MOST = 400  # finished starts that are read
FRESH = timedelta(seconds=60)  # a download's remaining time is no longer true after that
STARTING = ("getting_nodes", "pulling_image", "loading_weights", "benchmarking")
NOTHING = Learned(0, {}, {}, None)

Alike = tuple[str, str, str]  # model, GPU model, kind of pool


@dataclass(frozen=True, slots=True)
class Startup:
    """For components: `before`, then a countdown to `at` where one is known, then `after`."""

    at: datetime | None
    before: str
    after: str


def startups(workspaces: Iterable[Workspace], now: datetime) -> dict[UUID, Startup]:
    """By workspace; those that do not start are missing. `revision` and `pool` are selected."""
    starting = [one for one in workspaces if one.state in STARTING and current(times_of(one))]
    if not starting:
        return {}
    book = learned_for(starting)
    left = downloads(starting, now)
    found = {}
    for one in starting:
        alike = alike_of(one)
        known = book.get(alike, NOTHING)
        judged = estimate(times_of(one), now, known, download_left=left.get(one.pk))
        if judged is not None:
            found[one.pk] = words(judged, alike[1], now)
    return found


def words(found: Estimate, gpu: str, now: datetime) -> Startup:
    """A sentence in two halves around a countdown."""
    like = f"of this model on {gpu.replace('-', ' ')}" if gpu else "of this model"
    several = f"{found.starts} start{'' if found.starts == 1 else 's'} {like}"
    if found.over:
        usual = f" took about {duration(found.usual)}" if found.usual else ""
        return Startup(None, f"Slower than usual: {several}{usual}.", "")
    if found.seconds is None:
        return Startup(None, f"No start {like} was seen yet, so nobody knows how long.", "")
    at = now + timedelta(seconds=found.seconds)
    if found.rest_unknown:
        return Startup(at, "Weights expected", f"; no start {like} was seen yet.")
    return Startup(at, "Expected ready", f", going by {several}.")


def times_of(workspace: Workspace) -> dict[str, datetime]:
    return _times(workspace.phases)


def alike_of(workspace: Workspace) -> Alike:
    pool = workspace.pool
    gpu = pool.gpu_model if pool else workspace.instance_type
    return (workspace.revision.model_id, gpu, pool.kind if pool else "")


def learned_for(workspaces: Sequence[Workspace]) -> dict[Alike, Learned]:
    """What earlier starts of the same models say, by likeness."""
    models = {one.revision.model_id for one in workspaces}
    rows = Workspace.objects.filter(
        revision__model_id__in=models, pool__isnull=False, **{f"phases__{END}__isnull": False}
    )
    fields = ("revision__model_id", "pool__gpu_model", "pool__kind", "phases")
    starts: dict[Alike, list[Mapping[str, datetime]]] = defaultdict(list)
    for model, gpu, kind, phases in rows.order_by("-created_at").values_list(*fields)[:MOST]:
        if len(starts[(model, gpu, kind)]) < LAST:
            starts[(model, gpu, kind)].append(_times(phases))
    return {alike: learn(times) for alike, times in starts.items()}


def downloads(workspaces: Sequence[Workspace], now: datetime) -> dict[UUID, float]:
    """Seconds until the last pod has its weights, for those whose pods say so now."""
    clusters = {one.cluster_id for one in workspaces}
    rows = Telemetry.objects.filter(cluster__in=clusters, at__gte=now - FRESH)
    left: dict[tuple[UUID, str], float] = {}
    for cluster, packed in rows.values_list("cluster_id", "serving_packed"):
        for pod in decode_serving(packed):
            seconds = pod.gauges.get("download_left")
            if seconds is not None and seconds > 0:
                key = (cluster, pod.subject)
                left[key] = max(left.get(key, 0.0), seconds)
    keys = {one.pk: (one.cluster_id, f"{one.namespace}/{one.name}") for one in workspaces}
    return {pk: left[key] for pk, key in keys.items() if key in left}


def _times(phases: Mapping[str, Any]) -> dict[str, datetime]:
    """The moments that are known; what is no time is left out."""
    found = {}
    for key in (*BEGINS.values(), END):
        try:
            found[key] = datetime.fromisoformat(str(phases[key]))
        except (KeyError, ValueError):
            continue
    return found
