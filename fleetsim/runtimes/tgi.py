"""Text Generation Inference: router/src/server.rs. No model label, no `_total`, and neither the
time to the first token nor the cache's use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fleetsim.runtimes import sheet as numbers
from fleetsim.runtimes.family import Family, Labels, Rows
from fleetsim.runtimes.sheet import Sheet, medians
from fleetsim.runtimes.vllm import e2e, itl, queue

DURATIONS = tuple(round(0.00015 * 1.5**power, 12) for power in range(35))
LONGEST = 8192  # tokens
LENGTHS = tuple(float(LONGEST * step / 100) for step in range(1, 101))
Value = Callable[[Sheet], NDArray[np.generic]]


def _plain(name: str, kind: str, value: Value) -> Family:
    return Family(name, kind, lambda s: [(name, (), value(s))])


def _timed(name: str, shape: Callable[[Sheet], numbers.Shape]) -> Family:
    return Family(name, "histogram", lambda s: s.histogram(name, (), shape(s)))


def _failures(s: Sheet) -> Rows:
    name = "tgi_request_failure"
    yield name, (("err", "generation"),), s.failed
    yield name, (("err", "validation"),), s.share(numbers.REFUSED)


def _batches(s: Sheet) -> Rows:
    name = "tgi_batch_inference_duration"
    first = numbers.Shape(DURATIONS, medians(s.profile.ttft, numbers.FIRST))
    each = numbers.Shape(DURATIONS, medians(s.profile.itl, numbers.EACH))
    for method, shape, tokens in (("prefill", first, False), ("decode", each, True)):
        labels: Labels = (("method", method),)
        yield from s.histogram(name, labels, shape, tokens)


def _lengths(name: str, typical: Callable[[Sheet], int], total: Value) -> Family:
    """Tokens of requests: all of about the usual length; the sum is exact."""

    def rows(s: Sheet) -> Rows:
        usual = typical(s)
        for bound in LENGTHS:
            inside = s.requests if bound >= usual else np.zeros_like(s.requests)
            yield f"{name}_bucket", (("le", numbers.le(bound)),), inside
        yield f"{name}_bucket", (("le", "+Inf"),), s.requests
        yield f"{name}_sum", (), total(s)
        yield f"{name}_count", (), s.requests

    return Family(name, "histogram", rows)


FAMILIES: Sequence[Family] = (
    _plain("tgi_queue_size", "gauge", lambda s: s.waiting),
    _plain("tgi_batch_current_size", "gauge", lambda s: s.running),
    _plain("tgi_batch_current_max_tokens", "gauge", lambda s: (s.cache * 400_000).round()),
    _plain("tgi_batch_max_total_tokens", "gauge", lambda s: s.cache * 0 + 400_000),
    _plain("tgi_request_count", "counter", lambda s: s.requests),
    _plain(
        "tgi_request_success",
        "counter",
        lambda s: s.share(numbers.UNFAILED, extra=-1) + s.work.requests,
    ),
    Family("tgi_request_failure", "counter", _failures),
    _timed("tgi_request_duration", e2e(DURATIONS)),
    _timed("tgi_request_queue_duration", queue(DURATIONS)),
    _timed("tgi_request_mean_time_per_token_duration", itl(DURATIONS)),
    Family("tgi_batch_inference_duration", "histogram", _batches),
    _lengths("tgi_request_input_length", lambda s: s.profile.prompt, lambda s: s.prompt),
    _lengths("tgi_request_generated_tokens", lambda s: s.profile.output, lambda s: s.output),
)
