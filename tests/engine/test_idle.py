"""From when on a card idles for who holds it now."""

from __future__ import annotations

from typing import Any

from clusters.engine.heat import heat
from clusters.engine.idle import IdleGroup, idle_groups, idle_mask
from clusters.engine.telemetry.types import GpuSample
from clusters.engine.types import NodeFacts
from tests.clusters.rows import node, pool

HOUR = 3600.0
NOW = 500_000 * HOUR
WEEK = 168 * HOUR


def held(*pods: tuple[str, int, float | None], **facts: Any) -> NodeFacts:
    """A node of eight cards; each pod as (name, cards, hours ago that it came)."""
    return node(
        used=sum(cards for _, cards, _ in pods),
        holders=tuple((f"team-x/{name}", cards, "") for name, cards, _ in pods),
        held_since=tuple(None if ago is None else NOW - ago * HOUR for _, _, ago in pods),
        **facts,
    )


def idle(index: int, *pods: str, since: float = NOW - WEEK) -> GpuSample:
    names = tuple(f"team-x/{pod}" for pod in pods)
    return GpuSample(
        "node-0", index, f"GPU-{index}", "nvidia", "H100", 0.0, pods=names, idle_since=since
    )


def groups(facts: NodeFacts, *cards: GpuSample, at: float = NOW) -> list[IdleGroup]:
    """What the list shows of a node at $8/h, from the heatmap's own bytes."""
    cells = heat([facts], cards, at=at)
    mask = idle_mask(cells.allocation, cells.idle)
    pools = [pool(nodes=[facts], price_per_hour=8.0)]
    return idle_groups([facts], pools, mask, cells.idle, cards, at)


def test_a_cards_idle_time_before_its_holder_came_is_not_its_holders() -> None:
    before = held(("first", 1, 200))
    [first] = groups(before, idle(0, "first"))
    assert (first.pod, first.since, first.usd) == ("team-x/first", NOW - WEEK, 168.0)
    after = held(("second", 1, 1))
    [second] = groups(after, idle(0, "second"))
    assert (second.pod, second.since, second.usd) == ("team-x/second", NOW - HOUR, 1.0)
    assert groups(held(("third", 1, 0.4)), idle(0, "third")) == []
    assert groups(held(("waiting", 1, None)), idle(0, "waiting")) == []


def test_a_holder_that_worked_idles_only_since_it_stopped() -> None:
    [found] = groups(held(("one", 1, 10)), idle(0, "one", since=NOW - 2 * HOUR))
    assert (found.since, found.usd) == (NOW - 2 * HOUR, 2.0)


def test_two_holders_of_a_node_idle_each_from_its_own_coming() -> None:
    both = held(("new", 1, 1), ("old", 1, 100))
    new, old = groups(both, idle(0, "old"), idle(1, "new"))
    assert (new.since, new.usd) == (NOW - HOUR, 1.0)
    assert (old.since, old.usd) == (NOW - 100 * HOUR, 100.0)


def test_of_several_holders_whom_nobody_tells_apart_the_last_to_come_counts() -> None:
    [found] = groups(held(("new", 1, 1), ("old", 1, 100)), idle(0), idle(1))
    assert (found.pod, found.gpus, found.since, found.usd) == ("", 2, NOW - HOUR, 2.0)


def test_what_was_stored_without_times_counts_by_the_cards_alone() -> None:
    facts = node(used=1, holders=(("team-x/one", 1, ""),))
    [found] = groups(facts, idle(0))
    assert (found.pod, found.since) == ("team-x/one", NOW - WEEK)


def test_a_holder_from_a_clock_that_runs_ahead_came_now() -> None:
    assert groups(held(("one", 1, -5)), idle(0, "one")) == []


def test_a_free_card_idles_for_as_long_as_nobody_uses_it() -> None:
    cells = heat([node()], [idle(0)], at=NOW)
    assert cells.idle[0] == heat([held(("one", 1, 1000))], [idle(0, "one")], at=NOW).idle[0]
