"""KAITO's reading of a Workspace's pods: InferenceReady, its reason, the benchmark's result."""

from __future__ import annotations

from fleetsim.actors import engine, naming
from fleetsim.actors.member import Member
from fleetsim.actors.objects import (
    Obj,
    find_condition,
    is_true,
    key_of,
    meta,
    notes_of,
    pod_ready,
    set_condition,
)

PENDING = ("WorkspaceInferenceStatusPending", "workspace inference is not ready yet")
_ORDER = (
    "ContainerOOMKilled",
    "ImagePullError",
    "ContainerStartError",
    "ContainerCrashLoopBackOff",
    "PodEvicted",
    "Unschedulable",
)
_WAITING = {
    "ImagePullBackOff": "ImagePullError",
    "ErrImagePull": "ImagePullError",
    "CreateContainerError": "ContainerStartError",
    "CrashLoopBackOff": "ContainerCrashLoopBackOff",
}


def holds(workspace: Obj, kind: str) -> bool:
    """Whether a condition is True."""
    return is_true(workspace, kind)


def inference(m: Member, workspace: Obj) -> None:
    """Write InferenceReady, and once pods are ready the benchmark."""
    namespace, name = key_of(workspace)
    pods = m.store.list("Pod", namespace, {naming.WORKSPACE: name})
    wanted = workspace["status"].get("targetNodeCount") or 0
    generation = meta(workspace)["generation"]
    ready = [pod for pod in pods if pod_ready(pod)]
    if wanted and len(ready) >= wanted:
        text = "Inference has been deployed successfully"
        good = "WorkspaceInferenceStatusSuccess"
        set_condition(workspace, "InferenceReady", True, good, text, m.stamp(), generation)
        _benchmark(m, workspace, pods)
        return
    reason, text = _trouble(pods) or PENDING
    set_condition(workspace, "InferenceReady", False, reason, text, m.stamp(), generation)


def _trouble(pods: list[Obj]) -> tuple[str, str] | None:
    """The worst reason over all pods, in KAITO's order of priority."""
    found: dict[str, str] = {}
    for pod in pods:
        for reason, text in _reasons(pod):
            found.setdefault(reason, f"pod {meta(pod)['name']}: {text}")
    return next(((reason, found[reason]) for reason in _ORDER if reason in found), None)


def _reasons(pod: Obj) -> list[tuple[str, str]]:
    status = pod.get("status") or {}
    rows: list[tuple[str, str]] = []
    for container in status.get("containerStatuses") or ():
        rows += _container_reasons(container)
    if status.get("phase") == "Failed" and status.get("reason") == "Evicted":
        rows.append(("PodEvicted", status.get("message", "")))
    scheduled = find_condition(pod, "PodScheduled")
    if scheduled and scheduled["status"] == "False":
        rows.append(("Unschedulable", scheduled["message"]))
    return rows


def _container_reasons(container: Obj) -> list[tuple[str, str]]:
    """OOM is also read from the last end, so it can outlive its cause."""
    rows: list[tuple[str, str]] = []
    for state in (container.get("state") or {}, container.get("lastState") or {}):
        ended = state.get("terminated") or {}
        if ended.get("reason") == "OOMKilled":
            text = f"container {container['name']} was OOMKilled (exit code {ended['exitCode']})"
            rows.append(("ContainerOOMKilled", text))
    waiting = (container.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") in _WAITING:
        rows.append((_WAITING[waiting["reason"]], waiting.get("message", "")))
    return rows


def _benchmark(m: Member, workspace: Obj, pods: list[Obj]) -> None:
    """Write the result once; a missing line fails it though the endpoint serves."""
    if find_condition(workspace, "BenchmarkCompleted") or not naming.preset(workspace):
        return
    if notes_of(workspace).get(naming.NO_BENCHMARK) == "true":
        return
    leader = next((pod for pod in pods if engine.is_leader(pod)), None)
    progress = m.progress.get(meta(leader)["uid"]) if leader else None
    generation = meta(workspace)["generation"]
    if progress and progress.result:
        workspace["status"]["performance"] = {"metrics": _metrics(m, progress.result)}
        text = "benchmark completed"
        set_condition(workspace, "BenchmarkCompleted", True, text.title().replace(" ", ""), text,
                      m.stamp(), generation)  # fmt: skip
    elif progress and progress.benchmark_failed:
        text = "benchmark result line not found in the last 500 log lines"
        set_condition(workspace, "BenchmarkCompleted", False, "BenchmarkFailed", text,
                      m.stamp(), generation)  # fmt: skip


def _metrics(m: Member, result: Obj) -> Obj:
    config = {
        "durationSec": "60",
        "inputTokens": str(engine.INPUT_TOKENS),
        "outputTokens": str(engine.OUTPUT_TOKENS),
        "maxConcurrency": "256",
        "engine": "vllm",
        "engineVersion": m.spec.engine_version,
        "quantization": "",
    }
    row = {
        "description": "stress/high-concurrency",
        "value": f"{result['vllm_total_tpm']:.2f}",
        "unit": "tokens/min",
        "config": config,
    }
    return {"peakTokensPerMinute": row}
