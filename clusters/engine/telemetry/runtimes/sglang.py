"""SGLang (python/sglang/srt/observability/metrics_collector.py). Off unless --enable-metrics.

Every rank of a tensor-parallel group may report the same scheduler: one rank of each group is
read. Data-parallel ranks are different schedulers and add up.
"""

from __future__ import annotations

from collections.abc import Iterable

from clusters.engine.telemetry.exposition import Page, Series
from clusters.engine.telemetry.runtimes.draft import Draft, failed, series_of, under
from clusters.engine.telemetry.types import RuntimeReading

_ALWAYS = (
    "requests", "prompt_tokens", "generation_tokens", "ttft", "itl", "e2e", "running", "waiting",
    "kv_usage",
)  # fmt: skip
_FINISHED, _ABORTED = "sglang:num_requests_total", "sglang:num_aborted_requests_total"
_PROMPT, _GENERATED = "sglang:prompt_tokens_total", "sglang:generation_tokens_total"
_CACHED = "sglang:cached_tokens_total"
_HTTP = "sglang:http_responses_total"
_RUNNING, _WAITING, _USAGE = (
    "sglang:num_running_reqs",
    "sglang:num_queue_reqs",
    "sglang:token_usage",
)
HISTOGRAMS = {
    "ttft": ("sglang:time_to_first_token_seconds",),
    "itl": ("sglang:inter_token_latency_seconds",),
    "e2e": ("sglang:e2e_request_latency_seconds",),
    "queue": ("sglang:queue_time_seconds",),
}
_RANKS = ("tp_rank", "pp_rank", "moe_ep_rank")
NAMES = (
    _FINISHED, _ABORTED, _PROMPT, _GENERATED, _CACHED, _HTTP, _RUNNING, _WAITING, _USAGE,
    *series_of(HISTOGRAMS),
)  # fmt: skip


def speaks(page: Page) -> bool:
    return any(name.startswith("sglang:") for name in page.samples)


def read(page: Page) -> RuntimeReading:
    for name in page.samples:
        page.samples[name] = one_rank(page.samples[name])
    draft = Draft("sglang", page, _ALWAYS)
    if _ABORTED not in page.broken:
        draft.counter("requests", page.series(_FINISHED))
        if "requests" in draft.counters:
            draft.counter("requests", page.series(_ABORTED))
    draft.counted("prompt_tokens", _PROMPT)
    draft.counted("generation_tokens", _GENERATED)
    if page.has(_CACHED):  # tokens of prompts that were in the cache, of all that were asked for
        draft.counted("cache_hits", _CACHED)
        draft.counted("cache_queries", _PROMPT)
    _errors(draft)
    draft.each_histogram(HISTOGRAMS)
    draft.load(_RUNNING, _WAITING, _USAGE)
    return draft.reading()


def _errors(draft: Draft) -> None:
    page = draft.page
    if not page.has(_HTTP):
        return
    draft.exported.add("errors")
    if _HTTP not in page.broken:
        api = under(page.series(_HTTP), "endpoint", "/v1/", "/generate")
        draft.counter("errors", failed(api, "status_code") or [({}, 0.0)])


def one_rank(series: Iterable[Series]) -> list[Series]:
    """Of label sets that differ by the rank in a parallel group alone, the lowest rank's.

    With data-parallel attention tensor ranks are numbered through: rank 2 is the first of dp 1.
    """
    kept: dict[tuple[tuple[str, str], ...], tuple[tuple[int, ...], Series]] = {}
    for labels, value in series:
        rest = tuple(sorted(item for item in labels.items() if item[0] not in _RANKS))
        ranks = tuple(_rank(labels.get(name, "")) for name in _RANKS)
        if rest not in kept or ranks < kept[rest][0]:
            kept[rest] = ranks, (labels, value)
    # Without the ranks, label sets of one histogram stay together whichever rank was read.
    return [
        ({name: text for name, text in labels.items() if name not in _RANKS}, value)
        for _, (labels, value) in kept.values()
    ]


def _rank(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
