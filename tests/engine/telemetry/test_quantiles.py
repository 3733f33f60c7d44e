"""Quantiles with their interval, and shares of slow requests."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.telemetry.differences import PodSpan, tick
from clusters.engine.telemetry.quantiles import (
    Quantile,
    Share,
    mean,
    mean_of,
    quantile,
    share_slower,
)
from clusters.engine.telemetry.runtimes import read_runtime
from clusters.engine.telemetry.types import Histogram
from tests.engine.telemetry import expositions

H = Histogram((1.0, 2.5, 5.0), (10, 80, 10, 0), 150.0)


def test_a_quantile_is_linear_inside_its_bucket_and_names_it() -> None:
    assert quantile(H, 0.5) == Quantile(1.75, 1.0, 2.5)
    assert quantile(H, 0.05) == Quantile(0.5, 0.0, 1.0)
    assert quantile(H, 0.95) == Quantile(3.75, 2.5, 5.0)


def test_above_every_bound_only_the_lower_end_is_known() -> None:
    assert quantile(Histogram((1.0,), (1, 9), 50.0), 0.95) == Quantile(1.0, 1.0, None)


def test_no_observation_is_no_data() -> None:
    empty = Histogram((1.0,), (0, 0), 0.0)
    assert quantile(None, 0.5) is quantile(empty, 0.5) is quantile(Histogram((), (5,), 1.0), 0.5)
    assert share_slower(empty, 1.0) is None and share_slower(None, 1.0) is None
    assert mean(empty) is None and mean(None) is None


def test_the_share_slower_than_a_bound_is_exact() -> None:
    assert share_slower(H, 2.5) == Share(0.1, 0.1, 0.1)
    assert share_slower(H, 5.0) == Share(0.0, 0.0, 0.0)


def test_the_share_slower_than_a_time_inside_a_bucket_is_an_interval() -> None:
    assert share_slower(H, 1.75) == Share(0.5, 0.1, 0.9)
    found = share_slower(Histogram((1.0,), (1, 3), 1.0), 9.0)
    assert found == Share(0.75, 0.0, 0.75)  # above every bound: the worst is believed


@given(st.lists(st.floats(0.001, 20), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_the_true_quantile_lies_in_the_interval(values: list[float], q: float) -> None:
    bounds = (0.1, 0.5, 1.0, 5.0, 10.0)
    counts = [0] * 6
    for value in values:
        counts[sum(bound < value for bound in bounds)] += 1
    found = quantile(Histogram(bounds, tuple(counts), sum(values)), q)
    truth = sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
    assert found is not None
    assert found.low <= found.value and (found.high is None or found.value <= found.high)
    assert found.low < truth <= (math.inf if found.high is None else found.high)
    share = share_slower(Histogram(bounds, tuple(counts), 0.0), 0.7)
    assert share is not None
    assert share.low <= sum(value > 0.7 for value in values) / len(values) <= share.high


def test_the_interval_covers_what_interpolation_gets_wrong() -> None:
    """A lognormal first-token time with p95 at 1.33 s reads 1.5 s or more between 1 and 2.5 s."""
    rng = random.Random(7)
    sigma = math.log(1.33 / 0.8) / 1.645
    values = [rng.lognormvariate(math.log(0.8), sigma) for _ in range(20_000)]
    bounds = expositions.TTFT
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[sum(bound < value for bound in bounds)] += 1
    found = quantile(Histogram(bounds, tuple(counts), sum(values)), 0.95)
    assert found is not None and found.value > 1.6 and found.low == 1.0 and found.high == 2.5


def test_tgis_first_token_is_known_as_a_mean_of_queue_and_prefill() -> None:
    reading = read_runtime(expositions.TGI)
    assert reading is not None
    found = tick(
        [PodSpan("p", "u", None, reading, True)], seconds=15, pods_expected=1, road="direct"
    )
    first = mean_of(found, "ttft")
    assert first is not None and math.isclose(first, 3.6 / 36 + 7.2 / 36)
    assert mean_of(found, "e2e") == 2.0 and mean_of(found, "itl") is None
