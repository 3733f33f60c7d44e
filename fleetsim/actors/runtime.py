"""What pods answer: engines (models, chat, health, metrics), exporters, a Prometheus; and logs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import orjson

from fleetsim.actors import (
    completions,
    engine,
    estimate,
    exporters,
    floor,
    loads,
    models,
    naming,
    prometheus,
)
from fleetsim.actors.completions import json_reply
from fleetsim.actors.member import Member, Progress
from fleetsim.actors.objects import Obj, meta
from fleetsim.actors.workload import PORT
from fleetsim.load.noise import Ints
from fleetsim.runtimes import catalog, family, transformers, vllm
from fleetsim.store import ApiError, Response

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def answer(
    m: Member, pod: Obj, port: int, method: str, path: str, headers: dict[str, str], body: bytes
) -> Response:
    """What the pod says. Raises ApiError 503 where nothing listens: Ray workers, other ports."""
    other = _other(m, pod, port, method, path, body)
    if other is not None:
        return other
    progress = m.progress.get(meta(pod)["uid"])
    address = (pod.get("status") or {}).get("podIP", "")
    downloading = progress is not None and progress.stage in ("weights", "load")
    serving = progress is not None and progress.stage in ("serving", "benchmark")
    if (
        port not in (PORT, _metrics_port(m, pod))
        or progress is None
        or not engine.is_leader(pod)
        or not (downloading or serving)
    ):
        text = (
            f"error trying to reach service: dial tcp {address}:{port}: connect: connection refused"
        )
        raise ApiError(503, text)
    path = path.split("?")[0].rstrip("/") or "/"
    if downloading:
        return _before(m, progress, path)
    handler = _PATHS.get((method, path))
    if handler is None:
        known = {known_path for _, known_path in _PATHS}
        return json_reply({"detail": "Method Not Allowed" if path in known else "Not Found"},
                     405 if path in known else 404)  # fmt: skip
    return handler(m, pod, body)


def _metrics_port(m: Member, pod: Obj) -> int:
    """The port that the pod's runtime has besides KAITO's."""
    who = m.loads.engines.get(meta(pod)["uid"])
    return catalog.PORTS.get(who.runtime, PORT) if who and who.runtime != "vllm" else PORT


def _other(m: Member, pod: Obj, port: int, method: str, path: str, body: bytes) -> Response | None:
    """What pods answer that are no engines: exporters and the Prometheus."""
    kind = exporters.kind_of(pod)
    if kind and exporters.PORTS[kind] == port:
        found = path.split("?")[0] == "/metrics"
        text = exporters.text(m, pod, kind) if found else "404 page not found\n"
        return Response(200 if found else 404, text.encode(), _TEXT)
    if port == prometheus.PORT and prometheus.plays(pod):
        return prometheus.answer(m, method, path, body)
    return None


def _before(m: Member, progress: Progress, path: str) -> Response:
    """While weights come in only the download's metrics answer."""
    if path != "/metrics":
        return json_reply({"detail": "Not Found"}, 404)
    elapsed = (m.now() - progress.since).total_seconds()
    left = max(0.0, progress.seconds - elapsed) if progress.stage == "weights" else 0.0
    speed = 0.4 * 2**30 * m.store.fleet.speed if left else 0.0
    return Response(200, vllm.download(speed, left).encode(), _TEXT)


def _context(m: Member, pod: Obj) -> int:
    workspace = engine.workspace_of(m, pod)
    model = models.find(naming.preset(workspace)) if workspace else None
    if workspace is None or model is None:
        return 2048
    settings = naming.vllm_settings(estimate.config_of(m, workspace))
    return int(settings.get("max-model-len") or model.context_limit)


def _models(m: Member, pod: Obj, body: bytes) -> Response:
    workspace = engine.workspace_of(m, pod)
    row = {
        "id": completions.served(m, pod),
        "object": "model",
        "created": int(m.now().timestamp()),
        "owned_by": "vllm",
        "root": naming.preset(workspace) if workspace else "",
        "parent": None,
        "max_model_len": _context(m, pod),
    }
    return json_reply({"object": "list", "data": [row]})


def _health(m: Member, pod: Obj, body: bytes) -> Response:
    return Response(200, b"", "text/plain")


def _metrics(m: Member, pod: Obj, body: bytes) -> Response:
    who = m.loads.engines.get(meta(pod)["uid"])
    if who is None:
        return Response(200, b"", _TEXT)
    now = np.array([loads.millis(m)])
    if who.runtime == catalog.JSON_ONLY:
        return _json_metrics(m, who.node, now)
    sheet = who.sheet(now)
    return Response(
        200, family.text(catalog.families(who.runtime, who.version), sheet).encode(), _TEXT
    )


def _json_metrics(m: Member, node: str, now: Ints) -> Response:
    """KAITO's transformers runtime: what its cards do, in JSON."""
    rack = floor.racks(m).get(node)
    if rack is None:
        return json_reply({"gpu_info": None, "cpu_info": None})
    return Response(200, transformers.body(floor.state(m, rack, now), rack.product, rack.mib))


_PATHS: dict[tuple[str, str], Callable[[Member, Obj, bytes], Response]] = {
    ("GET", "/v1/models"): _models,
    ("POST", "/v1/chat/completions"): completions.chat,
    ("GET", "/health"): _health,
    ("GET", "/metrics"): _metrics,
}


def log_text(m: Member, pod: Obj, previous: bool, tail: int | None) -> str:
    """The container's log so far, the benchmark's result line included."""
    progress = m.progress.get(meta(pod)["uid"])
    lines = _lines(m, pod, progress) if progress else []
    if previous:
        lines = [] if not (progress and progress.restarts) else [*lines[:2], "Killed"]
    chosen = lines if tail is None else lines[max(0, len(lines) - tail) :]
    return "".join(line + "\n" for line in chosen)


def _lines(m: Member, pod: Obj, progress: Progress) -> list[str]:
    workspace = engine.workspace_of(m, pod)
    preset = naming.preset(workspace) if workspace else ""
    stage = progress.stage
    lines = [
        f"INFO vLLM API server version {m.spec.engine_version}",
        f"INFO downloading weights of {preset}",
    ]
    if stage in ("load", "benchmark", "serving", "stuck"):
        lines.append("INFO loading safetensors checkpoint shards")
    if stage in ("benchmark", "serving"):
        lines += [
            "INFO Starting vLLM API server on http://0.0.0.0:5000",
            "INFO startup benchmark begins",
        ]
    if progress.result:
        stamp = progress.since.strftime("%Y-%m-%dT%H:%M:%SZ")
        lines.append(f"KAITO_BENCHMARK_RESULT {stamp} {orjson.dumps(progress.result).decode()}")
    if stage == "serving":
        lines.append("INFO Application startup complete.")
    return lines
