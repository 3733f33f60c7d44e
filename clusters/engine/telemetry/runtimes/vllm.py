"""vLLM, names of 0.8 to 2026 (vllm/v1/metrics/loggers.py). Every `_perc` is a ratio 0..1.

Data-parallel engines (label `engine`) are one pod: counts add up, the cache's use is their mean.
"""

from __future__ import annotations

from clusters.engine.telemetry.exposition import Page
from clusters.engine.telemetry.runtimes import kaito
from clusters.engine.telemetry.runtimes.draft import Draft, failed, only, series_of, under
from clusters.engine.telemetry.types import RuntimeReading

ALWAYS = (
    "requests", "prompt_tokens", "generation_tokens", "preemptions", "ttft", "itl", "e2e", "queue",
    "running", "waiting", "kv_usage",
)  # fmt: skip
_REQUESTS = "vllm:request_success_total"  # counts every end of a request, whatever its reason
_HTTP = "http_requests_total"
_ITL = ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")
_CACHE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
_QUERIES = ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total")
_HITS = ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total")
_COUNTERS = {
    "prompt_tokens": ("vllm:prompt_tokens_total",),
    "generation_tokens": ("vllm:generation_tokens_total",),
    "preemptions": ("vllm:num_preemptions_total",),
    "cache_queries": _QUERIES,
    "cache_hits": _HITS,
}
HISTOGRAMS = {
    "ttft": ("vllm:time_to_first_token_seconds",),
    "itl": _ITL,  # the newer name wins: the older one is its alias, not more data
    "tpot": ("vllm:request_time_per_output_token_seconds",),
    "e2e": ("vllm:e2e_request_latency_seconds",),
    "queue": ("vllm:request_queue_time_seconds",),
}
_RUNNING, _WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
NAMES = (
    _REQUESTS, _HTTP, _RUNNING, _WAITING, *_CACHE,
    *(name for names in _COUNTERS.values() for name in names),
    *series_of(HISTOGRAMS),
)  # fmt: skip


def speaks(page: Page) -> bool:
    return any(name.startswith("vllm:") for name in page.samples)


def read(page: Page) -> RuntimeReading:
    draft = Draft("vllm", page, ALWAYS)
    draft.counted("requests", _REQUESTS)
    _errors(draft)
    for signal, names in _COUNTERS.items():
        draft.counted(signal, *names)
    draft.each_histogram(HISTOGRAMS)
    draft.load(_RUNNING, _WAITING, draft.first(*_CACHE))
    kaito.add_download(draft)
    return draft.reading()


def _errors(draft: Draft) -> None:
    """Answers 5xx of the API; without that counter, requests that ended by `error`.

    Never `abort`: the client went away.
    """
    page = draft.page
    if page.has(_HTTP):
        draft.exported.add("errors")
        if _HTTP not in page.broken:
            wrong = failed(under(page.series(_HTTP), "handler", "/v1/"), "status")
            draft.counter("errors", wrong or [({}, 0.0)])
        return
    draft.counter("errors", only(page.series(_REQUESTS), "finished_reason", "error"))
