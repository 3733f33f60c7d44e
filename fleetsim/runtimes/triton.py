"""Triton with the TensorRT-LLM backend: docs/user_guide/metrics.md. Durations are cumulative
microseconds; the first-response histogram (switched on here) is in milliseconds with four buckets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fleetsim.runtimes import sheet as numbers
from fleetsim.runtimes.family import Family, Labels, Rows
from fleetsim.runtimes.sheet import Shape, Sheet, medians, whole

FIRST_MS = (100.0, 500.0, 2000.0, 5000.0)
BLOCKS = 27_000
Value = Callable[[Sheet], NDArray[np.generic]]


def _own(s: Sheet) -> Labels:
    return (("model", s.model), ("version", "1"))


def _plain(name: str, kind: str, value: Value) -> Family:
    return Family(name, kind, lambda s: [(name, _own(s), value(s))])


def _failures(s: Sheet) -> Rows:
    name = "nv_inference_request_failure"
    rows = (("BACKEND", s.failed), ("CANCELED", s.share(numbers.ABORTED)),
            ("REJECTED", s.share(numbers.REFUSED)), ("OTHER", s.failed * 0))  # fmt: skip
    for reason, count in rows:
        yield name, (*_own(s), ("reason", reason)), count


def _micros(s: Sheet, times: tuple[float, ...]) -> NDArray[np.int64]:
    """Summed microseconds of a duration with these medians."""
    rows = list(s.histogram("", (), Shape((1.0,), times)))
    return np.round(rows[-2][2] * 1e6).astype(np.int64)


def _requests(s: Sheet) -> Rows:
    name = "nv_trt_llm_request_metrics"
    rows = (("waiting", s.waiting), ("scheduled", s.running), ("active", s.running + s.waiting),
            ("max", s.running * 0 + 256), ("context", s.running * 0))  # fmt: skip
    for kind, value in rows:
        yield name, (*_own(s), ("request_type", kind)), value


def _cache(s: Sheet) -> Rows:
    name = "nv_trt_llm_kv_cache_block_metrics"
    used = (s.cache * BLOCKS).round()
    rows = (("fraction", s.cache), ("used", used), ("free", BLOCKS - used),
            ("max", used * 0 + BLOCKS), ("tokens_per", used * 0 + 64))  # fmt: skip
    for kind, value in rows:
        yield name, (*_own(s), ("kv_cache_block_type", kind)), value


def _first(s: Sheet) -> Rows:
    name = "nv_inference_first_response_histogram_ms"
    shape = Shape(FIRST_MS, medians(s.profile.ttft, numbers.FIRST), 1000.0)
    return s.histogram(name, _own(s), shape)


FAMILIES: Sequence[Family] = (
    _plain("nv_inference_request_success", "counter",
           lambda s: s.share(numbers.FINE, extra=-1) + s.work.requests),
    Family("nv_inference_request_failure", "counter", _failures),
    _plain("nv_inference_count", "counter", lambda s: s.requests),
    _plain("nv_inference_request_duration_us", "counter", lambda s: _micros(s, whole(s.profile))),
    _plain("nv_inference_queue_duration_us", "counter", lambda s: _micros(s, numbers.WAIT)),
    _plain("nv_inference_pending_request_count", "gauge", lambda s: s.waiting),
    Family("nv_inference_first_response_histogram_ms", "histogram", _first),
    Family("nv_trt_llm_request_metrics", "gauge", _requests),
    Family("nv_trt_llm_kv_cache_block_metrics", "gauge", _cache),
)  # fmt: skip
