"""Looks by a Prometheus that come late count nothing twice, and restarts count still."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.telemetry.lag import caught_up
from clusters.engine.telemetry.looks import Known, look
from clusters.engine.telemetry.types import Histogram, RuntimeReading, Scrape, Target

SUBJECT = "team/chat"
TARGET = Target("serving", "team", "chat-0", "u", "n", 5000, "/metrics", SUBJECT)


def reading(requests: int, bounds: tuple[float, ...] = (1.0,)) -> RuntimeReading:
    counts = (*(0 for _ in bounds), requests)
    return RuntimeReading(
        runtime="vllm",
        model="phi",
        counters={"requests": requests, "generation_tokens": 100 * requests, "preemptions": 1},
        histograms={"ttft": Histogram(bounds, counts, float(requests))},
        gauges={"running": float(requests % 7)},
        means={},
        exported=("requests",),
    )


def counted(requests: list[int], road: str = "prometheus") -> int:
    """Requests of all looks together, 15 s apart; the first one says where counting begins."""
    known, total = Known(0.0, {"u": reading(requests[0])}), 0
    for number, value in enumerate(requests[1:], start=1):
        scrape = Scrape(15.0 * number, road, {"u": reading(value)}, (TARGET,), None, {})
        found = look(known, scrape)
        total += found.ticks[SUBJECT].counters.get("requests", 0)
        known = Known(scrape.at, found.readings, (), found.serving)
    return total


def test_a_pair_of_prometheus_that_answer_in_turn_counts_every_request_once() -> None:
    assert counted([1000, 1010, 1003, 1020, 1015, 1030, 1030]) == 30
    assert counted([1000, 1010, 1003, 1020], "direct") > 1000, "there a fall is a restart"


def test_from_the_direct_road_to_a_prometheus_that_lags_nothing_counts_twice() -> None:
    assert counted([1000, 980, 1000, 1010]) == 10


def test_a_process_that_began_again_counts_from_nothing_by_a_prometheus_too() -> None:
    assert counted([1000, 1010, 5, 9]) == 10 + 9
    before, now = reading(1000), reading(999, bounds=(1.0, 2.0))
    assert caught_up({"u": before}, {"u": now}) == {"u": now}, "with other buckets"


def test_a_late_look_tells_its_gauges_and_nothing_of_a_pod_that_is_not_known() -> None:
    before, late = reading(1000), reading(990)
    assert caught_up({"u": before}, {"u": late})["u"].gauges == late.gauges
    assert caught_up({}, {"u": late}) == {"u": late}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), max_size=30))
def test_looks_that_lag_by_a_few_steps_are_exact_once_the_newest_is_seen(
    steps: list[tuple[int, int]],
) -> None:
    truth, shown = [10_000], [10_000]
    for more, lag in steps:
        truth.append(truth[-1] + more)
        shown.append(truth[max(0, len(truth) - 1 - lag)])
    assert counted([*shown, truth[-1]]) == truth[-1] - truth[0]
