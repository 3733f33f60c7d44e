"""The life of a model pod: image, weights, load, benchmark, serving, and the ways it fails.

The benchmark runs behind the start-up probe, so a pod becomes ready only after it; its result is a
line of the pod's log, which KAITO then reads.
"""

from __future__ import annotations

from fleetsim.actors import estimate, loads, models, naming, pods, timing
from fleetsim.actors.estimate import NodeShape
from fleetsim.actors.loads import Served
from fleetsim.actors.member import Member, Progress
from fleetsim.actors.models import Model
from fleetsim.actors.objects import Obj, key_of, labels, meta, notes_of
from fleetsim.actors.spec import FAULT_ANNOTATION, Fault
from fleetsim.load.meter import Meter

INPUT_TOKENS, OUTPUT_TOKENS = 2048, 256
LONGEST_BACKOFF = 300.0
GATED = ("meta-llama/", "google/gemma-3-")
_FALLBACK = Model("custom/template", "", 8.0, 131072, 32768)


def workspace_of(m: Member, pod: Obj) -> Obj | None:
    """The Workspace a pod belongs to, while it exists."""
    name = labels(pod).get(naming.WORKSPACE)
    return m.store.get("Workspace", meta(pod)["namespace"], name) if name else None


def is_leader(pod: Obj) -> bool:
    """Pod 0 serves; the others are Ray workers."""
    return labels(pod).get(naming.POD_INDEX, "0") == "0"


def fault(m: Member, pod: Obj, kind: str) -> Fault | None:
    """A fault of this kind for the pod: from the Workspace's annotation or the cluster's spec."""
    workspace = workspace_of(m, pod)
    if workspace and notes_of(workspace).get(FAULT_ANNOTATION) == kind:
        return Fault(kind, factor=0.5)
    return m.spec.fault(kind, labels(pod).get(naming.WORKSPACE, ""))


def begin(m: Member, pod: Obj) -> None:
    """The image pull."""
    _enter(m, pod, "image", timing.IMAGE_PULL)
    image = pod["spec"]["containers"][0].get("image", "")
    m.event(pod, "Pulling", f'Pulling image "{image}"')
    step = _pull_failed if fault(m, pod, "image") else _weights
    pods.later(m, pod, _stage_seconds(m, pod, timing.IMAGE_PULL), lambda now: step(m, now))


def _stage_seconds(m: Member, pod: Obj, seconds: float) -> float:
    return seconds * timing.jitter(m.rng(f"stage/{meta(pod)['name']}/{seconds:.0f}"))


def _enter(m: Member, pod: Obj, stage: str, seconds: float) -> Progress:
    progress = m.progress.setdefault(meta(pod)["uid"], Progress(stage, m.now()))
    progress.stage, progress.since = stage, m.now()
    progress.seconds = m.store.fleet.seconds(seconds)
    return progress


def _pull_failed(m: Member, pod: Obj) -> None:
    image = pod["spec"]["containers"][0].get("image", "")
    text = f'Back-off pulling image "{image}": ErrImagePull: not found'
    pods.wait(m, pod, "ImagePullBackOff", text)
    m.event(pod, "Failed", text, warning=True)
    again = timing.CLAIM_RETRY
    pods.later(m, pod, again, lambda now: begin(m, now))


def _facts(m: Member, pod: Obj) -> tuple[Model, int]:
    """The model and its node count."""
    workspace = workspace_of(m, pod)
    model = models.find(naming.preset(workspace)) if workspace else None
    nodes = int(((workspace or {}).get("status") or {}).get("targetNodeCount") or 1)
    return model or _FALLBACK, nodes


def _weights(m: Member, pod: Obj) -> None:
    model, nodes = _facts(m, pod)
    seconds = _stage_seconds(m, pod, timing.download(model, nodes))
    progress = _enter(m, pod, "weights", seconds)
    pods.run(m, pod, ready=False, restarts=progress.restarts, last=progress.last)
    m.event(pod, "Started", f"Started container {pod['spec']['containers'][0]['name']}")
    step = _refused if _closed(m, pod) else _load
    pods.later(m, pod, seconds, lambda now: step(m, now))


def _closed(m: Member, pod: Obj) -> bool:
    """Whether the hub refuses the download: a fault, or a gated model without a token."""
    workspace = workspace_of(m, pod)
    name = naming.preset(workspace).lower() if workspace else ""
    model = models.find(name)
    gated = model is not None and model.name.startswith(GATED)
    return fault(m, pod, "weights") is not None or (gated and not _token(m, workspace or {}))


def _token(m: Member, workspace: Obj) -> bool:
    preset = workspace["inference"]["preset"]
    name = (preset.get("presetOptions") or {}).get("modelAccessSecret")
    secret = m.store.get("Secret", meta(workspace)["namespace"], name) if name else None
    return bool(secret and (secret.get("data") or {}).get("HF_TOKEN"))


