"""Prometheus text as vLLM writes it: its names, buckets and labels, from one pod's load. Pure.

Names and buckets are those of vllm/v1/metrics/loggers.py. Counters grow with time under load and
with every proxied request, and never shrink; histograms spread them by a fixed shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from fleetsim.actors.member import Traffic
from fleetsim.actors.timing import KEEP_ALIVE

PROMPT_TOKENS, OUTPUT_TOKENS = 420, 130  # of a background request
_PERIOD = 300.0  # seconds of one swing of the load
_TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
         20.0, 40.0, 80.0, 160.0, 640.0, 2560.0)  # fmt: skip
_ITL = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
        20.0, 40.0, 80.0)  # fmt: skip
_LONG = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0,
         240.0, 480.0, 960.0, 1920.0, 7680.0)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine has done so far and does now."""

    requests: int
    prompt_tokens: int
    generation_tokens: int
    running: int
    waiting: int
    cache: float  # 0..1


def load(traffic: Traffic, rate: float, now: datetime) -> Load:
    """From a pod's traffic at `rate` background requests per second on average.

    After a Service stopped sending, kept-alive clients go on for a few seconds.
    """
    active = traffic.carried
    active += (now - traffic.since).total_seconds() if traffic.since else 0.0
    swing = active - _PERIOD / (2 * math.pi) * 0.4 * (1 - math.cos(2 * math.pi * active / _PERIOD))
    background = math.floor(max(0.0, rate * swing))
    running = _running(traffic, rate, active, now)
    return Load(
        background + traffic.requests,
        background * PROMPT_TOKENS + traffic.prompt_tokens,
        background * OUTPUT_TOKENS + traffic.generation_tokens,
        running,
        0,
        round(min(0.95, 0.04 * running), 4),
    )


def _running(traffic: Traffic, rate: float, active: float, now: datetime) -> int:
    """Requests in flight: arrivals times three seconds each."""
    if traffic.since is not None:
        return max(1, round(3 * rate * (1 - 0.4 * math.sin(2 * math.pi * active / _PERIOD))))
    if traffic.ended is None:
        return 0
    left = 1 - (now - traffic.ended).total_seconds() / KEEP_ALIVE
    return max(0, math.ceil(3 * rate * left))


def download(speed: float, left: float) -> str:
    """KAITO's two gauges while weights are fetched: bytes per second, seconds."""
    rows = [
        _head("kaito_model_download_speed_bytes_per_second", "gauge"),
        f"kaito_model_download_speed_bytes_per_second {speed:.1f}",
        _head("kaito_model_download_remaining_seconds", "gauge"),
        f"kaito_model_download_remaining_seconds {left:.1f}",
    ]
    return "\n".join(rows) + "\n"


def vllm(model: str, state: Load) -> str:
    """The exposition of a serving engine."""
    tags = f'engine="0",model_name="{model}"'
    rows = [*_gauges(tags, state), *_counters(tags, state), *_histograms(tags, state)]
    rows += [
        _head("kaito_model_download_remaining_seconds", "gauge"),
        "kaito_model_download_remaining_seconds 0.0",
    ]
    return "\n".join(rows) + "\n"


def _head(name: str, kind: str) -> str:
    return f"# TYPE {name} {kind}"


def _gauges(tags: str, state: Load) -> Iterable[str]:
    values = {
        "vllm:num_requests_running": float(state.running),
        "vllm:num_requests_waiting": float(state.waiting),
        "vllm:kv_cache_usage_perc": state.cache,
    }
    for name, value in values.items():
        yield _head(name, "gauge")
        yield f"{name}{{{tags}}} {value}"
    yield _head("vllm:cache_config_info", "gauge")
    yield f'vllm:cache_config_info{{block_size="16",num_gpu_blocks="27000",{tags}}} 1.0'


def _counters(tags: str, state: Load) -> Iterable[str]:
    values = {
        "vllm:prompt_tokens": state.prompt_tokens,
        "vllm:generation_tokens": state.generation_tokens,
        "vllm:num_preemptions": 0,
        "vllm:prefix_cache_queries": state.prompt_tokens,
        "vllm:prefix_cache_hits": state.prompt_tokens // 5,
    }
    for name, value in values.items():
        yield _head(f"{name}_total", "counter")
        yield f"{name}_total{{{tags}}} {float(value)}"
    yield _head("vllm:request_success_total", "counter")
    length = state.requests // 20
    for reason, count in (("stop", state.requests - length), ("length", length), ("abort", 0)):
        yield f'vllm:request_success_total{{finished_reason="{reason}",{tags}}} {float(count)}'
    yield _head("http_requests_total", "counter")
    handler = 'handler="/v1/chat/completions",method="POST",status="2xx"'
    yield f"http_requests_total{{{handler}}} {float(state.requests)}"


def _histograms(tags: str, state: Load) -> Iterable[str]:
    requests, tokens = state.requests, max(0, state.generation_tokens - state.requests)
    yield from _histogram("vllm:time_to_first_token_seconds", tags, _TTFT, 0.12, requests)
    yield from _histogram("vllm:inter_token_latency_seconds", tags, _ITL, 0.018, tokens)
    yield from _histogram("vllm:e2e_request_latency_seconds", tags, _LONG, 2.6, requests)
    yield from _histogram("vllm:request_queue_time_seconds", tags, _LONG, 0.02, requests)


def _histogram(
    name: str, tags: str, buckets: tuple[float, ...], median: float, count: int
) -> Iterable[str]:
    """A log-normal shape around the median; cumulative counts only ever grow with `count`."""
    yield _head(name, "histogram")
    for bound in buckets:
        share = 0.5 * (1 + math.erf(math.log(bound / median) / (0.6 * math.sqrt(2))))
        yield f'{name}_bucket{{le="{bound}",{tags}}} {float(math.floor(count * share))}'
    yield f'{name}_bucket{{le="+Inf",{tags}}} {float(count)}'
    yield f"{name}_sum{{{tags}}} {round(count * median * 1.2, 6)}"
    yield f"{name}_count{{{tags}}} {float(count)}"
