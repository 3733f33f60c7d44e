"""Packed ticks and counters: small, exact, and readable for ever."""

from __future__ import annotations

import hashlib
import math
import random
import zlib
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.telemetry.columns import columns_of
from clusters.engine.telemetry.packing import (
    DICTIONARY,
    pack_readings,
    pack_tick,
    pack_ticks,
    unpack_readings,
    unpack_tick,
    unpack_ticks,
)
from clusters.engine.telemetry.types import Histogram, PodCount, RuntimeReading, Tick

COUNTS = st.dictionaries(st.text(max_size=20), st.integers(0, 2**62), max_size=6)
SECONDS = st.floats(0, 1e9, allow_nan=False)
HISTOGRAMS = st.dictionaries(
    st.sampled_from(("ttft", "itl", "e2e")),
    st.lists(st.integers(0, 2**40), min_size=3, max_size=3).map(
        lambda counts: Histogram((0.1, 2.5), tuple(counts), 1.5)
    ),
    max_size=3,
)
TICKS = st.builds(
    Tick,
    seconds=SECONDS,
    pods_expected=st.integers(0, 1000),
    pods_answered=st.integers(0, 1000),
    counters=COUNTS,
    histograms=HISTOGRAMS,
    gauges=st.dictionaries(st.text(max_size=20), SECONDS, max_size=3),
    means=st.dictionaries(st.text(max_size=5), st.tuples(SECONDS, st.integers(0, 9)), max_size=2),
    exported=st.lists(st.text(max_size=20), max_size=5).map(tuple),
    runtime=st.text(max_size=20),
    road=st.sampled_from(("direct", "prometheus", "backfill")),
    pods=st.lists(
        st.builds(PodCount, st.text(), st.text(), COUNTS, HISTOGRAMS, st.booleans()), max_size=3
    ).map(tuple),
)


def test_the_dictionary_is_the_one_that_stored_rows_were_packed_with() -> None:
    """Change it and no stored tick can be read any more: a new one needs a new number."""
    digest = hashlib.sha256(DICTIONARY).hexdigest()
    assert digest == "5195e43f79cd34e5f869c6e088b49354ec1382fc3d60b13eb46f5b212b6fc280"


@given(TICKS)
def test_a_tick_comes_back_as_it_went_in(tick: Tick) -> None:
    assert unpack_tick(pack_tick(tick)) == tick


@given(TICKS)
def test_plain_msgpack_is_read_too(tick: Tick) -> None:
    assert unpack_tick(msgspec.msgpack.encode(tick)) == tick


@given(st.dictionaries(st.integers(0, 59), TICKS, max_size=12))
def test_any_ticks_come_back_each_at_its_place(ticks: dict[int, Tick]) -> None:
    packed = pack_ticks(ticks)
    found = unpack_ticks(packed)
    assert found == ticks
    assert pack_ticks(found) == packed


def test_no_data_not_exported_and_zero_stay_three_things() -> None:
    zero = Tick(60.0, 2, 2, {"errors": 0}, {}, {}, {}, ("errors", "ttft"), "vllm", "direct")
    silent = msgspec.structs.replace(zero, counters={}, pods_answered=0)
    bare = msgspec.structs.replace(zero, counters={}, exported=())
    found = unpack_ticks(pack_ticks({0: zero, 7: silent, 8: bare, 59: zero}))
    assert found == {0: zero, 7: silent, 8: bare, 59: zero}


def test_a_sum_that_is_unknown_stays_unknown() -> None:
    held = Histogram((0.5,), (2**62, 1), math.nan)
    tick = Tick(60.0, 1, 1, {}, {"ttft": held}, {}, {"e2e": (-0.0, 3)}, (), "x", "direct")
    found = unpack_ticks(pack_ticks({3: tick}))[3]
    assert math.isnan(found.histograms["ttft"].total)
    assert found.histograms["ttft"].counts == (2**62, 1)
    assert math.copysign(1.0, found.means["e2e"][0]) == -1.0


def test_readings_come_back_by_pod() -> None:
    reading = RuntimeReading("vllm", "phi", {"requests": 3}, {}, {}, {}, ("requests",))
    held = {"a": reading, "b": reading}
    assert unpack_readings(pack_readings(held)) == held
    assert unpack_readings(b"") == {}


@given(st.binary(max_size=60))
def test_other_bytes_are_a_value_error(data: bytes) -> None:
    for body in (data, b"\x01" + data):
        for unpack in (unpack_tick, unpack_ticks):
            with suppress(ValueError):
                unpack(body)


@given(TICKS, st.integers(0, 4), st.booleans())
def test_columns_that_do_not_fit_are_a_value_error(tick: Tick, at: int, longer: bool) -> None:
    (columns,) = columns_of({0: tick, 1: tick})
    held = [*msgspec.to_builtins(columns)]
    part = at % 4 + 1
    held[part] = [*held[part], held[part][-1]] if longer else held[part][:-1]
    with pytest.raises(ValueError, match=r"fit|argument|packed"):
        unpack_ticks(msgspec.msgpack.encode([held]))


def test_a_common_tick_takes_a_tenth_of_its_msgpack() -> None:
    bounds = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
              10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0)  # fmt: skip
    held = Histogram(bounds, (0,) * 10 + (3, 9, 17, 11, 4) + (0,) * 8, 41.5)
    names = ("ttft", "itl", "tpot", "e2e", "queue")
    tick = Tick(15.0, 1, 1, {"requests": 44}, dict.fromkeys(names, held), {}, {}, (), "vllm", "x")
    assert len(pack_tick(tick)) * 8 < len(msgspec.msgpack.encode(tick))


def test_an_hour_of_minutes_takes_half_of_what_they_take_alone() -> None:
    bounds = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
              10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0)  # fmt: skip
    dice = random.Random(1)

    def minute() -> Tick:
        counts = (*(0,) * 6, *(dice.randint(0, 60) for _ in range(8)), *(0,) * 9)
        held = {name: Histogram(bounds, counts, dice.random()) for name in ("ttft", "e2e", "queue")}
        counters = {
            "requests": sum(counts),
            "errors": 0,
            "generation_tokens": dice.randint(0, 9999),
        }
        return Tick(60.0, 2, 2, counters, held, {"waiting": 0.0}, {}, ("ttft",), "vllm", "direct")

    hour = {place: minute() for place in range(60)}
    assert len(pack_ticks(hour)) * 2 < sum(len(pack_tick(tick)) for tick in hour.values())


def test_a_bomb_does_not_unpack() -> None:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=DICTIONARY)
    bomb = b"\x01" + deflater.compress(bytes(80 << 20)) + deflater.flush()
    with pytest.raises(ValueError, match="not what was packed"):
        unpack_tick(bomb)
