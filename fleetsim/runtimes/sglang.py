"""SGLang with --enable-metrics: python/sglang/srt/metrics/collector.py, bucket defaults included.

Two tensor-parallel ranks report the same scheduler, as a careless sum would count twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fleetsim.runtimes import sheet as numbers
from fleetsim.runtimes.family import Family, Labels, Rows
from fleetsim.runtimes.sheet import Sheet
from fleetsim.runtimes.vllm import e2e, itl, queue, ttft

TTFT = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0,
        200.0, 400.0)  # fmt: skip
ITL = (0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.06, 0.08, 0.1,
       0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0)  # fmt: skip
E2E = (*TTFT, 600.0, 1200.0, 1800.0, 2400.0)
RANKS = 2
_CHAT = "/v1/chat/completions"
Value = Callable[[Sheet], NDArray[np.generic]]


def _own(s: Sheet) -> Labels:
    return (("model_name", s.model),)


def _ranked(s: Sheet, rank: int) -> Labels:
    return (("engine_type", "unified"), ("model_name", s.model), ("pp_rank", "0"),
            ("tp_rank", str(rank)))  # fmt: skip


def _scheduler(name: str, value: Value) -> Family:
    def rows(s: Sheet) -> Rows:
        found = value(s)
        return [(name, _ranked(s, rank), found) for rank in range(RANKS)]

    return Family(name, "gauge", rows)


def _counter(name: str, value: Value) -> Family:
    return Family(name, "counter", lambda s: [(name, _own(s), value(s))])


def _responses(s: Sheet) -> Rows:
    name = "sglang:http_responses_total"
    rows = (
        ("200", s.share(numbers.UNFAILED, extra=-1) + s.work.requests),
        ("400", s.share(numbers.REFUSED)),
        ("503", s.failed),
    )
    for code, count in rows:
        yield name, (("endpoint", _CHAT), ("method", "POST"), ("status_code", code)), count


def _timed(name: str, shape: Callable[[Sheet], numbers.Shape], tokens: bool = False) -> Family:
    return Family(name, "histogram", lambda s: s.histogram(name, _own(s), shape(s), tokens))


FAMILIES: Sequence[Family] = (
    _scheduler("sglang:num_running_reqs", lambda s: s.running),
    _scheduler("sglang:num_queue_reqs", lambda s: s.waiting),
    _scheduler("sglang:token_usage", lambda s: s.cache),
    _scheduler("sglang:gen_throughput", lambda s: (s.work.rate * s.profile.output).round(2)),
    _counter("sglang:prompt_tokens_total", lambda s: s.prompt),
    _counter("sglang:generation_tokens_total", lambda s: s.output),
    _counter("sglang:cached_tokens_total", lambda s: s.prompt // 5),
    _counter("sglang:num_requests_total", lambda s: s.share(numbers.KEPT) + s.work.requests),
    _counter("sglang:num_aborted_requests_total", lambda s: s.share(numbers.ABORTED)),
    Family("sglang:http_responses_total", "counter", _responses),
    _timed("sglang:time_to_first_token_seconds", ttft(TTFT)),
    _timed("sglang:inter_token_latency_seconds", itl(ITL), tokens=True),
    _timed("sglang:e2e_request_latency_seconds", e2e(E2E)),
    _timed("sglang:queue_time_seconds", queue(TTFT)),
)
