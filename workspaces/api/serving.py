"""The answer of `deployments/{id}/metrics/`: numbers with units in their names; null: no data.

A signal that the runtime does not export is in no point and named in `not_exported`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rest_framework import serializers

from clusters.engine.telemetry.quantiles import mean_of
from clusters.engine.telemetry.types import COUNTERS, GAUGES, HISTOGRAMS, Tick
from workspaces.engine.serving import (
    QUANTILES,
    RANGES,
    Line,
    error_share,
    gauge,
    latency,
    rate,
)
from workspaces.selectors.serving import Serving

SIGNALS = (*COUNTERS, *HISTOGRAMS, *GAUGES[:3])
RATES = ("requests", "errors", "prompt_tokens", "generation_tokens", "preemptions")


class MetricsQuestion(serializers.Serializer[Any]):
    range = serializers.ChoiceField(choices=[one.key for one in RANGES], default="1h")
    cluster = serializers.CharField(default="", help_text="A cluster's name; all without it.")


class QuantileAnswer(serializers.Serializer[Any]):
    """Seconds: linear inside the histogram's bucket (low, high]. `high` null: above every bound."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField(allow_null=True)


class LatencyAnswer(serializers.Serializer[Any]):
    p50 = QuantileAnswer(allow_null=True)
    p95 = QuantileAnswer(allow_null=True)
    p99 = QuantileAnswer(allow_null=True)
    mean = serializers.FloatField(allow_null=True)


class PointAnswer(serializers.Serializer[Any]):
    """`measured_seconds` of the step were measured; rates are over them. Of the clusters that
    served then, those that were measured are in the sums."""

    at = serializers.DateTimeField()
    clusters_measured = serializers.IntegerField()
    clusters_serving = serializers.IntegerField()
    measured_seconds = serializers.FloatField()
    pods_answered = serializers.IntegerField()
    pods_expected = serializers.IntegerField()
    requests_per_second = serializers.FloatField(allow_null=True)
    errors_per_second = serializers.FloatField(allow_null=True)
    error_ratio = serializers.FloatField(allow_null=True)
    prompt_tokens_per_second = serializers.FloatField(allow_null=True)
    generation_tokens_per_second = serializers.FloatField(allow_null=True)
    preemptions_per_second = serializers.FloatField(allow_null=True)
    running = serializers.FloatField(allow_null=True)
    waiting = serializers.FloatField(allow_null=True)
    kv_cache_ratio = serializers.FloatField(allow_null=True)
    latency_seconds = serializers.DictField(
        child=LatencyAnswer(), help_text="By ttft, itl (per token), tpot (per request), e2e, queue."
    )


class LineAnswer(serializers.Serializer[Any]):
    revision = serializers.IntegerField()
    runtime = serializers.CharField()
    not_exported = serializers.ListField(child=serializers.CharField())
    points = PointAnswer(many=True)


class SourceAnswer(serializers.Serializer[Any]):
    """`measured_at` null: never. `problem`: why there are no numbers now."""

    cluster = serializers.CharField()
    measured_at = serializers.DateTimeField(source="at", allow_null=True)
    problem = serializers.CharField()


class MarkAnswer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    text = serializers.CharField()


class MetricsAnswer(serializers.Serializer[Any]):
    """A point for each step that was measured: what is missing was not."""

    range = serializers.CharField()
    step_seconds = serializers.IntegerField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    cluster = serializers.CharField(allow_null=True)
    clusters = serializers.ListField(child=serializers.CharField())
    sources = SourceAnswer(many=True)
    marks = MarkAnswer(many=True)
    revisions = LineAnswer(many=True)


def metrics_answer(serving: Serving, now: datetime) -> dict[str, Any]:
    answer: dict[str, Any] = MetricsAnswer(
        {
            "range": serving.asked.key,
            "step_seconds": serving.asked.step,
            "start": serving.times[0],
            "end": now,
            "cluster": serving.cluster or None,
            "clusters": serving.clusters,
            "sources": serving.sources,
            "marks": serving.marks,
            "revisions": [_line(line, serving.times) for line in serving.lines],
        }
    ).data
    return answer


def _line(line: Line, times: Iterable[datetime]) -> dict[str, Any]:
    return {
        "revision": line.revision,
        "runtime": line.runtime,
        "not_exported": [name for name in SIGNALS if name not in line.exported],
        "points": [
            _point(at, tick, counted)
            for at, tick, counted in zip(times, line.ticks, line.counted, strict=True)
            if tick is not None
        ],
    }


def _point(at: datetime, tick: Tick, counted: tuple[int, int]) -> dict[str, Any]:
    return {
        "at": at,
        "clusters_measured": counted[0],
        "clusters_serving": counted[1],
        "measured_seconds": tick.seconds,
        "pods_answered": tick.pods_answered,
        "pods_expected": tick.pods_expected,
        **{f"{name}_per_second": rate(tick, name) for name in RATES},
        "error_ratio": error_share(tick),
        "running": gauge(tick, "running"),
        "waiting": gauge(tick, "waiting"),
        "kv_cache_ratio": gauge(tick, "kv_usage"),
        "latency_seconds": {name: _latency(tick, name) for name in HISTOGRAMS},
    }


def _latency(tick: Tick, signal: str) -> dict[str, Any]:
    found: dict[str, Any] = {"mean": mean_of(tick, signal)}
    for q in QUANTILES:
        one = latency(tick, signal, q)
        found[f"p{q * 100:g}"] = one and one._asdict()
    return found
