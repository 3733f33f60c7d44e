"""Text Generation Inference (router/src/server.rs, router/src/infer/mod.rs), in maintenance mode.

It names no model, and exports neither the time to the first token nor its cache's use. The first
is known as a mean only: queue plus prefill (`quantiles.mean_of`). A metric appears with its first
value; until then it is 0, or there is no data.
"""

from __future__ import annotations

from clusters.engine.telemetry.exposition import Page
from clusters.engine.telemetry.runtimes.draft import Draft, only, series_of
from clusters.engine.telemetry.types import RuntimeReading

_ALWAYS = (
    "requests", "errors", "prompt_tokens", "generation_tokens", "tpot", "e2e", "queue",
    "running", "waiting",
)  # fmt: skip
_REQUESTS, _FAILED = "tgi_request_count", "tgi_request_failure"
_PROMPT, _GENERATED = "tgi_request_input_length_sum", "tgi_request_generated_tokens_sum"
_PREFILL = "tgi_batch_inference_duration"
_RUNNING, _WAITING = "tgi_batch_current_size", "tgi_queue_size"
_OURS = ("overloaded", "incomplete", "dropped", "generation")  # the others are bad input
HISTOGRAMS = {
    "tpot": ("tgi_request_mean_time_per_token_duration",),
    "e2e": ("tgi_request_duration",),
    "queue": ("tgi_request_queue_duration",),
}
NAMES = (
    _REQUESTS, _FAILED, _PROMPT, _GENERATED, f"{_PREFILL}_sum", f"{_PREFILL}_count",
    _RUNNING, _WAITING,
    *series_of(HISTOGRAMS),
)  # fmt: skip


def speaks(page: Page) -> bool:
    return any(name.startswith("tgi_") for name in page.samples)


def read(page: Page) -> RuntimeReading:
    draft = Draft("tgi", page, _ALWAYS)
    draft.counted("requests", _REQUESTS)
    _errors(draft)
    draft.counted("prompt_tokens", _PROMPT)
    draft.counted("generation_tokens", _GENERATED)
    draft.each_histogram(HISTOGRAMS)
    draft.mean_of(
        "prefill",
        only(page.series(f"{_PREFILL}_sum"), "method", "prefill"),
        only(page.series(f"{_PREFILL}_count"), "method", "prefill"),
    )
    draft.summed("running", page.series(_RUNNING))
    draft.summed("waiting", page.series(_WAITING))
    return draft.reading()


def _errors(draft: Draft) -> None:
    page = draft.page
    wrong = only(page.series(_FAILED), "err", *_OURS)
    if wrong:
        draft.counter("errors", wrong)
    elif page.whole and _FAILED not in page.broken and "requests" in draft.counters:
        draft.counters["errors"] = 0
