"""trtllm-serve, TensorRT-LLM's own server: vLLM's signals under names that begin with trtllm_."""

from __future__ import annotations

from clusters.engine.telemetry.exposition import Page
from clusters.engine.telemetry.runtimes.draft import Draft, series_of
from clusters.engine.telemetry.types import RuntimeReading

_ALWAYS = ("requests", "ttft", "itl", "e2e", "queue", "running", "waiting", "kv_usage")
_REQUESTS = "trtllm_request_success_total"
_RUNNING, _WAITING = "trtllm_num_requests_running", "trtllm_num_requests_waiting"
_USAGE = "trtllm_kv_cache_utilization"
HISTOGRAMS = {
    "ttft": ("trtllm_time_to_first_token_seconds",),
    "itl": ("trtllm_time_per_output_token_seconds",),
    "e2e": ("trtllm_e2e_request_latency_seconds",),
    "queue": ("trtllm_request_queue_time_seconds",),
}
NAMES = (
    _REQUESTS, _RUNNING, _WAITING, _USAGE,
    *series_of(HISTOGRAMS),
)  # fmt: skip


def speaks(page: Page) -> bool:
    return any(name.startswith("trtllm_") for name in page.samples)


def read(page: Page) -> RuntimeReading:
    draft = Draft("trtllm", page, _ALWAYS)
    draft.counted("requests", _REQUESTS)
    draft.each_histogram(HISTOGRAMS)
    draft.load(_RUNNING, _WAITING, _USAGE)
    return draft.reading()
