"""Which charts there are, and the curves of each: one table for figures, tables, CSV and REST."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from clusters.engine.telemetry.quantiles import Quantile
from clusters.engine.telemetry.types import Tick
from workspaces.engine.serving import (
    Line,
    error_share,
    gauge,
    latency,
    mean_latency,
    rate,
    rounded,
)

RUNTIMES = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "tgi": "TGI",
    "triton": "Triton",
    "trtllm": "TensorRT-LLM",
    "kaito-transformers": "KAITO's transformers runtime",
}

Value = Callable[[Tick | None], float | None]
Interval = Callable[[Tick | None], Quantile | None]


class Curve(NamedTuple):
    """`rank`: main, second or third in weight. `interval`: the bucket, of quantiles."""

    key: str
    label: str
    rank: str
    value: Value
    interval: Interval | None = None


class Chart(NamedTuple):
    """`signals`: it is exported where one of them is. `per_request`: silent while none ends."""

    key: str
    title: str
    unit: str
    signals: tuple[str, ...]
    curves: tuple[Curve, ...]
    per_request: bool = False


def _latencies(*signals: str) -> tuple[Curve, ...]:
    quantiles = (_quantile(0.95, "main"), _quantile(0.5, "second"), _quantile(0.99, "third"))
    return (*(make(signals) for make in quantiles), _mean(signals))


def _quantile(q: float, rank: str) -> Callable[[Sequence[str]], Curve]:
    def make(signals: Sequence[str]) -> Curve:
        def interval(tick: Tick | None) -> Quantile | None:
            found = (latency(tick, signal, q) for signal in signals)
            return next((one for one in found if one is not None), None)

        def value(tick: Tick | None) -> float | None:
            one = interval(tick)
            return None if one is None else one.value

        key = f"p{q * 100:g}"
        return Curve(key, key, rank, value, interval)

    return make


def _mean(signals: Sequence[str]) -> Curve:
    def value(tick: Tick | None) -> float | None:
        found = (mean_latency(tick, signal) for signal in signals)
        return next((one for one in found if one is not None), None)

    return Curve("mean", "mean", "main", value)


def _times(value: Value, factor: float) -> Value:
    def scaled(tick: Tick | None) -> float | None:
        found = value(tick)
        return None if found is None else found * factor

    return scaled


def _rate(signal: str) -> Value:
    return lambda tick: rate(tick, signal)


def _gauge(signal: str) -> Value:
    return lambda tick: gauge(tick, signal)


CHARTS = (
    Chart(
        "requests",
        "Requests",
        "per second",
        ("requests",),
        (Curve("requests", "ended", "main", _rate("requests")),),
    ),
    Chart(
        "errors",
        "Errors of the server",
        "% of requests",
        ("errors",),
        (Curve("errors", "errors", "main", _times(error_share, 100)),),
        per_request=True,
    ),
    Chart("ttft", "Time to first token", "s", ("ttft",), _latencies("ttft"), per_request=True),
    Chart(
        "itl",
        "Time per token",
        "s",
        ("itl", "tpot"),
        _latencies("itl", "tpot"),
        per_request=True,
    ),
    Chart("e2e", "Whole answer", "s", ("e2e",), _latencies("e2e"), per_request=True),
    Chart(
        "tokens",
        "Tokens",
        "per second",
        ("generation_tokens", "prompt_tokens"),
        (
            Curve("generated", "generated", "main", _rate("generation_tokens")),
            Curve("prompt", "prompt", "second", _rate("prompt_tokens")),
        ),
    ),
    Chart(
        "cache",
        "KV cache in use",
        "%",
        ("kv_usage",),
        (Curve("cache", "in use", "main", _times(_gauge("kv_usage"), 100)),),
    ),
    Chart(
        "flight",
        "Requests in flight",
        "requests",
        ("running", "waiting"),
        (
            Curve("running", "running", "main", _gauge("running")),
            Curve("waiting", "waiting", "second", _gauge("waiting")),
        ),
    ),
    Chart(
        "preemptions",
        "Preemptions",
        "per minute",
        ("preemptions",),
        (Curve("preemptions", "preempted", "main", _times(_rate("preemptions"), 60)),),
    ),
)
BY_KEY = {chart.key: chart for chart in CHARTS}


def values(line: Line, curve: Curve) -> list[float | None]:
    return [rounded(curve.value(tick)) for tick in line.ticks]


def curves_of(chart: Chart, line: Line) -> list[tuple[Curve, list[float | None]]]:
    """The curves of a chart that have a value somewhere."""
    found = ((curve, values(line, curve)) for curve in chart.curves)
    return [(curve, held) for curve, held in found if any(one is not None for one in held)]


def silence(chart: Chart, lines: Sequence[Line]) -> str:
    """Why a chart without a single value has none; "" needs no words (nothing was scraped)."""
    speaking = [line for line in lines if any(line.ticks)]
    if not speaking:
        return ""
    if not any(set(chart.signals) & line.exported for line in speaking):
        names = sorted({RUNTIMES.get(line.runtime, "This runtime") for line in speaking})
        return f"Not exported by {' and '.join(names)}."
    if chart.per_request:
        return "No data: no request ended in this time."
    return "No data in this time."