def _refused(m: Member, pod: Obj) -> None:
    """A gated repository without a token: the process ends with an error."""
    _crash(m, pod, "Error", 1)


def _load(m: Member, pod: Obj) -> None:
    model, nodes = _facts(m, pod)
    seconds = _stage_seconds(m, pod, timing.load(model, nodes))
    _enter(m, pod, "load", seconds)
    text = "Startup probe failed: engine is not ready: loading model weights into GPU memory"
    m.event(pod, "Unhealthy", text, warning=True)
    if fault(m, pod, "oom"):
        pods.later(m, pod, seconds, lambda now: _crash(m, now, "OOMKilled", 137))
    elif fault(m, pod, "stuck"):
        _enter(m, pod, "stuck", seconds)
    else:
        pods.later(m, pod, seconds, lambda now: _benchmark(m, now))


def _crash(m: Member, pod: Obj, reason: str, code: int) -> None:
    loads.stop(m, meta(pod)["uid"])
    progress = _enter(m, pod, "crashed", timing.CRASH_BACKOFF)
    progress.restarts += 1
    name = pod["spec"]["containers"][0]["name"]
    text = f"back-off 20s restarting failed container={name} pod={meta(pod)['name']}"
    progress.last = {"terminated": {"reason": reason, "exitCode": code, "finishedAt": m.stamp()}}
    pods.wait(m, pod, "CrashLoopBackOff", text, progress.restarts, progress.last)
    m.event(pod, "BackOff", text, warning=True)
    pause = min(LONGEST_BACKOFF, timing.CRASH_BACKOFF * 2 ** (progress.restarts - 1))
    pods.later(m, pod, pause, lambda now: _weights(m, now))


def _benchmark(m: Member, pod: Obj) -> None:
    if not is_leader(pod) or not _wants_benchmark(m, pod):
        _serve(m, pod)
        return
    _enter(m, pod, "benchmark", timing.BENCHMARK)
    text = "Startup probe failed: startup benchmark in progress"
    m.event(pod, "Unhealthy", text, warning=True)
    pods.later(m, pod, timing.BENCHMARK, lambda now: _measured(m, now))


def _wants_benchmark(m: Member, pod: Obj) -> bool:
    workspace = workspace_of(m, pod)
    if workspace is None or not naming.preset(workspace):
        return False
    return notes_of(workspace).get(naming.NO_BENCHMARK) != "true"


def _measured(m: Member, pod: Obj) -> None:
    progress = m.progress[meta(pod)["uid"]]
    workspace = workspace_of(m, pod)
    shape = estimate.shape(m, workspace) if workspace else None
    if fault(m, pod, "benchmark") or workspace is None or shape is None:
        progress.benchmark_failed = True
    else:
        model, nodes = _facts(m, pod)
        tokens = timing.peak_tokens(
            model, _bandwidth(shape), nodes, m.rng(f"peak/{meta(pod)['name']}")
        )
        slow = fault(m, pod, "slow")
        progress.result = _result(tokens * (slow.factor if slow else 1.0), slow is not None)
    _serve(m, pod)


def _bandwidth(shape: NodeShape) -> float:
    """GB/s of all cards of a node; an unlisted card is taken for a small one."""
    return shape.gpus * (shape.sku.card.bandwidth if shape.sku else 300.0)


def _result(tokens_per_minute: float, slow: bool) -> Obj:
    """The numbers of the log line; times in milliseconds."""
    per_second = tokens_per_minute / 60
    strain = 1.4 if slow else 1.0
    return {
        "vllm_total_tpm": round(tokens_per_minute, 2),
        "ttft_avg_ms": round(strain * 1.2e6 / max(per_second, 1.0), 1),
        "tpot_avg_ms": round(strain * 2.0e5 / max(per_second, 1.0), 2),
    }


def _serve(m: Member, pod: Obj) -> None:
    progress = _enter(m, pod, "serving", 0.0)
    if is_leader(pod):
        loads.begin(m, _served(m, pod))
    pods.run(m, pod, ready=True, restarts=progress.restarts, last=progress.last)


def _served(m: Member, pod: Obj) -> Served:
    workspace = workspace_of(m, pod)
    shape = estimate.shape(m, workspace) if workspace else None
    model, _ = _facts(m, pod)
    profile = loads.profile(m, pod, model, _bandwidth(shape) if shape else 300.0)
    name = naming.served_name(workspace, estimate.config_of(m, workspace)) if workspace else ""
    return Served(
        meta(pod)["uid"], *key_of(pod), pod["spec"].get("nodeName", ""),
        pod["status"].get("podIP", ""), pod["spec"]["containers"][0]["name"], dict(labels(pod)),
        name, loads.runtime_of(m, pod, workspace), m.spec.engine, Meter(profile),
    )  # fmt: skip
