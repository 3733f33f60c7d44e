"""Load as a pure function of key and time: monotone counters, one past, sane shapes."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.load import demand
from fleetsim.load.demand import DAY_MS, LEVELS, Knob, Profile
from fleetsim.load.meter import Meter
from fleetsim.load.noise import key, keys, smooth, uniform
from fleetsim.runtimes import catalog
from fleetsim.runtimes.family import summed, text
from fleetsim.runtimes.sheet import Sheet

NOW = 1_795_425_300_000  # ms since 1970, a Monday
WEEK = 7 * DAY_MS
RUNTIMES = ("vllm", "sglang", "tgi", "triton")
moments = st.integers(NOW - WEEK, NOW + DAY_MS)


def profile(name: str = "a", **more: Any) -> Profile:
    return Profile(key(name), 2.0, 4.0, 1, **more)


def meter() -> Meter:
    """A week of an earlier life, a restart, two spans, a turned knob, real requests."""
    found = Meter(profile())
    found.begin(NOW, NOW - WEEK)
    found.send(True, NOW + 10_000)
    found.count(NOW + 20_000, 12, 7)
    found.send(False, NOW + 3_600_000)
    found.send(True, NOW + 7_200_000, Knob(2.0, 1.5, 0.02))
    found.count(NOW + 8_000_000, 0, 0, failed=1)
    found.begin(NOW + 40_000_000)
    found.send(True, NOW + 40_100_000)
    return found


def sheet(at: list[int], version: tuple[int, ...] = (0, 25)) -> Sheet:
    found = meter()
    return Sheet("m", version, found.profile, found.work(np.array(at)))


def lives(at: list[int]) -> list[Sheet]:
    found = meter()
    works = [found.work(np.array(at), life) for life in found.lives]
    return [Sheet("m", (0, 25), found.profile, work) for work in works]


def counters(runtime: str, at: list[int], whole: bool = False) -> dict[str, list[float]]:
    """Every counting series of a runtime: name with labels -> values."""
    found: dict[str, list[float]] = {}
    for family in catalog.families(runtime, (0, 25)):
        if family.kind != "gauge":
            sheets = lives(at) if whole else [sheet(at)]
            for name, labels, values in summed(family, sheets):
                found[f"{name}{labels}"] = [float(value) for value in values]
    return found


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(RUNTIMES), moments, moments)
def test_counters_never_shrink_between_any_two_moments(runtime: str, one: int, two: int) -> None:
    early, late = sorted((one, two))
    for name, (before, after) in counters(runtime, [early, late], whole=True).items():
        assert before <= after, name


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(RUNTIMES), st.integers(NOW + 1, NOW + DAY_MS))
def test_a_restart_begins_at_nothing_and_differences_see_through_it(runtime: str, at: int) -> None:
    start = NOW + 40_000_000
    seen = counters(runtime, [at, start])
    assert all(values[1] == 0 for values in seen.values())
    going = counters(runtime, [at, start], whole=True)
    assert sum(values[1] for values in going.values()) > 0


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(RUNTIMES), moments, st.lists(moments, max_size=8))
def test_a_value_is_the_same_alone_among_others_and_later(
    runtime: str, at: int, others: list[int]
) -> None:
    alone = counters(runtime, [at])
    among = counters(runtime, [*others, at])
    assert {name: values[-1] for name, values in among.items()} == {
        name: values[0] for name, values in alone.items()
    }


def test_what_happens_later_leaves_the_past_alone() -> None:
    early, late = meter(), meter()
    late.send(False, NOW + 50_000_000)
    late.begin(NOW + 60_000_000)
    late.count(NOW + 61_000_000, 3, 3)
    at = np.array([NOW - WEEK + 5, NOW - 7, NOW + 15_000, NOW + 7_300_000, NOW + 41_000_000])
    for knob, done in early.work(at).done.items():
        assert (late.work(at).done[knob] == done).all()
    assert (early.work(at).rate == late.work(at).rate).all()


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(RUNTIMES), moments)
def test_buckets_rise_with_their_bounds_and_end_at_the_count(runtime: str, at: int) -> None:
    for family in catalog.families(runtime, (0, 25)):
        if family.kind != "histogram":
            continue
        groups: dict[str, list[tuple[float, float]]] = {}
        counts: dict[str, float] = {}
        for name, labels, values in family.rows(sheet([at])):
            rest = str([pair for pair in labels if pair[0] != "le"])
            if name.endswith("_bucket"):
                groups.setdefault(rest, []).append((float(dict(labels)["le"]), float(values[0])))
            elif name.endswith("_count"):
                counts[rest] = float(values[0])
        for rest, rows in groups.items():
            bounds, numbers = zip(*rows, strict=True)
            assert list(bounds) == sorted(bounds) and math.isinf(bounds[-1])
            assert list(numbers) == sorted(numbers) and numbers[-1] == counts[rest]


def test_load_follows_the_day_and_the_week() -> None:
    quiet = Profile(key("q"), 1.0, 50.0, 0, weekend=0.3)
    monday = NOW // DAY_MS
    noon = demand.rates(quiet, Knob(), np.arange(600, 780) + monday * 1440).mean()
    night = demand.rates(quiet, Knob(), np.arange(120, 300) + monday * 1440).mean()
    sunday = demand.rates(quiet, Knob(), np.arange(600, 780) + (monday - 1) * 1440).mean()
    assert noon > 3 * night and noon > 1.8 * sunday


def test_latency_grows_with_load() -> None:
    def mean(rate: float) -> float:
        found = Meter(profile())
        found.begin(NOW)
        found.send(True, NOW, Knob(rate))
        work = found.work(np.array([NOW + DAY_MS]))
        rows = list(
            next(
                family for family in catalog.families("vllm", (0, 25))
                if family.name == "vllm:time_to_first_token_seconds"
            ).rows(Sheet("m", (0, 25), found.profile, work))
        )  # fmt: skip
        return float(rows[-2][2][0] / rows[-1][2][0])

    assert mean(0.2) < mean(1.0) < mean(2.5)


def test_old_vllm_has_its_old_names() -> None:
    old, new = (text(catalog.families("vllm", v), sheet([NOW + 20_000], version=v))
                for v in ((0, 8, 2), (0, 25, 1)))  # fmt: skip
    assert "vllm:gpu_cache_usage_perc{model_name=" in old and "engine=" not in old
    assert "vllm:time_per_output_token_seconds_bucket" in old
    assert "vllm:kv_cache_usage_perc{engine=" in new and "vllm:gpu_cache" not in new
    assert "vllm:inter_token_latency_seconds_bucket" in new


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_line_of_a_text_is_well_formed(runtime: str) -> None:
    line = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*({([a-z_]+="[^"]*",?)+})? [0-9.e+-]+')
    for each in text(catalog.families(runtime, (0, 25)), sheet([NOW + 20_000])).splitlines():
        assert each.startswith(("# TYPE ", "# Simulated")) or line.fullmatch(each), each


@given(st.integers(0, 2**63), st.integers(0, 2**40), st.integers(1, 10_000))
def test_noise_stays_in_its_bounds(seed: int, seconds: int, period: int) -> None:
    at = np.array([seconds])
    assert 0 <= uniform(keys(seed), at)[0] < 1
    assert -1 <= smooth(keys(seed), at, period)[0] <= 1


def test_thousandths_add_up_over_any_cut() -> None:
    one = profile()
    cuts = np.array([NOW + 1, NOW + 90_000_001, NOW + 200_000_000])
    whole = demand.done(one, Knob(), NOW, cuts)
    parts = demand.done(one, Knob(), int(cuts[0]), cuts[1:2])[0]
    assert whole.shape == (3, LEVELS)
    assert abs(int((whole[1] - whole[0] - parts).sum())) <= LEVELS
