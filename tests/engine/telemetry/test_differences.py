"""Exact differences of counters: resets, new pods, gaps, and ticks that are put together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.telemetry.differences import (
    PodSpan,
    base,
    difference,
    merge,
    merge_histograms,
    tick,
    together,
)
from clusters.engine.telemetry.types import Histogram, RuntimeReading, Tick

BOUNDS = (0.1, 1.0)


def reading(
    counters: dict[str, int] | None = None,
    counts: tuple[int, ...] = (0, 0, 0),
    *,
    gauges: dict[str, float] | None = None,
    runtime: str = "vllm",
    bounds: tuple[float, ...] = BOUNDS,
    total: float = 0.0,
) -> RuntimeReading:
    histograms = {"ttft": Histogram(bounds, counts, total)}
    exported = ("requests", "ttft")
    return RuntimeReading(runtime, "m", counters or {}, histograms, gauges or {}, {}, exported)


def test_a_difference_is_the_exact_growth() -> None:
    before = reading({"requests": 10}, (1, 2, 3), total=5.0)
    found = difference(before, reading({"requests": 17}, (1, 5, 4), total=9.5), first_counts=False)
    assert found.counters == {"requests": 7}
    assert found.histograms == {"ttft": Histogram(BOUNDS, (0, 3, 1), 4.5)}
    assert not found.reset


def test_one_counter_that_fell_means_that_all_of_the_process_is_new() -> None:
    before = reading({"requests": 10, "prompt_tokens": 5}, (1, 2, 3))
    now = reading({"requests": 4, "prompt_tokens": 9}, (1, 2, 3))
    found = difference(before, now, first_counts=False)
    assert found.reset and found.counters == {"requests": 4, "prompt_tokens": 9}
    assert found.histograms["ttft"].counts == (1, 2, 3)


@pytest.mark.parametrize(
    "now",
    [
        reading({"requests": 10}, (0, 9, 9)),
        reading({"requests": 10}, (1, 2), bounds=(0.1,)),
        reading({"requests": 10}, (9, 9, 9), runtime="sglang"),
    ],
)
def test_a_bucket_that_fell_other_buckets_or_another_runtime_are_a_restart(
    now: RuntimeReading,
) -> None:
    before = reading({"requests": 10}, (1, 2, 3))
    assert difference(before, now, first_counts=False).counters == {"requests": 10}
    assert difference(before, now, first_counts=False).reset


def test_errors_alone_that_fall_are_unknown_for_this_span_and_no_restart() -> None:
    found = difference(
        reading({"requests": 10, "errors": 3}),
        reading({"requests": 12, "errors": 1}),
        first_counts=False,
    )
    assert found.counters == {"requests": 2} and not found.reset


def test_a_new_pod_contributes_all_but_one_that_ran_before_we_looked_contributes_nothing() -> None:
    now = reading({"requests": 12}, (1, 2, 3))
    assert difference(None, now, first_counts=True).counters == {"requests": 12}
    found = difference(None, now, first_counts=False)
    assert found == ({}, {}, {}, False)  # no data, which is not 0


def test_a_signal_that_one_scrape_left_out_comes_back_without_its_history() -> None:
    first = reading({"requests": 100, "prompt_tokens": 5})
    second = reading({"prompt_tokens": 6})
    held = base(first, second)
    third = reading({"requests": 103, "prompt_tokens": 9})
    found = difference(held, third, first_counts=False)
    assert found.counters == {"requests": 3, "prompt_tokens": 3}


def test_nothing_is_carried_over_a_restart() -> None:
    held = base(reading({"requests": 100, "errors": 5}), reading({"requests": 1}))
    assert held.counters == {"requests": 1}


COUNTS = st.tuples(*(st.integers(0, 50) for _ in range(3)))
STEPS = st.lists(st.tuples(st.integers(0, 9), COUNTS, st.booleans()), min_size=1, max_size=12)


@given(STEPS)
def test_differences_over_any_course_add_up_to_what_happened(
    steps: list[tuple[int, tuple[int, ...], bool]],
) -> None:
    """Requests are counted once each, over restarts that a counter shows and missed signals."""
    requests, happened, counted = 0, 0, 0
    held: RuntimeReading | None = None
    for grown, counts, restarts in steps:
        if restarts and requests > grown:
            requests = 0
        requests += grown
        happened += grown
        now = reading({"requests": requests}, tuple(n * 0 for n in counts))
        counted += difference(held, now, first_counts=True).counters["requests"]
        held = base(held, now)
    assert counted == happened


READINGS = st.builds(
    reading,
    st.dictionaries(st.sampled_from(["requests", "errors", "prompt_tokens"]), st.integers(0, 99)),
    COUNTS,
    gauges=st.dictionaries(st.sampled_from(["running", "kv_usage"]), st.floats(0, 1)),
    runtime=st.sampled_from(["vllm", "tgi"]),
    total=st.floats(0, 1e6) | st.just(math.nan),
)


@given(st.none() | READINGS, READINGS, st.booleans())
def test_a_difference_is_never_negative_and_never_invents_a_signal(
    before: RuntimeReading | None, now: RuntimeReading, first_counts: bool
) -> None:
    found = difference(before, now, first_counts=first_counts)
    assert all(value >= 0 for value in found.counters.values())
    assert set(found.counters) <= set(now.counters)
    for held in found.histograms.values():
        assert min(held.counts) >= 0 and not held.total < 0


def span(pod: str, before: RuntimeReading | None, now: RuntimeReading) -> PodSpan:
    return PodSpan(pod, f"uid-{pod}", before, now, first_counts=True)


def test_a_tick_adds_its_pods_and_keeps_the_exact_share_of_each() -> None:
    spans = [
        span(
            "a",
            reading({"requests": 1}),
            reading({"requests": 4}, (3, 0, 0), gauges={"running": 2, "kv_usage": 0.2}),
        ),
        span(
            "b", None, reading({"requests": 5}, (0, 5, 0), gauges={"running": 3, "kv_usage": 0.6})
        ),
    ]
    found = tick(spans, seconds=15.0, pods_expected=3, road="direct")
    assert found.counters == {"requests": 8}
    assert found.histograms["ttft"].counts == (3, 5, 0)
    assert found.gauges == {"running": 5, "kv_usage": 0.4}
    assert (found.pods_expected, found.pods_answered, found.runtime) == (3, 2, "vllm")
    assert [(one.pod, one.counters) for one in found.pods] == [
        ("a", {"requests": 3}),
        ("b", {"requests": 5}),
    ]


def test_a_tick_of_no_pod_has_no_numbers() -> None:
    found = tick([], seconds=15.0, pods_expected=2, road="direct")
    assert (found.counters, found.gauges, found.exported, found.pods_answered) == ({}, {}, (), 0)


def one_tick(**changes: object) -> Tick:
    values: dict[str, object] = {
        "seconds": 15.0,
        "pods_expected": 2,
        "pods_answered": 2,
        "counters": {},
        "histograms": {},
        "gauges": {},
        "means": {},
        "exported": (),
        "runtime": "vllm",
        "road": "direct",
    }
    return Tick(**(values | changes))  # type: ignore[arg-type]


def test_a_longer_tick_adds_counts_and_averages_gauges_by_time() -> None:
    found = merge(
        [
            one_tick(counters={"requests": 4}, gauges={"running": 2.0}, means={"e2e": (4.0, 2)}),
            one_tick(
                seconds=45.0,
                counters={"requests": 6, "errors": 1},
                gauges={"running": 6.0, "kv_usage": 0.5},
                means={"e2e": (2.0, 1)},
                pods_answered=1,
                road="prometheus",
            ),
        ]
    )
    assert found.seconds == 60.0 and found.counters == {"requests": 10, "errors": 1}
    assert found.gauges == {"running": 5.0, "kv_usage": 0.5}
    assert found.means == {"e2e": (6.0, 3)}
    assert (found.pods_expected, found.pods_answered, found.road) == (2, 1, "prometheus")


def test_ticks_of_several_clusters_add_up_over_the_same_span() -> None:
    found = together(
        [
            one_tick(counters={"requests": 4}, gauges={"running": 2.0, "kv_usage": 0.2}),
            one_tick(counters={"requests": 6}, gauges={"running": 3.0, "kv_usage": 0.4}),
        ]
    )
    assert (found.seconds, found.pods_expected) == (15.0, 4)
    assert found.counters == {"requests": 10}
    assert found.gauges["running"] == 5.0 and math.isclose(found.gauges["kv_usage"], 0.3)


def test_histograms_with_other_bounds_meet_on_shared_bounds_where_counts_are_exact() -> None:
    one = Histogram((0.1, 0.5, 1.0), (1, 2, 3, 4), 5.0)
    other = Histogram((0.5, 2.0), (10, 20, 30), 50.0)
    assert merge_histograms(one, other) == Histogram((0.5,), (13, 57), 55.0)
    assert merge_histograms(one, Histogram((7.0,), (1, 1), 1.0)) == Histogram((), (12,), 6.0)


HISTOGRAMS = st.sets(st.sampled_from([0.1, 0.5, 1.0, 2.0]), min_size=1).flatmap(
    lambda bounds: st.lists(
        st.integers(0, 9), min_size=len(bounds) + 1, max_size=len(bounds) + 1
    ).map(lambda counts: Histogram(tuple(sorted(bounds)), tuple(counts), 1.0))
)


@given(st.lists(HISTOGRAMS, min_size=1, max_size=6))
def test_merging_keeps_every_observation_in_any_order(histograms: list[Histogram]) -> None:
    ticks = [one_tick(histograms={"ttft": held}) for held in histograms]
    forward = merge(ticks).histograms["ttft"]
    assert forward == merge(ticks[::-1]).histograms["ttft"]
    assert forward.count == sum(held.count for held in histograms)
    for place, bound in enumerate(forward.bounds):
        below = sum(forward.counts[: place + 1])
        assert below == sum(sum(h.counts[: h.bounds.index(bound) + 1]) for h in histograms)


def test_a_bucket_that_was_read_while_its_histogram_was_written_is_no_restart() -> None:
    """The process had counted an observation of 50 ms in all, and not yet at 0.1 s and 1 s."""
    torn = reading({"requests": 10}, (3, 3, 4))
    whole = reading({"requests": 11}, (4, 3, 4))
    found = difference(torn, whole, first_counts=False)
    assert not found.reset and found.counters == {"requests": 1}
    assert found.histograms["ttft"].counts == (1, 0, 0)
    caught_up = reading({"requests": 10}, (4, 3, 3))
    found = difference(torn, caught_up, first_counts=False)
    assert not found.reset and found.histograms["ttft"].count == 0  # it was counted before
