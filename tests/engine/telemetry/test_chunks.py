"""Hours of GPUs in bytes: what is put in comes out, cards come and go, unknown stays unknown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.telemetry import chunks
from clusters.engine.telemetry.types import GpuSample


def card(uuid: str, util: float | None, used: float | None = None) -> GpuSample:
    return GpuSample("n", 0, uuid, "nvidia", "A100", util=util, memory_used=used, memory_total=80.0)


def test_minutes_are_added_to_an_hour_and_read_back() -> None:
    packed = chunks.append(b"", 0, [card("a", 50.4, 40.0), card("b", None)])
    packed = chunks.append(packed, 59, [card("c", 100.0), card("a", 0.0)])
    hour = chunks.decode(packed)
    assert [uuid for _, _, uuid in hour.cards] == ["a", "b", "c"]
    assert hour.util[:, 0].tolist() == [50, 255, 255]
    assert hour.util[:, 59].tolist() == [0, 255, 100]
    assert hour.memory[:, 0].tolist() == [50, 255, 255]
    assert set(hour.util[:, 1:59].ravel().tolist()) == {255}


def test_a_closed_hour_reads_the_same_and_is_small() -> None:
    packed = b""
    for minute in range(60):
        packed = chunks.append(
            packed, minute, [card(f"GPU-{i}", (i * 7) % 100) for i in range(200)]
        )
    closed = chunks.close(packed)
    assert len(closed) < len(packed) / 5 and chunks.close(closed) == closed
    before, after = chunks.decode(packed), chunks.decode(closed)
    assert after.cards == before.cards and np.array_equal(after.util, before.util)


def test_the_sum_counts_known_minutes_only() -> None:
    packed = chunks.append(b"", 0, [card("a", 50.0), card("b", None), card("c", 25.0)])
    assert chunks.busy(chunks.decode(packed).util) == (2, 0.75)
    assert chunks.busy(chunks.decode(b"").util) == (0, 0.0)


MINUTES = st.dictionaries(
    st.integers(0, 59),
    st.dictionaries(st.sampled_from("abcd"), st.none() | st.floats(0, 100), max_size=4),
    max_size=8,
)


@given(MINUTES)
def test_any_course_of_minutes_reads_back(minutes: dict[int, dict[str, float | None]]) -> None:
    packed = b""
    for minute, values in minutes.items():
        packed = chunks.append(packed, minute, [card(uuid, v) for uuid, v in values.items()])
    hour = chunks.decode(chunks.close(packed) if packed else packed)
    for row, (_, _, uuid) in enumerate(hour.cards):
        for minute in range(60):
            value = minutes.get(minute, {}).get(uuid)
            assert hour.util[row, minute] == (255 if value is None else round(value))


@given(st.binary(max_size=80))
def test_bytes_that_are_no_chunk_are_refused_and_nothing_else_is_raised(body: bytes) -> None:
    try:
        chunks.decode(body)
    except ValueError as error:
        assert "not a chunk" in str(error)


def test_a_chunk_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="not a chunk"):
        chunks.decode(chunks.append(b"", 0, [card("a", 1.0)])[:-5])
