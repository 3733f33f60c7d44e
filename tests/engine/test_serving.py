"""Points of charts out of ticks: places, gaps, sums, and the words for silence."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.telemetry.types import Histogram, Tick
from workspaces.engine.serving import (
    BY_KEY,
    RANGES,
    Range,
    Stored,
    error_share,
    lines,
    pieces,
    rate,
    rounded,
    times,
)
from workspaces.engine.serving_charts import BY_KEY as CHARTS
from workspaces.engine.serving_charts import curves_of, silence

NOW = 1_800_000_000.0 + 1234.5
HOUR = BY_KEY["1h"]


def tick(requests: int | None = 30, **changes: Any) -> Tick:
    held: dict[str, Any] = {
        "seconds": 15.0,
        "pods_expected": 1,
        "pods_answered": 1,
        "counters": {} if requests is None else {"requests": requests, "errors": 0},
        "histograms": {},
        "gauges": {},
        "means": {},
        "exported": ("errors", "itl", "requests", "ttft"),
        "runtime": "vllm",
        "road": "direct",
    }
    return Tick(**(held | changes))


def stored(at: float, one: Tick, revision: int = 1, subject: str = "c:ns/a") -> Stored:
    return Stored(revision, subject, at, one)


@pytest.mark.parametrize("asked", RANGES)
def test_a_range_has_few_points_on_whole_steps_and_ends_now(asked: Range) -> None:
    found = times(asked, NOW)
    assert 30 <= len(found) <= 365
    assert all(at % asked.step == 0 for at in found)
    assert found[-1] <= NOW < found[-1] + asked.step
    assert asked.step % asked.source == 0


@given(st.sampled_from(RANGES), st.floats(1.8e9, 1.8e9 + 1e7))
def test_what_is_read_covers_the_range_once_and_in_few_rows(asked: Range, now: float) -> None:
    found = pieces(asked, now)
    assert found[0][1] == times(asked, now)[0] and found[-1][2] > now
    assert all(a[2] == b[1] for a, b in pairwise(found))
    assert [one[0] for one in found] == sorted({one[0] for one in found}, reverse=True)
    assert sum((end - start) / resolution for resolution, start, end in found) < 2400
    assert found[-1][0] == 15


def test_a_point_without_a_tick_is_a_gap_and_one_without_requests_is_0() -> None:
    at = times(HOUR, NOW)
    (line,) = lines([stored(at[0], tick(30)), stored(at[2], tick(0))], HOUR, NOW)
    rates = [rate(one, "requests") for one in line.ticks]
    assert rates[:3] == [2.0, None, 0.0] and rates[3:] == [None] * (len(at) - 3)


def test_errors_are_unknown_where_no_request_ended_or_nobody_counts_them() -> None:
    assert error_share(tick(0)) is None
    assert error_share(tick(counters={"requests": 4})) is None
    assert error_share(tick(counters={"requests": 4, "errors": 1})) == 0.25
    assert error_share(tick(4)) == 0.0
    assert error_share(None) is None


def test_ticks_of_one_point_are_merged_over_time_and_then_over_workspaces() -> None:
    day = BY_KEY["24h"]
    at = times(day, NOW)[0]
    found = [
        *(stored(at + 60 * i, tick(60, seconds=60.0), subject="a") for i in range(5)),
        *(stored(at + 60 * i, tick(120, seconds=60.0), subject="b") for i in range(5)),
    ]
    (line,) = lines(found, day, NOW)
    assert rate(line.ticks[0], "requests") == 3.0


def test_revisions_are_apart_and_the_newest_stands_first() -> None:
    at = times(HOUR, NOW)[5]
    found = lines([stored(at, tick(), 1), stored(at, tick(), 3), stored(at, tick(), 2)], HOUR, NOW)
    assert [line.revision for line in found] == [3, 2, 1]


def test_the_newest_point_waits_until_every_workspace_is_read() -> None:
    at = times(HOUR, NOW)
    found = [stored(one, tick(30), subject=name) for one in at[-6:-1] for name in ("a", "b")]
    (line,) = lines([*found, stored(at[-1], tick(30), subject="a")], HOUR, NOW)
    assert rate(line.ticks[-2], "requests") == 4.0 and line.ticks[-1] is None
    (line,) = lines([*found, *(stored(at[-1], tick(30), subject=name) for name in "ab")], HOUR, NOW)
    assert rate(line.ticks[-1], "requests") == 4.0


def test_ticks_outside_of_the_range_are_left_out() -> None:
    first = times(HOUR, NOW)[0]
    assert lines([stored(first - 15, tick()), stored(NOW + 100, tick())], HOUR, NOW) == []


def test_silence_says_which_kind_it_is() -> None:
    at = times(HOUR, NOW)[0]
    made = lines([stored(at, tick(0, runtime="tgi", exported=("requests", "errors")))], HOUR, NOW)
    assert silence(CHARTS["ttft"], made) == "Not exported by TGI."
    assert silence(CHARTS["errors"], made) == "No data: no request ended in this time."
    assert curves_of(CHARTS["requests"], made[0])[0][1][0] == 0.0
    assert silence(CHARTS["requests"], []) == ""


def test_a_mean_is_drawn_where_a_runtime_tells_no_distribution() -> None:
    at = times(HOUR, NOW)[0]
    (line,) = lines([stored(at, tick(means={"e2e": (6.0, 3)}))], HOUR, NOW)
    ((curve, values),) = curves_of(CHARTS["e2e"], line)
    assert curve.key == "mean" and values[0] == 2.0


def test_tgis_first_token_is_a_mean_by_name_and_no_quantile() -> None:
    held = {"queue": Histogram((0.1, 0.5), (3, 0, 0), 0.3)}
    told = tick(means={"prefill": (0.6, 3)}, histograms=held, runtime="tgi", exported=("queue",))
    (line,) = lines([stored(times(HOUR, NOW)[0], told)], HOUR, NOW)
    ((curve, values),) = curves_of(CHARTS["ttft"], line)
    assert (curve.key, curve.label, curve.interval) == ("mean", "mean", None)
    assert values[0] == pytest.approx(0.3)


def test_quantiles_come_with_the_bucket_that_they_fall_into() -> None:
    held = {"ttft": Histogram((0.1, 0.5), (5, 95, 0), 30.0)}
    (line,) = lines([stored(times(HOUR, NOW)[0], tick(histograms=held))], HOUR, NOW)
    found = {curve.key: curve for curve, _ in curves_of(CHARTS["ttft"], line)}
    assert set(found) == {"p95", "p50", "p99"}
    interval = found["p95"].interval
    assert interval is not None
    bucket = interval(line.ticks[0])
    assert bucket is not None and (bucket.low, bucket.high) == (0.1, 0.5)


def test_numbers_keep_four_digits_and_nonsense_is_no_number() -> None:
    assert rounded(1.23456) == 1.235 and rounded(123456.0) == 123500.0
    assert rounded(float("nan")) is None and rounded(None) is None
