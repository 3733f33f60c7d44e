"""Plays vLLM in a pod: models, chat completions, health and metrics on port 5000, and its log.

Answers are deterministic and name model and pod, so that a test can see who answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from fleetsim.actors import engine, estimate, exporters, loads, models, naming, prometheus
from fleetsim.actors.member import Member, Progress
from fleetsim.actors.objects import Obj, digest, meta
from fleetsim.actors.workload import PORT
from fleetsim.runtimes import catalog, family, vllm
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
        port != PORT
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
        return _json({"detail": "Method Not Allowed" if path in known else "Not Found"},
                     405 if path in known else 404)  # fmt: skip
    return handler(m, pod, body)


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
        return _json({"detail": "Not Found"}, 404)
    elapsed = (m.now() - progress.since).total_seconds()
    left = max(0.0, progress.seconds - elapsed) if progress.stage == "weights" else 0.0
    speed = 0.4 * 2**30 * m.store.fleet.speed if left else 0.0
    return Response(200, vllm.download(speed, left).encode(), _TEXT)


def _json(value: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value))


def _error(message: str, kind: str, status: int) -> Response:
    """vLLM's error body."""
    body = {"message": message, "type": kind, "param": None, "code": status}
    return _json({"error": body}, status)


def served(m: Member, pod: Obj) -> str:
    """The model name this pod answers to."""
    workspace = engine.workspace_of(m, pod)
    if workspace is None:
        return ""
    return naming.served_name(workspace, estimate.config_of(m, workspace))


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
        "id": served(m, pod),
        "object": "model",
        "created": int(m.now().timestamp()),
        "owned_by": "vllm",
        "root": naming.preset(workspace) if workspace else "",
        "parent": None,
        "max_model_len": _context(m, pod),
    }
    return _json({"object": "list", "data": [row]})


def _health(m: Member, pod: Obj, body: bytes) -> Response:
    return Response(200, b"", "text/plain")


def _metrics(m: Member, pod: Obj, body: bytes) -> Response:
    who = m.loads.engines.get(meta(pod)["uid"])
    if who is None:
        return Response(200, b"", _TEXT)
    sheet = who.sheet(np.array([loads.millis(m)]))
    return Response(
        200, family.text(catalog.families(who.runtime, who.version), sheet).encode(), _TEXT
    )


def _chat(m: Member, pod: Obj, body: bytes) -> Response:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _error(f"JSON decode error: {error}", "BadRequestError", 400)
    wrong = _wrong(request)
    if wrong:
        return _error(wrong, "BadRequestError", 400)
    if request["model"] != served(m, pod):
        text = f"The model `{request['model']}` does not exist."
        return _error(text, "NotFoundError", 404)
    return _complete(m, pod, request)


def _wrong(request: Any) -> str:
    """Why a chat request cannot be taken; empty when it can."""
    if not isinstance(request, dict):
        return "the body must be a JSON object"
    messages = request.get("messages")
    if not isinstance(request.get("model"), str):
        return "field required: model"
    if not isinstance(messages, list) or not messages:
        return "field required: messages, a list with at least one message"
    if not all(isinstance(each, dict) and "role" in each for each in messages):
        return "messages: each needs a role"
    limit = request.get("max_tokens")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        return f"max_tokens must be at least 1, got {limit}."
    return ""


def _complete(m: Member, pod: Obj, request: Obj) -> Response:
    prompt = " ".join(str(each.get("content", "")) for each in request["messages"])
    words = _reply(m, pod, request, prompt).split()
    limit = request.get("max_tokens") or len(words)
    cut = len(words) > limit
    text = " ".join(words[:limit])
    usage = {
        "prompt_tokens": max(1, len(prompt.split())),
        "completion_tokens": min(limit, len(words)),
    }
    number = _counted(m, pod, usage)
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    reason = "length" if cut else "stop"
    base = {
        "id": f"chatcmpl-{number}",
        "created": int(m.now().timestamp()),
        "model": request["model"],
    }
    if request.get("stream"):
        return _stream(base, text, reason)
    message = {"role": "assistant", "content": text, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return _json({**base, "object": "chat.completion", "choices": [choice], "usage": usage})


def _counted(m: Member, pod: Obj, usage: dict[str, int]) -> str:
    """Count the request; returns a number for its id."""
    uid, number = meta(pod)["uid"], 0
    who = m.loads.engines.get(uid)
    if who is not None and who.meter.current is not None:
        now = loads.millis(m)
        number = who.meter.count(now, usage["prompt_tokens"], usage["completion_tokens"])
    return digest(f"{uid}/{number}", 32)


def _reply(m: Member, pod: Obj, request: Obj, prompt: str) -> str:
    asked = prompt.strip()
    shown = asked if len(asked) <= 80 else asked[:77] + "..."
    where = f"{meta(pod)['name']} in {m.store.name}"
    return f"Simulated answer of {request['model']} from pod {where}. You asked: {shown}"


def _stream(base: Obj, text: str, reason: str) -> Response:
    """Server-sent events, one word each."""
    deltas: list[tuple[Obj, str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word + " "}, None) for word in text.split()]
    deltas.append(({}, reason))
    lines = [_chunk(base, delta, end) for delta, end in deltas]
    return Response(200, b"".join([*lines, b"data: [DONE]\n\n"]), "text/event-stream")


def _chunk(base: Obj, delta: Obj, reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    body = {**base, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + orjson.dumps(body) + b"\n\n"


_PATHS: dict[tuple[str, str], Callable[[Member, Obj, bytes], Response]] = {
    ("GET", "/v1/models"): _models,
    ("POST", "/v1/chat/completions"): _chat,
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
