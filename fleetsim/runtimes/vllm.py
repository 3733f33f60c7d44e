"""vLLM's exposition: names, labels and buckets of vllm/v1/metrics/loggers.py, old names included.

Before 0.9 there is no `engine` label and the cache's gauge has its old name; before 0.11 the time
between tokens has its old name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fleetsim.runtimes import sheet as numbers
from fleetsim.runtimes.family import Family, Labels, Rows, constant
from fleetsim.runtimes.sheet import Shape, Sheet, medians, whole

TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
        20.0, 40.0, 80.0, 160.0, 640.0, 2560.0)  # fmt: skip
ITL = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
       20.0, 40.0, 80.0)  # fmt: skip
LONG = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0,
        240.0, 480.0, 960.0, 1920.0, 7680.0)  # fmt: skip
Value = Callable[[Sheet], NDArray[np.generic]]
_CHAT = "/v1/chat/completions"


def tags(sheet: Sheet) -> Labels:
    """The labels of every vLLM series."""
    model = ("model_name", sheet.model)
    return (model,) if sheet.version < (0, 9) else (("engine", "0"), model)


def _plain(name: str, kind: str, value: Value) -> Family:
    return Family(name, kind, lambda s: [(name, tags(s), value(s))])


def _reasons(s: Sheet) -> Rows:
    name = "vllm:request_success_total"
    length, aborted = s.share(numbers.LENGTH), s.share(numbers.ABORTED)
    stop = s.share(numbers.STOPPED, extra=-1) + s.work.requests
    rows = [("stop", stop), ("length", length), ("abort", aborted)]
    if s.version >= (0, 11):
        rows.append(("error", s.failed))
    for reason, count in rows:
        yield name, (("finished_reason", reason), *tags(s)), count


def _http(s: Sheet) -> Rows:
    looks = s.work.lived // 15_000
    answered = s.share(numbers.UNFAILED, extra=-1) + s.work.requests
    rows = [
        (_CHAT, "POST", "2xx", answered),
        (_CHAT, "POST", "4xx", s.share(numbers.REFUSED)),
        (_CHAT, "POST", "5xx", s.failed),
        ("/metrics", "GET", "2xx", looks),
    ]
    for handler, method, status, count in rows:
        labels = (("handler", handler), ("method", method), ("status", status))
        yield "http_requests_total", labels, count


def _config(s: Sheet) -> Rows:
    labels = (("block_size", "16"), ("gpu_memory_utilization", "0.9"), ("num_gpu_blocks", "27000"))
    yield "vllm:cache_config_info", (*labels, *tags(s)), constant(1.0, s.work.moments)


def _timed(name: str, shape: Callable[[Sheet], Shape], tokens: bool = False) -> Family:
    return Family(name, "histogram", lambda s: s.histogram(name, tags(s), shape(s), tokens))


def ttft(bounds: tuple[float, ...]) -> Callable[[Sheet], Shape]:
    """Time to the first token in these buckets."""
    return lambda s: Shape(bounds, medians(s.profile.ttft, numbers.FIRST))


def itl(bounds: tuple[float, ...]) -> Callable[[Sheet], Shape]:
    """Time between tokens in these buckets."""
    return lambda s: Shape(bounds, medians(s.profile.itl, numbers.EACH))


def e2e(bounds: tuple[float, ...]) -> Callable[[Sheet], Shape]:
    """Time of a whole request in these buckets."""
    return lambda s: Shape(bounds, whole(s.profile))


def queue(bounds: tuple[float, ...]) -> Callable[[Sheet], Shape]:
    """Time in the queue in these buckets."""
    return lambda s: Shape(bounds, numbers.WAIT)


_GAUGES = (
    _plain("vllm:num_requests_running", "gauge", lambda s: s.running),
    _plain("vllm:num_requests_waiting", "gauge", lambda s: s.waiting),
)
_CACHE_NEW = _plain("vllm:kv_cache_usage_perc", "gauge", lambda s: s.cache)
_CACHE_OLD = _plain("vllm:gpu_cache_usage_perc", "gauge", lambda s: s.cache)
_COUNTERS = (
    Family("vllm:cache_config_info", "gauge", _config),
    _plain("vllm:prompt_tokens_total", "counter", lambda s: s.prompt),
    _plain("vllm:generation_tokens_total", "counter", lambda s: s.output),
    _plain("vllm:num_preemptions_total", "counter", lambda s: s.share(numbers.PREEMPTED)),
    _plain("vllm:prefix_cache_queries_total", "counter", lambda s: s.prompt),
    _plain("vllm:prefix_cache_hits_total", "counter", lambda s: s.prompt // 5),
    Family("vllm:request_success_total", "counter", _reasons),
    Family("http_requests_total", "counter", _http),
    _timed("vllm:time_to_first_token_seconds", ttft(TTFT)),
    _timed("vllm:e2e_request_latency_seconds", e2e(LONG)),
    _timed("vllm:request_queue_time_seconds", queue(LONG)),
)
_TOKEN_NEW = (
    _timed("vllm:inter_token_latency_seconds", itl(ITL), tokens=True),
    _timed("vllm:request_time_per_output_token_seconds", itl(ITL)),
)
_TOKEN_OLD = (_timed("vllm:time_per_output_token_seconds", itl(ITL), tokens=True),)
_DOWNLOADED = Family(
    "kaito_model_download_remaining_seconds", "gauge",
    lambda s: [("kaito_model_download_remaining_seconds", (), constant(0.0, s.work.moments))],
)  # fmt: skip


def families(version: tuple[int, ...]) -> Sequence[Family]:
    """The families of a vLLM of this version in KAITO's image."""
    cache = _CACHE_OLD if version < (0, 9) else _CACHE_NEW
    token = _TOKEN_OLD if version < (0, 11) else _TOKEN_NEW
    return (*_GAUGES, cache, *_COUNTERS, *token, _DOWNLOADED)


def download(speed: float, left: float) -> str:
    """KAITO's two gauges while weights are fetched: bytes per second, seconds."""
    rows = []
    for name, value in (("speed_bytes_per_second", speed), ("remaining_seconds", left)):
        name = f"kaito_model_download_{name}"
        rows += [f"# TYPE {name} gauge", f"{name} {value:.1f}"]
    return "\n".join(rows) + "\n"
