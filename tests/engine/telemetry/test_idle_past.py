"""Since when a card idles, from minutes that a Prometheus remembers."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.telemetry.chunks import UNKNOWN, Hour
from clusters.engine.telemetry.looks import GAP
from clusters.engine.telemetry.past import idle_longer
from clusters.engine.telemetry.types import GpuSample


def card(index: int) -> GpuSample:
    return GpuSample("n", index, f"GPU-{index}", "nvidia", "H100", util=0.0)


def _hour(*rows: dict[range, int]) -> Hour:
    """Minutes of cards 0.., each as {minutes: percent}; the others are unknown."""
    util = np.full((len(rows), 60), UNKNOWN, dtype=np.uint8)
    for row, held in enumerate(rows):
        for minutes, percent in held.items():
            util[row, minutes.start : minutes.stop] = percent
    cards = tuple(("n.internal", index, f"GPU-{index}") for index in range(len(rows)))
    return Hour(cards, util, util)


def _idle(hours: list[tuple[float, Hour]], since: float | None, index: int = 0) -> float | None:
    held = msgspec.structs.replace(card(index), idle_since=since)
    (found,) = idle_longer((held,), hours)
    assert msgspec.structs.replace(found, idle_since=since) == held
    return found.idle_since


def test_an_idle_clock_goes_back_to_the_last_busy_minute_however_many_hours_ago() -> None:
    newest = (7200.0, _hour({range(30): 0}))
    middle = (3600.0, _hour({range(60): 4}))
    oldest = (0.0, _hour({range(40): 90, range(40, 60): 0}))
    assert _idle([newest, middle, oldest], 7200.0 + 1815) == 2400.0
    assert _idle([newest], 7200.0 + 1815) == 7200.0


def test_only_a_card_that_idles_now_has_an_idle_past() -> None:
    assert _idle([(0.0, _hour({range(60): 0}))], None) is None


def test_an_idle_clock_stops_at_a_busy_minute_and_at_a_long_silence() -> None:
    assert _idle([(0.0, _hour({range(59): 0, range(59, 60): 5}))], 3605.0) == 3605.0
    quiet = _hour({range(20): 0, range(28, 60): 0})
    assert _idle([(0.0, quiet)], 3605.0) == 0.0, "eight minutes of silence"
    silent = _hour({range(20): 0, range(31, 60): 0})
    assert _idle([(0.0, silent)], 3605.0) == 31 * 60.0
    assert _idle([(0.0, _hour({range(60): 0}))], 3600.0 + GAP + 1) == 3600.0 + GAP + 1


def test_another_cards_past_moves_no_clock() -> None:
    hours = [(0.0, _hour({range(60): 0}, {range(60): 80}))]
    assert (_idle(hours, 3605.0, 0), _idle(hours, 3605.0, 1)) == (0.0, 3605.0)
    assert _idle(hours, 3605.0, 2) == 3605.0


@given(st.lists(st.integers(0, 100) | st.just(UNKNOWN), min_size=60, max_size=60))
def test_an_idle_clock_only_goes_back_and_only_over_minutes_that_were_not_busy(
    minutes: list[int],
) -> None:
    util = np.array([minutes], dtype=np.uint8)
    hour = Hour((("n", 0, "GPU-0"),), util, util)
    since = _idle([(0.0, hour)], 3600.0)
    assert since is not None and 0 <= since <= 3600
    assert all(value < 5 or value == UNKNOWN for value in minutes[int(since // 60) :])
    assert _idle([(0.0, hour)], since) == since
