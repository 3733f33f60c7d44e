"""Triton (docs/user_guide/metrics.md), with or without the TensorRT-LLM backend's gauges.

Durations are cumulative microseconds: means only. The first-response histogram is experimental,
off by default, and in milliseconds with four coarse buckets. Summaries are not read: they cannot
be added over replicas.
"""

from __future__ import annotations

from clusters.engine.telemetry.exposition import Page, Series
from clusters.engine.telemetry.runtimes.draft import Draft, only, series_of
from clusters.engine.telemetry.types import RuntimeReading

_ALWAYS = ("requests", "errors", "e2e", "queue", "waiting")
_SUCCESS, _FAILURE = "nv_inference_request_success", "nv_inference_request_failure"
_DURATION, _QUEUED = "nv_inference_request_duration_us", "nv_inference_queue_duration_us"
_PENDING = "nv_inference_pending_request_count"
_FIRST = "nv_inference_first_response_histogram_ms"
HISTOGRAMS = {"ttft": (_FIRST,)}
_TRT_REQUESTS, _TRT_CACHE = "nv_trt_llm_request_metrics", "nv_trt_llm_kv_cache_block_metrics"
# What clients call: a request to it is counted again by each of its parts, and so is its failure.
_FRONTS = ("ensemble", "tensorrt_llm_bls")
NAMES = (
    _SUCCESS, _FAILURE, _DURATION, _QUEUED, _PENDING, _TRT_REQUESTS, _TRT_CACHE,
    *series_of(HISTOGRAMS),
)  # fmt: skip


def speaks(page: Page) -> bool:
    return any(name.startswith(("nv_inference_", "nv_trt_llm_")) for name in page.samples)


def read(page: Page) -> RuntimeReading:
    draft = Draft("triton", page, _ALWAYS)
    fronts = {labels.get("model", "") for labels, _ in page.series(_SUCCESS)} & set(_FRONTS)
    success, failure, durations = (
        only(page.series(name), "model", *fronts) if fronts else page.series(name)
        for name in (_SUCCESS, _FAILURE, _DURATION)
    )
    if not {_SUCCESS, _FAILURE} & page.broken and success:
        draft.counter("requests", [*success, *failure])
        wrong = [one for one in failure if one[0].get("reason") != "CANCELED"]
        draft.counter("errors", wrong or [({}, 0.0)])
    draft.mean_of("e2e", _seconds(durations), success)
    draft.mean_of("queue", _seconds(page.series(_QUEUED)), success)
    draft.histogram("ttft", _FIRST, scale=0.001)
    draft.summed("running", only(page.series(_TRT_REQUESTS), "request_type", "scheduled"))
    waiting = only(page.series(_TRT_REQUESTS), "request_type", "waiting")
    draft.summed("waiting", waiting or page.series(_PENDING))
    draft.ratio("kv_usage", only(page.series(_TRT_CACHE), "kv_cache_block_type", "fraction"))
    return draft.reading("model")


def _seconds(series: list[Series]) -> list[Series]:
    return [(labels, value / 1e6) for labels, value in series]
