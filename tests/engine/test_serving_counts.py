"""How many clusters a point of a chart speaks of: a sum that lacks some says so."""

from __future__ import annotations

from tests.engine.test_serving import HOUR, NOW, stored, tick
from workspaces.engine.serving import Standing, lines, times


def test_a_sum_says_how_many_of_the_clusters_that_served_then_are_in_it() -> None:
    starts = times(HOUR, NOW)
    ticks = [stored(at, tick(), subject="a:ns/x") for at in starts]
    ticks += [stored(starts[place], tick(), subject="b:ns/x") for place in (10, 11, 14)]
    (line,) = lines(ticks, HOUR, NOW)
    counted = dict(enumerate(line.counted))
    assert [counted[place] for place in (9, 10, 11, 12, 13, 14, 15)] == [
        *((1, 1), (2, 2), (2, 2), (1, 2), (1, 2), (2, 2), (1, 1))
    ], "before its first and after its last tick the second one is not there"
    assert [line.lacks(place) for place in (9, 11, 12, 14)] == [0, 0, 1, 0]


def test_a_workspace_that_stands_and_is_silent_is_missed_to_the_end() -> None:
    starts = times(HOUR, NOW)
    ticks = [stored(at, tick(), subject="a:ns/x") for at in starts]
    ticks.append(stored(starts[5], tick(), subject="b:ns/x"))
    standing = [
        *(Standing(1, subject, 0.0) for subject in ("a:ns/x", "b:ns/x", "c:ns/x")),
        Standing(1, "d:ns/x", starts[50] + 1),
    ]
    (line,) = lines(ticks, HOUR, NOW, standing)
    assert line.counted[4] == (1, 3), "c is never heard of, b was ready before the chart begins"
    assert line.counted[5] == (2, 3)
    assert line.counted[50] == (1, 3) and line.counted[51] == (1, 4)
    assert line.lacks(len(starts) - 1) == 3


def test_a_gap_lacks_nothing() -> None:
    starts = times(HOUR, NOW)
    ticks = [stored(starts[place], tick()) for place in (3, 9)]
    (line,) = lines(ticks, HOUR, NOW)
    assert line.counted[5] == (0, 1) and line.lacks(5) == 0
