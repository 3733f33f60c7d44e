"""Answers of the Prometheus HTTP API, read into the same readings as a scrape. Never raises.

One query brings the raw series of all pods (`promql.raw_counters`, `promql.raw_gpus`); they are
made into one page for each pod, which the same adapters read: both roads mean the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from clusters.engine.telemetry.exposition import Labels, Page, number
from clusters.engine.telemetry.gpus import gpus_of
from clusters.engine.telemetry.runtimes import read_page
from clusters.engine.telemetry.types import GpuSample, RuntimeReading

MAX_SERIES = 200_000
MAX_POINTS = 11_000  # of one series; Prometheus' own limit

PodName = tuple[str, str]  # namespace, name
Point = tuple[float, float]  # unix seconds, value


@dataclass(frozen=True, slots=True)
class Line:
    """One series: one point of a vector, many of a matrix. Points without a number are left out."""

    labels: Labels
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """`problem`: why there are no lines, in Prometheus' or our words; "" when all is well."""

    lines: tuple[Line, ...] = ()
    problem: str = ""


class _Data(msgspec.Struct):
    resultType: str = ""
    result: Any = None


class _Envelope(msgspec.Struct):
    status: str = ""
    error: str = ""
    data: _Data | None = None


_decoder = msgspec.json.Decoder(_Envelope)


def read_answer(body: bytes) -> Answer:
    """A vector, a matrix or a scalar. NaN and infinities are no data."""
    try:
        envelope = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Answer(problem="The answer is not Prometheus' JSON.")
    if envelope.status != "success" or envelope.data is None:
        return Answer(problem=envelope.error[:300] or "Prometheus reports no success.")
    result = envelope.data.result
    if envelope.data.resultType == "scalar":
        result = [{"metric": {}, "value": result}]
    if not isinstance(result, list):
        return Answer(problem="The answer holds no series.")
    if len(result) > MAX_SERIES:
        return Answer(problem=f"More than {MAX_SERIES} series: narrow the matchers.")
    lines = (_line(item) for item in result)
    return Answer(tuple(line for line in lines if line is not None))


def _line(item: object) -> Line | None:
    if not isinstance(item, dict):
        return None
    labels = item.get("metric")
    points = item.get("values", [item.get("value")])
    if not isinstance(labels, dict) or not isinstance(points, list):
        return None
    texts = {k: v for k, v in labels.items() if isinstance(v, str)}
    found = (_point(one) for one in points[:MAX_POINTS])
    return Line(texts, tuple(point for point in found if point is not None))


def _point(item: object) -> Point | None:
    if not isinstance(item, list) or len(item) != 2:
        return None
    at, text = item
    if isinstance(at, bool) or not isinstance(at, int | float) or not isinstance(text, str):
        return None
    value = number(text)
    return (float(at), value) if value is not None and math.isfinite(value) else None


# --- raw series to readings ---------------------------------------------------------------------


def pods_of(answer: Answer, *, prefix: str = "") -> dict[PodName, RuntimeReading]:
    """The reading of every pod in a vector of raw counters (`promql.raw_counters`)."""
    pages: dict[PodName, Page] = {}
    for line in answer.lines:
        for _, value in line.points[-1:]:
            _put(pages.setdefault(_pod_of(line.labels), Page()), line.labels, value, prefix)
    read = {pod: read_page(page) for pod, page in pages.items()}
    return {pod: reading for pod, reading in read.items() if reading is not None}


def pods_over_time(
    answer: Answer, *, prefix: str = ""
) -> dict[PodName, list[tuple[float, RuntimeReading]]]:
    """The same of a matrix: readings of every pod in order of time (unix seconds)."""
    found: dict[PodName, list[tuple[float, RuntimeReading]]] = {}
    for pod, lines in _grouped(answer.lines).items():
        for at, page in _pages_over_time(lines, prefix):
            reading = read_page(page)
            if reading is not None:
                found.setdefault(pod, []).append((at, reading))
    return found


def newest_in(answer: Answer) -> dict[PodName, float]:
    """When each pod was scraped last, in unix seconds (`promql.newest`)."""
    return {_pod_of(line.labels): line.points[-1][1] for line in answer.lines if line.points}


def gpus_in(
    answer: Answer, kind: str, *, exporters: Mapping[str, str] | None = None
) -> tuple[GpuSample, ...]:
    """The cards in a vector of raw gauges of `kind` (`promql.raw_gpus`).

    `exporters`: the exporters' own pods (namespace/name) -> their nodes. Without them nodes are
    what labels say.
    """
    page = Page()
    for line in answer.lines:
        for _, value in line.points[-1:]:
            _put(page, line.labels, value, "")
    return gpus_of(page, kind, exporters=exporters)


def gpus_over_time(
    answer: Answer, kind: str, *, exporters: Mapping[str, str] | None = None
) -> list[tuple[float, tuple[GpuSample, ...]]]:
    """The same of a matrix, in order of time."""
    return [
        (at, gpus_of(page, kind, exporters=exporters))
        for at, page in _pages_over_time(answer.lines, "")
    ]


def _pages_over_time(lines: Iterable[Line], prefix: str) -> list[tuple[float, Page]]:
    pages: dict[float, Page] = {}
    for line in lines:
        for at, value in line.points:
            _put(pages.setdefault(at, Page()), line.labels, value, prefix)
    return sorted(pages.items(), key=lambda item: item[0])


def _grouped(lines: Iterable[Line]) -> Mapping[PodName, Sequence[Line]]:
    pods: dict[PodName, list[Line]] = {}
    for line in lines:
        pods.setdefault(_pod_of(line.labels), []).append(line)
    return pods


def _put(page: Page, labels: Labels, value: float, prefix: str) -> None:
    name = labels.get("__name__", "").removeprefix(prefix)
    kept = {key: text for key, text in labels.items() if key != "__name__"}
    if "exported_endpoint" in kept:  # SGLang's own label; Prometheus has one of the same name
        kept["endpoint"] = kept.pop("exported_endpoint")
    page.samples.setdefault(name, []).append((kept, value))


def _pod_of(labels: Labels) -> PodName:
    return labels.get("namespace", ""), labels.get("pod", "")
