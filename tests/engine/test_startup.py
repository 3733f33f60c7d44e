"""How long a start still takes: learned from others, never made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspaces.engine.startup import BEGINS, END, LAST, PHASES, Learned, estimate, learn, spans_of

T0 = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = (*(BEGINS[phase] for phase in PHASES), END)


def at(**seconds: float) -> dict[str, datetime]:
    return {key: T0 + timedelta(seconds=value) for key, value in seconds.items()}


def start(
    node: float, image: float, weights: float, load: float, benchmark: float
) -> dict[str, datetime]:
    moment, times = 0.0, {}
    for key, span in zip(KEYS, (node, image, weights, load, benchmark, 0.0), strict=True):
        times[key] = T0 + timedelta(seconds=moment)
        moment += span
    return times


USUAL = [start(60, 30, 100, 20, 40), start(80, 30, 120, 20, 40), start(300, 30, 110, 20, 40)]


def test_a_phase_that_nobody_saw_is_missing_and_not_zero() -> None:
    assert spans_of(at(pulling_image=10, loading_weights=40, ready=140)) == {
        "image": 30,
        "weights": 100,
    }


@pytest.mark.parametrize(
    "times",
    [
        {},
        at(getting_nodes=0, pulling_image=5),
        at(ready=5),
        at(getting_nodes=10, pulling_image=5, ready=20),
        at(getting_nodes=0, ready=3 * 86400),
    ],
)
def test_what_did_not_end_or_is_no_measure_teaches_nothing(times: dict[str, datetime]) -> None:
    assert spans_of(times) is None
    assert learn([times]) == Learned(0, {}, {}, None)


def test_the_estimate_is_the_rest_of_this_phase_and_what_follows() -> None:
    known = learn(USUAL)
    assert known.starts == 3
    assert known.spans["node"] == 80
    found = estimate(at(getting_nodes=0), T0 + timedelta(seconds=30), known)
    assert found is not None
    assert (found.phase, found.seconds, found.over) == ("node", 290 - 30, False)


def test_one_slow_start_does_not_spoil_the_estimate() -> None:
    assert learn(USUAL).onward["node"] == 290
    assert learn([*USUAL, start(9000, 30, 110, 20, 40)]).onward["node"] < 500


def test_a_phase_that_takes_longer_than_usual_leaves_what_follows_to_come() -> None:
    times = at(getting_nodes=0, pulling_image=80)
    late = estimate(times, T0 + timedelta(seconds=80 + 90), learn(USUAL))
    assert late is not None
    assert late.seconds == 170  # weights, load and benchmark


def test_a_start_that_is_slower_than_all_of_it_says_so_instead_of_any_moment() -> None:
    found = estimate(at(getting_nodes=0), T0 + timedelta(seconds=3000), learn(USUAL))
    assert found is not None
    assert found.over
    assert found.seconds is None
    assert found.usual == 290


def test_nothing_is_known_where_nothing_was_seen() -> None:
    found = estimate(at(getting_nodes=0), T0, learn([]))
    assert found is not None
    assert found.seconds is None
    assert found.starts == 0
    assert not found.over


def test_the_pods_own_word_on_their_download_is_taken_over_the_median() -> None:
    times = at(getting_nodes=0, pulling_image=1, loading_weights=2)
    found = estimate(times, T0 + timedelta(seconds=500), learn(USUAL), download_left=250)
    assert found is not None
    assert found.seconds == 250 + 60  # load and benchmark as usual
    alone = estimate(times, T0, learn([]), download_left=250)
    assert alone is not None
    assert (alone.seconds, alone.rest_unknown) == (250, True)


def test_starts_that_did_not_tell_load_from_weights_still_teach() -> None:
    known = learn([at(loading_weights=0, benchmarking=100, ready=140)])
    found = estimate(at(loading_weights=0), T0 + timedelta(seconds=40), known, download_left=30)
    assert found is not None
    assert found.seconds == 70


def test_only_the_newest_starts_count() -> None:
    old = [start(9999, 1, 1, 1, 1)] * 50
    assert learn([*([start(10, 1, 1, 1, 1)] * LAST), *old]).spans["node"] == 10


def test_what_is_ready_or_has_not_begun_has_no_estimate() -> None:
    assert estimate({}, T0, learn(USUAL)) is None
    assert estimate(USUAL[0], T0, learn(USUAL)) is None


moments = st.dictionaries(
    st.sampled_from(KEYS), st.datetimes(timezones=st.just(UTC)), max_size=len(KEYS)
)


@given(
    st.lists(moments, max_size=6),
    moments,
    st.datetimes(timezones=st.just(UTC)),
    st.none() | st.floats(0, 1e6),
)
def test_no_history_and_no_clock_can_make_it_crash_or_promise_the_past(
    history: list[dict[str, datetime]],
    times: dict[str, datetime],
    now: datetime,
    left: float | None,
) -> None:
    known = learn(history)
    found = estimate(times, now, known, download_left=left)
    if found is not None and found.seconds is not None:
        assert found.seconds >= 0
        assert found.starts or found.rest_unknown
