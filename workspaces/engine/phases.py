"""What KAITO's objects say about one workspace, in the words of workspaces.states.

KAITO reports conditions of each child Workspace; a set's own status lags behind edits and proves
nothing about its template, so the children decide. Rules: reference facts on conditions and their
reasons; readiness also asks for the generation that was applied. Pure; missing data is `unknown`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Body = Mapping[str, Any]

# Reasons of InferenceReady=False that do not go away by waiting.
STUCK_REASONS = frozenset(
    {
        "ContainerOOMKilled",
        "ImagePullError",
        "ContainerStartError",
        "ContainerCrashLoopBackOff",
        "NodeDiskPressure",
        "NodeMemoryPressure",
        "PodEvicted",
        "SASTokenFetchFailed",
        "ModelStreamingStorageClassNotFound",
        "ModelStreamingInvalidStorageClass",
        "ModelMirrorCreateFailed",
    }
)
# NodeClaim stages that mean "no capacity", as Karpenter and the cloud word them.
NO_CAPACITY = ("capacity", "quota", "insufficient", "unauthorized", "sku not available")

ORDER = ("getting_nodes", "pulling_image", "loading_weights", "benchmarking", "ready")
WORST_FIRST = ("stuck", "not_ready", *ORDER[:-1], "unknown", "ready")


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What a pod of the workspace says: `waiting` is its container's waiting reason."""

    name: str
    phase: str
    ready: bool
    scheduled: bool
    waiting: str = ""
    started: bool = False  # the container runs: the image is there


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a workspace. Counts None: not known."""

    state: str
    reason: str = ""
    message: str = ""
    replicas: int | None = None
    ready_replicas: int | None = None
    uid: str = ""
    generation_matches: bool | None = None
    deleting: bool = False
    conditions: tuple[dict[str, Any], ...] = ()
    benchmark: Mapping[str, Any] = field(default_factory=dict)


def condition(body: Body, kind: str) -> Body | None:
    """The condition of that type, or None."""
    found = [c for c in _list(body.get("status"), "conditions") if c.get("type") == kind]
    return found[0] if found else None


def is_true(body: Body, kind: str) -> bool:
    found = condition(body, kind)
    return found is not None and found.get("status") == "True"


def observe_child(body: Body, pods: Sequence[PodFacts]) -> tuple[str, str, str]:
    """State, reason and message of one KAITO Workspace."""
    generation = body.get("metadata", {}).get("generation")
    succeeded = condition(body, "WorkspaceSucceeded")
    if is_true(body, "WorkspaceSucceeded") and _current(succeeded, generation):
        return "ready", "", ""
    inference = condition(body, "InferenceReady")
    nodes = _nodes_problem(body)
    if nodes is not None:
        return nodes
    reason, message = _words(inference)
    if reason in STUCK_REASONS:
        return "stuck", reason, message
    if body.get("status", {}).get("state") == "NotReady":
        return "not_ready", *_words(succeeded or inference)
    if is_true(body, "InferenceReady"):
        return "benchmarking", *_words(condition(body, "BenchmarkCompleted") or succeeded)
    return _starting(reason, message, pods)


def observe(
    body: Body | None,
    children: Sequence[Body],
    pods: Mapping[str, Sequence[PodFacts]],
    *,
    standalone: bool,
) -> Observation:
    """The whole workspace: the set and its children, or one standalone Workspace.

    `pods` maps a child's name to its pods. `body` None: the object is not there.
    """
    if body is None:
        return Observation("unknown", "NotFound", "The object is not on the cluster.")
    metadata = body.get("metadata", {})
    rows = [body] if standalone else list(children)
    looks = [observe_child(row, pods.get(row["metadata"]["name"], ())) for row in rows]
    wanted = 1 if standalone else _count(body.get("spec", {}).get("replicas"))
    ready = sum(state == "ready" for state, _, _ in looks)
    state, reason, message = _worst(looks, wanted)
    return Observation(
        state=state,
        reason=reason,
        message=message,
        replicas=wanted,
        ready_replicas=ready,
        uid=str(metadata.get("uid", "")),
        generation_matches=_observed(body, rows),
        deleting=bool(metadata.get("deletionTimestamp")),
        conditions=tuple(
            {**c, "object": row["metadata"]["name"]}
            for row in rows
            for c in _list(row.get("status"), "conditions")
        ),
        benchmark=_benchmark(rows),
    )


def pod_facts(pod: Body) -> PodFacts:
    """The few facts of a raw pod that phases need."""
    status = pod.get("status") or {}
    conditions = {c.get("type"): c.get("status") for c in _list(status, "conditions")}
    containers = _list(status, "containerStatuses")
    waiting = next(
        (
            str(c["state"]["waiting"].get("reason", ""))
            for c in containers
            if isinstance((c.get("state") or {}).get("waiting"), Mapping)
        ),
        "",
    )
    return PodFacts(
        name=str(pod.get("metadata", {}).get("name", "")),
        phase=str(status.get("phase", "")),
        ready=conditions.get("Ready") == "True",
        scheduled=conditions.get("PodScheduled") == "True"
        or bool((pod.get("spec") or {}).get("nodeName")),
        waiting=waiting,
        started=any("running" in (c.get("state") or {}) for c in containers),
    )


def _nodes_problem(body: Body) -> tuple[str, str, str] | None:
    """Whether nodes are still missing, and whether they are stuck. None: the nodes are there.

    ResourceReady counts only once targetNodeCount is set: before that "0 of 0" makes it True.
    """
    target = _count((body.get("status") or {}).get("targetNodeCount")) or 0
    if is_true(body, "ResourceReady") and target >= 1:
        return None
    claim, nodes = condition(body, "NodeClaimReady"), condition(body, "NodesReady")
    blame = claim if claim is not None and claim.get("status") != "True" else nodes
    reason, message = _words(blame or condition(body, "ResourceReady"))
    lowered = f"{reason} {message}".lower()
    if any(word in lowered for word in NO_CAPACITY):
        return "stuck", reason, message
    return "getting_nodes", reason, message


def _starting(reason: str, message: str, pods: Sequence[PodFacts]) -> tuple[str, str, str]:
    """Between nodes and readiness the pods tell image from weights."""
    if reason == "Unschedulable" or (pods and not all(pod.scheduled for pod in pods)):
        return "getting_nodes", reason, message or "No node takes the pod."
    if pods and all(pod.started for pod in pods):
        return "loading_weights", reason, message
    return "pulling_image", reason, message


def _worst(looks: Sequence[tuple[str, str, str]], wanted: int | None) -> tuple[str, str, str]:
    if not looks or (wanted is not None and len(looks) < wanted):
        return "getting_nodes", "", "KAITO has not made every replica yet."
    return min(looks, key=lambda look: WORST_FIRST.index(look[0]))


def _observed(body: Body, rows: Sequence[Body]) -> bool | None:
    """Whether what the controller reports is about the generations that are there now."""
    if not rows:
        return None
    newest = [
        _current(condition(row, "WorkspaceSucceeded"), row.get("metadata", {}).get("generation"))
        for row in rows
    ]
    return all(newest)


def _benchmark(rows: Sequence[Body]) -> Mapping[str, Any]:
    """Peak tokens per minute, summed over children that measured it."""
    metrics = [
        row.get("status", {}).get("performance", {}).get("metrics", {}).get("peakTokensPerMinute")
        for row in rows
    ]
    values = [
        float(m["value"]) for m in metrics if isinstance(m, Mapping) and _number(m.get("value"))
    ]
    if not values:
        return {}
    return {"peak_tokens_per_minute": sum(values), "replicas": len(values)}


def _current(found: Body | None, generation: object) -> bool:
    return found is not None and found.get("observedGeneration") in (None, generation)


def _words(found: Body | None) -> tuple[str, str]:
    if found is None or found.get("status") == "True":
        return "", ""
    return str(found.get("reason", "")), str(found.get("message", ""))


def _list(body: object, key: str) -> list[dict[str, Any]]:
    value = body.get(key) if isinstance(body, Mapping) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> bool:
    try:
        return float(str(value)) >= 0
    except ValueError:
        return False
