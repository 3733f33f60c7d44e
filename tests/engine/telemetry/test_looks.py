"""Looks one after the other: whatever happens between them, each request counts once."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.telemetry.differences import merge
from clusters.engine.telemetry.looks import (
    GAP,
    Known,
    Look,
    added,
    look,
    measured,
)
from clusters.engine.telemetry.minutes import Minute, gathered, means
from clusters.engine.telemetry.past import hour_of, hours_of, subject_of_pod, ticks_of
from clusters.engine.telemetry.types import GpuSample, RuntimeReading, Scrape, Target, Tick

SUBJECT = "fp-assist/chat"
PODS = ("a", "b", "c")


def reading(requests: int) -> RuntimeReading:
    return RuntimeReading("vllm", "phi", {"requests": requests}, {}, {}, {}, ("requests",))


def target(uid: str) -> Target:
    return Target("serving", "fp-assist", f"chat-{uid}", uid, "n", 5000, "/metrics", SUBJECT)


def card(index: int = 0, util: float | None = 50.0, uuid: str = "", mig: str = "") -> GpuSample:
    return GpuSample("n", index, uuid or f"GPU-{index}", "nvidia", "H100", util=util, mig=mig)


# One step of the world: what each pod does (more requests, or a restart with some), which pods
# answer, and whether the collector dies before it has stored the scrape.
STEP = st.tuples(
    st.dictionaries(
        st.sampled_from(PODS), st.tuples(st.booleans(), st.integers(0, 50)), max_size=3
    ),
    st.sets(st.sampled_from(PODS)),
    st.booleans(),
)


@given(st.lists(STEP, max_size=30))
def test_each_request_counts_once_whatever_fails_in_between(
    steps: list[tuple[dict[str, tuple[bool, int]], set[str], bool]],
) -> None:
    """Restarts lose only what a pod did after the last look that was stored."""
    targets = tuple(target(uid) for uid in PODS)
    known = Known(0.0, {uid: reading(0) for uid in PODS})
    shown, stored = dict.fromkeys(PODS, 0), dict.fromkeys(PODS, 0)
    restarted: set[str] = set()
    counted = truth = 0
    for number, (work, answering, dies) in enumerate(steps, 1):
        for uid, (restarts, more) in work.items():
            if restarts and uid not in restarted and more < stored[uid]:
                shown[uid] = 0
                restarted.add(uid)
            shown[uid] += more if uid not in restarted else min(more, 1)
        found = {uid: reading(shown[uid]) for uid in answering}
        now = look(known, Scrape(15.0 * number, "direct", found, targets, None, {}))
        if dies:
            continue
        for uid in answering:
            fell = shown[uid] < stored[uid]
            truth += shown[uid] if fell else shown[uid] - stored[uid]
            stored[uid] = shown[uid]
            restarted.discard(uid)
        counted += sum(tick.counters.get("requests", 0) for tick in now.ticks.values())
        known = _after(15.0 * number, now)
    assert counted == truth


def _after(at: float, now: Look) -> Known:
    return Known(at, now.readings, now.gpus or (), now.serving)


def test_a_label_that_is_no_name_makes_no_subject() -> None:
    known = Known(0.0, {"a": reading(1)})
    for subject in ("x" * 400, "team/a\x00b", "team/\n"):
        odd = Target("serving", "team", "p", "a", "n", 5000, "/metrics", subject)
        now = look(known, Scrape(15.0, "direct", {"a": reading(2)}, (odd,), None, {}))
        assert (now.ticks, now.serving) == ({}, ())


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_only_a_span_of_sensible_length_is_said_anything_about(seconds: float) -> None:
    known = Known(1e6, {"a": reading(5)})
    scrape = Scrape(1e6 + seconds, "direct", {"a": reading(9)}, (target("a"),), None, {})
    assert bool(look(known, scrape).ticks) == (0 < scrape.at - 1e6 <= GAP)


@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), min_size=1, max_size=20))
def test_the_mean_of_a_minute_is_the_mean_of_what_was_known(values: list[float | None]) -> None:
    minute: Minute | None = None
    before: tuple[GpuSample, ...] = ()
    for step, util in enumerate(values):
        now = (card(0, util), card(1, None))
        minute, before = gathered(minute, before, now, 600.0 + step), now
    assert minute is not None
    first, second = means(minute, before)
    known = [value for value in values if value is not None]
    assert second.util is None
    if not known:
        assert first.util is None
    else:
        assert first.util is not None
        assert abs(first.util - sum(known) / len(known)) < 0.01


def test_a_new_minute_begins_at_nothing_and_cards_keep_their_sums_when_they_move() -> None:
    one = gathered(None, (), (card(0, 10.0), card(1, 90.0)), 60.0)
    swapped = (card(1, 70.0), card(0, 30.0))
    both = gathered(one, (card(0), card(1)), swapped, 75.0)
    assert [gpu.util for gpu in means(both, swapped)] == [80.0, 20.0]
    fresh = gathered(both, swapped, swapped, 120.0)
    assert [gpu.util for gpu in means(fresh, swapped)] == [70.0, 30.0]
    assert means(Minute(1, b"xx", b"x"), swapped)[0].util is None  # not those cards


def test_instances_of_one_card_are_one_card() -> None:
    slices = (card(0, 100.0, uuid="GPU-0/1", mig="1g"), card(0, 50.0, uuid="GPU-0/2", mig="1g"))
    assert measured((*slices, card(1, 25.0), card(2, None))) == (2, 1.0)


def test_two_ticks_of_one_span_become_one_with_its_pods() -> None:
    targets = (target("a"),)
    first = look(
        Known(0.0, {"a": reading(0)}), Scrape(7.0, "direct", {"a": reading(4)}, targets, None, {})
    )
    second = look(_after(7.0, first), Scrape(14.0, "direct", {"a": reading(9)}, targets, None, {}))
    both = added(first.ticks[SUBJECT], second.ticks[SUBJECT])
    assert (both.seconds, both.counters["requests"]) == (14.0, 9)
    assert [(pod.uid, pod.counters["requests"]) for pod in both.pods] == [("a", 9)]


# --- the past -----------------------------------------------------------------------------------


def test_a_pod_that_is_gone_belongs_to_the_object_that_it_was_named_after() -> None:
    subjects = {"team/chat", "team/chat-long", "other/chat"}
    known = {("team", "odd-name"): "team/chat"}
    named = {
        "odd-name": "team/chat",
        "chat-0": "team/chat",
        "chat-1a2b3-0": "team/chat",
        "chat-long-1a2b3-0": "team/chat-long",
        "chat-a-b-c-0": "",
        "chat": "",
    }
    for name, subject in named.items():
        assert subject_of_pod(("team", name), known, subjects) == subject, name


def test_ticks_of_the_past_are_differences_of_neighbours() -> None:
    pod, stranger = ("team", "chat-0"), ("team", "else-0")
    counts = {0.0: 10, 60.0: 15, 120.0: 15, 240.0: 40, 300.0: 2}
    history = {pod: [(at, reading(value)) for at, value in counts.items()]}
    history[stranger] = history[pod]
    found = ticks_of(history, {pod: "team/chat"}, start=0.0, end=300.0)
    assert list(found) == ["team/chat"]
    made: dict[float, Tick] = found["team/chat"]
    assert {at: tick.counters["requests"] for at, tick in made.items()} == {0: 5, 60: 0, 240: 2}
    assert all(tick.road == "backfill" and not tick.pods for tick in made.values())


def test_ticks_of_the_past_add_up_to_the_hours_they_are_in() -> None:
    history = {("team", "chat-0"): [(300.0 * step, reading(step * step)) for step in range(25)]}
    ticks = ticks_of(history, {("team", "chat-0"): "team/chat"}, start=0.0, end=7200.0, step=300)
    hours = hours_of(ticks)["team/chat"]
    assert {at: tick.counters["requests"] for at, tick in hours.items()} == {0: 144, 3600: 432}
    assert all(tick.seconds == 3600 for tick in hours.values())
    assert hours_of({"team/chat": {}}) == {"team/chat": {}}


def test_an_hour_of_the_past_counts_gpu_minutes() -> None:
    looks = [
        (3600.0 + 300 * step, (card(0, 50.0, uuid="x"), card(1, None, uuid="y")))
        for step in range(6)
    ]
    hour = hour_of(looks, start=3600.0, step=300)
    assert hour is not None
    assert (hour.minutes, hour.gpu, hour.measured, hour.busy) == (30, 60, 30, 15)
    assert hour.hour.util.shape == (2, 60)
    assert list(hour.hour.util[0, 28:32]) == [50, 50, 255, 255]
    assert hour_of([], start=3600.0, step=300) is None


def _steps(*looks: tuple[float, int | None, str], started: float | None = None) -> list[Tick]:
    """Ticks of a pod `a` that appears after a first look at 1,000 s: (at, requests, problem)."""
    pod = msgspec.structs.replace(target("a"), started=started)
    known = Known(1000.0)
    found: list[Tick] = []
    for at, requests, problem in looks:
        readings = {} if requests is None else {"a": reading(requests)}
        problems = {"a": problem} if problem else {}
        now = look(known, Scrape(at, "direct", readings, (pod,), None, problems))
        found += now.ticks.values()
        known = _after(at, now)
    return found


def _rates(ticks: list[Tick]) -> list[float | None]:
    return [
        tick.counters["requests"] / tick.seconds if "requests" in tick.counters else None
        for tick in ticks
    ]


def test_looks_without_an_answer_take_no_time_and_the_next_answer_spans_them() -> None:
    slow = "No metrics within 3 s."
    ticks = _steps((1015.0, 30, ""), (1030.0, None, slow), (1045.0, None, slow), (1060.0, 120, ""))
    assert [tick.seconds for tick in ticks] == [15.0, 0.0, 0.0, 45.0]
    assert _rates(ticks) == [2.0, None, None, 2.0]
    assert _rates([merge(ticks)]) == [2.0]


def test_a_new_pod_whose_first_answers_were_late_did_its_work_in_all_that_time() -> None:
    slow = "No metrics within 3 s."
    ticks = _steps((1015.0, None, slow), (1030.0, None, slow), (1045.0, 90, ""), started=1002.0)
    assert _rates(ticks) == [None, None, 2.0]


def test_a_pod_that_loaded_its_model_for_long_did_its_work_since_the_last_look() -> None:
    busy = "The pod refuses the connection."
    waits = [(1000.0 + 15 * n, None, busy) for n in range(1, 50)]
    ticks = _steps(*waits, (1750.0, 30, ""), started=1002.0)
    assert _rates(ticks)[-1] == 2.0


def test_a_process_that_is_older_than_our_looks_counts_from_its_second_answer_on() -> None:
    ticks = _steps((1015.0, 5000, ""), (1030.0, 5030, ""), started=400.0)
    assert _rates(ticks) == [None, 2.0]
    assert _rates(_steps((1015.0, 30, ""), started=998.0)) == [2.0], "clocks differ a little"


def test_a_pod_that_was_silent_for_long_begins_anew() -> None:
    slow = "No metrics within 3 s."
    waits = [(1000.0 + 15 * n, None, slow) for n in range(2, 50)]
    ticks = _steps((1015.0, 30, ""), *waits, (1750.0, 9000, ""), (1765.0, 9030, ""))
    assert _rates(ticks)[-2:] == [None, 2.0]


def test_one_pod_that_misses_a_look_does_not_stretch_the_time_of_the_others() -> None:
    pods = (target("a"), target("b"))
    known = Known(0.0, {"a": reading(0), "b": reading(0)})
    first = look(known, Scrape(15.0, "direct", {"a": reading(30)}, pods, None, {}))
    both = {"a": reading(60), "b": reading(60)}
    second = look(_after(15.0, first), Scrape(30.0, "direct", both, pods, None, {}))
    assert [tick.seconds for now in (first, second) for tick in now.ticks.values()] == [15.0, 15.0]
    assert sum(t.counters["requests"] for now in (first, second) for t in now.ticks.values()) == 120
