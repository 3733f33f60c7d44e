"""Chat completions of a model pod, whole or streamed at the engine's pace. Counted as traffic.

Answers are deterministic and name model and pod, so that a test can see who answered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from fleetsim.actors import engine, estimate, loads, naming
from fleetsim.actors.member import Member
from fleetsim.actors.objects import Obj, digest, meta
from fleetsim.runtimes.sheet import EACH
from fleetsim.store import Response


def json_reply(value: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value))


def _error(message: str, kind: str, status: int) -> Response:
    """vLLM's error body."""
    body = {"message": message, "type": kind, "param": None, "code": status}
    return json_reply({"error": body}, status)


def served(m: Member, pod: Obj) -> str:
    """The model name this pod answers to."""
    workspace = engine.workspace_of(m, pod)
    if workspace is None:
        return ""
    return naming.served_name(workspace, estimate.config_of(m, workspace))


def chat(m: Member, pod: Obj, body: bytes) -> Response:
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
    if _fails(m, pod):
        return _error("EngineCore encountered an issue.", "InternalServerError", 500)
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


def _fails(m: Member, pod: Obj) -> bool:
    """Whether the load settings let this request fail."""
    who = m.loads.engines.get(meta(pod)["uid"])
    share = loads.knob(m, who.labels, who.name).errors if who else 0.0
    if who is None or not share or m.store.rng.random() >= share:
        return False
    who.meter.count(loads.millis(m), 0, 0, failed=1)
    return True


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
        return _stream(m, pod, base, text, reason)
    message = {"role": "assistant", "content": text, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return json_reply({**base, "object": "chat.completion", "choices": [choice], "usage": usage})


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


def _stream(m: Member, pod: Obj, base: Obj, text: str, reason: str) -> Response:
    """Server-sent events, one word each, at the pace of the engine under its load."""
    deltas: list[tuple[Obj, str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word + " "}, None) for word in text.split()]
    deltas.append(({}, reason))
    lines = [_chunk(base, delta, end) for delta, end in deltas]
    pieces = (*lines, b"data: [DONE]\n\n")
    pause = m.store.fleet.seconds(_pace(m, pod))
    return Response(200, b"".join(pieces), "text/event-stream", pieces, pause)


def _pace(m: Member, pod: Obj) -> float:
    """Simulated seconds between two tokens."""
    who = m.loads.engines.get(meta(pod)["uid"])
    if who is None:
        return 0.0
    work = who.meter.work(np.array([loads.millis(m)]))
    return float(who.meter.profile.itl * EACH[work.level[0]] * work.latency[0])


def _chunk(base: Obj, delta: Obj, reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    body = {**base, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + orjson.dumps(body) + b"\n\n"
