"""What spoilt answers look like: random bytes, cut JSON, wrong types, a proxy's page."""

import random
from typing import Any

import orjson

from fleetsim.faults import MODES, Fault
from fleetsim.http.messages import Reply

_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>\n"
_STRANGE: tuple[Any, ...] = (
    None, -1, 1e308, "", "\u0000", [], {}, [[]], True, "NaN", 10**18, {"name": []}, ["x", None],
)  # fmt: skip
_LINES = (
    b'vllm:num_requests_running{model_name="x" 3\nup NaN NaN NaN\n{} 4\n'
    b'vllm:prompt_tokens_total{} 1e999\nDCGM_FI_DEV_GPU_UTIL{gpu="\\"} -\n# TYPE\n'
)
KEPT = 0.6  # share of values that wrong types leave alone


def garbage(reply: Reply, fault: Fault, rng: random.Random) -> Reply:
    """The answer, spoilt. The status stays, so that nothing warns of it."""
    mode = fault.mode or rng.choice(MODES)
    body = _SPOIL[mode](reply.body, rng)
    return Reply(reply.status, body, reply.content_type, dict(reply.headers))


def line(fault: Fault, rng: random.Random) -> bytes:
    """What a spoilt watch says instead of events."""
    event = {"type": "ADDED", "object": {"metadata": {"name": "x", "resourceVersion": "1"}}}
    mode = fault.mode or rng.choice(MODES)
    return _SPOIL[mode](orjson.dumps(event), rng) + b"\n"


def _bytes(body: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(min(4096, max(64, len(body))))


def _cut(body: bytes, rng: random.Random) -> bytes:
    return body[: max(1, rng.randrange(1, max(2, len(body))))] if body else b"{"


def _types(body: bytes, rng: random.Random) -> bytes:
    """Valid JSON whose values are of other kinds than anybody expects; text becomes odd lines."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _LINES + body[: len(body) // 2]
    return orjson.dumps(_twisted(found, rng, 0))


def _twisted(value: Any, rng: random.Random, depth: int) -> Any:
    if isinstance(value, dict):
        return {key: _twisted(inner, rng, depth + 1) for key, inner in value.items()}
    if isinstance(value, list) and value:
        return [_twisted(inner, rng, depth + 1) for inner in value]
    return value if rng.random() < KEPT else rng.choice(_STRANGE)


def _html(body: bytes, rng: random.Random) -> bytes:
    return _HTML


_SPOIL = {"bytes": _bytes, "json": _cut, "types": _types, "html": _html}


def trickled(reply: Reply, fault: Fault) -> Reply:
    """The same answer in small pieces with pauses."""
    size = max(1, fault.size)
    body = reply.body or b"".join(reply.pieces)
    pieces = tuple(body[at : at + size] for at in range(0, len(body), size)) or (b"",)
    return Reply(
        reply.status, b"", reply.content_type, dict(reply.headers), pieces, fault.seconds or 0.5
    )
