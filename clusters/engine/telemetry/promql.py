"""The PromQL texts: raw series for exact differences, and each signal as people would ask for it.

The raw ones are what the portal reads; the others are shown to people who want to look further.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from clusters.engine.telemetry import gpus
from clusters.engine.telemetry.runtimes import HISTOGRAMS, WANTED

_POD = ("__name__", "namespace", "pod")
_KEPT = (  # labels that the adapters read
    *_POD, "le", "model_name", "model", "engine", "finished_reason", "handler",
    "status", "status_code", "err", "method", "reason", "request_type", "kv_cache_block_type",
    "tp_rank", "pp_rank", "dp_rank", "moe_ep_rank", "engine_type", "is_streaming",
)  # fmt: skip
# SGLang's `endpoint` is the path that was asked for. Prometheus' operator gives every target an
# `endpoint`, too, the name of a port: then the path is in `exported_endpoint`, unless the job
# honours labels. On everything else `endpoint` only tells two jobs apart that scrape one pod.
_PATHS = "sglang:http_responses_total"
_MOVED = "exported_endpoint"


def raw_counters(*, matchers: str = "", prefix: str = "") -> str:
    """All that the adapters want of all pods. `max`: a pod that two jobs scrape counts once."""
    named = _named((prefix + name for name in WANTED if name != _PATHS), matchers)
    kept, paths = ", ".join(_KEPT), f"{prefix}{_PATHS}"
    own = paths + _braces(_join(f'{_MOVED}=""', matchers))
    moved = paths + _braces(_join(f'{_MOVED}!=""', matchers))
    apart = f"or on (__name__, {_MOVED})"
    return (
        f"max by ({kept}) ({named}) {apart} max by ({kept}, endpoint) ({own}) "
        f"{apart} max by ({kept}, {_MOVED}) ({moved})"
    )


def raw_gpus(kind: str, *, matchers: str = "") -> str:
    """The gauges of one kind of exporter (dcgm, hami, amd), as they are."""
    return _named(gpus.WANTED[kind], matchers)


def newest(*, matchers: str = "", prefix: str = "") -> str:
    """When each pod was scraped last (unix seconds): an instant query repeats what is old."""
    named = _named((prefix + name for name in _BEATS), matchers)
    return f"max by (namespace, pod) (timestamp({named}))"


_BEATS = ("vllm:num_requests_running", "sglang:num_running_reqs", "tgi_queue_size",
          "trtllm_num_requests_running", "nv_inference_request_success")  # fmt: skip


def _named(names: Iterable[str], matchers: str) -> str:
    pattern = "|".join(sorted(names))
    return _braces(_join(f'__name__=~"{pattern}"', matchers))


def _join(*matchers: str) -> str:
    return ",".join(matcher for matcher in matchers if matcher)


# --- the signals, one text each -----------------------------------------------------------------

_API = 'handler=~"/v1/.*"'
_PATH = '=~"/v1/.*|/generate"'
_OURS = 'err=~"overloaded|incomplete|dropped|generation"'
# `R(name|matchers)` is sum(rate(name{matchers}[window])), `V(...)` the same without a rate, `A`
# an average; `P(...)` is R of SGLang's answers by path, whatever the label of the path is called.
_SIGNALS = {
    ("vllm", "requests"): "R(vllm:request_success_total)",
    ("vllm", "errors"): f'R(http_requests_total|{_API},status="5xx") / '
    f"R(http_requests_total|{_API})",
    ("vllm", "running"): "V(vllm:num_requests_running)",
    ("vllm", "waiting"): "V(vllm:num_requests_waiting)",
    ("vllm", "kv_usage"): "A(vllm:kv_cache_usage_perc)",
    ("vllm", "prompt_tokens"): "R(vllm:prompt_tokens_total)",
    ("vllm", "generation_tokens"): "R(vllm:generation_tokens_total)",
    ("vllm", "preemptions"): "R(vllm:num_preemptions_total)",
    ("sglang", "requests"): "R(sglang:num_requests_total) + R(sglang:num_aborted_requests_total)",
    ("sglang", "errors"): f'P({_PATHS}|status_code=~"5..") / P({_PATHS})',
    ("sglang", "running"): "V(sglang:num_running_reqs)",
    ("sglang", "waiting"): "V(sglang:num_queue_reqs)",
    ("sglang", "kv_usage"): "A(sglang:token_usage)",
    ("sglang", "prompt_tokens"): "R(sglang:prompt_tokens_total)",
    ("sglang", "generation_tokens"): "R(sglang:generation_tokens_total)",
    ("tgi", "requests"): "R(tgi_request_count)",
    ("tgi", "errors"): f"R(tgi_request_failure|{_OURS}) / R(tgi_request_count)",
    ("tgi", "running"): "V(tgi_batch_current_size)",
    ("tgi", "waiting"): "V(tgi_queue_size)",
    ("tgi", "prompt_tokens"): "R(tgi_request_input_length_sum)",
    ("tgi", "generation_tokens"): "R(tgi_request_generated_tokens_sum)",
    ("triton", "requests"): "R(nv_inference_request_success) + R(nv_inference_request_failure)",
    ("triton", "errors"): 'R(nv_inference_request_failure|reason!="CANCELED") / '
    "(R(nv_inference_request_success) + R(nv_inference_request_failure))",
    ("triton", "running"): 'V(nv_trt_llm_request_metrics|request_type="scheduled")',
    ("triton", "waiting"): "V(nv_inference_pending_request_count)",
    ("triton", "kv_usage"): 'A(nv_trt_llm_kv_cache_block_metrics|kv_cache_block_type="fraction")',
    ("trtllm", "requests"): "R(trtllm_request_success_total)",
    ("trtllm", "running"): "V(trtllm_num_requests_running)",
    ("trtllm", "waiting"): "V(trtllm_num_requests_waiting)",
    ("trtllm", "kv_usage"): "A(trtllm_kv_cache_utilization)",
}  # fmt: skip
_CALL = re.compile(r"([RVAP])\(([^|)]+)\|?((?:[^)\"]|\"[^\"]*\")*)\)")


def signal_text(
    runtime: str,
    signal: str,
    *,
    quantile: float = 0.95,
    window: str = "5m",
    matchers: str = "",
    prefix: str = "",
) -> str | None:
    """One signal of one runtime: rates per second, ratios 0..1, times in seconds.

    None where the runtime does not export it as such.
    """
    names = HISTOGRAMS.get(runtime, {}).get(signal)
    if names is not None:
        name = names[0]
        inner = f"sum by (le) (rate({prefix}{name}_bucket{_braces(matchers)}[{window}]))"
        text = f"histogram_quantile({quantile:g}, {inner})"
        return f"{text} / 1000" if name.endswith("_ms") else text
    text = _SIGNALS.get((runtime, signal), "")

    def call(found: re.Match[str]) -> str:
        ways = (f"{_MOVED}{_PATH}", f"endpoint{_PATH}") if found[1] == "P" else ("",)
        all_of = [prefix + found[2] + _braces(_join(matchers, way, found[3])) for way in ways]
        if found[1] in "RP":
            return f"sum({' or '.join(f'rate({one}[{window}])' for one in all_of)})"
        (series,) = all_of
        return f"{'sum' if found[1] == 'V' else 'avg'}({series})"

    return _CALL.sub(call, text) or None


def _braces(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""
