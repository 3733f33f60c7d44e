from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine import heat as engine
from clusters.engine.heat import BLOCKED, FAULTY, FREE, FULL, NOT_EXPORTED, PART, UNKNOWN, heat
from clusters.engine.telemetry.types import GpuSample
from clusters.engine.types import NodeFacts
from clusters.selectors.census import count
from tests.clusters.rows import node

NOW = 1_800_000_000.0


def sample(index: int = 0, on: str = "node-0", **said: Any) -> GpuSample:
    return GpuSample(
        node=on, index=index, uuid=f"GPU-{on}-{index}", vendor="nvidia", model="H100", **said
    )


def test_every_metric_has_one_byte_for_each_card() -> None:
    found = heat(
        [node(physical=2, allocatable=2)],
        [
            sample(
                util=87.4,
                memory_used=40_000.0,
                memory_total=80_000.0,
                power=698.0,
                temperature=71.0,
            )
        ],
        at=NOW,
    )
    assert found.cards == (2,)
    assert list(found.util) == [175, UNKNOWN]
    assert list(found.memory) == [100, UNKNOWN]
    assert list(found.power) == [140, UNKNOWN]
    assert list(found.temperature) == [71, UNKNOWN]
    assert engine.value_of("util", 175) == 87.5
    assert engine.value_of("power", 140) == 700
    assert engine.value_of("util", UNKNOWN) is None


def test_not_exported_no_measurement_and_zero_are_three_things() -> None:
    found = heat([node(physical=3, allocatable=3)], [sample(0, util=0.0), sample(1)], at=NOW)
    assert list(found.util) == [0, NOT_EXPORTED, UNKNOWN]
    assert list(found.power) == [NOT_EXPORTED, NOT_EXPORTED, UNKNOWN]


def test_cards_are_filled_from_the_left_where_nobody_says_which() -> None:
    found = heat([node(used=3)], [], at=NOW)
    assert list(found.allocation) == [FULL] * 3 + [FREE] * 5


def test_dcgm_says_which_cards_pods_sit_on() -> None:
    held = [sample(5, pods=("a/b",)), sample(7, pods=("a/b",))]
    found = heat([node(used=3)], held, at=NOW)
    assert [i for i, byte in enumerate(found.allocation) if byte == FULL] == [0, 5, 7]


def test_kubernetes_count_stands_where_dcgm_names_more_cards() -> None:
    held = [sample(index, pods=("a/b",)) for index in range(8)]
    assert list(heat([node(used=2)], held, at=NOW).allocation) == [FULL] * 2 + [FREE] * 6


def test_the_card_with_a_hardware_error_is_the_one_that_is_not_offered() -> None:
    found = heat(
        [node(used=2, allocatable=7)],
        [sample(i, xid=79 if i == 1 else 0) for i in range(8)],
        at=NOW,
    )
    assert list(found.allocation) == [FULL, FAULTY, FULL, *[FREE] * 5]
    assert [mark & engine.FAULT for mark in found.marks] == [0, 1, 0, 0, 0, 0, 0, 0]


def test_the_card_that_no_exporter_sees_is_the_one_that_is_not_offered() -> None:
    seen = [sample(i) for i in range(8) if i != 4]
    found = heat([node(allocatable=7)], seen, at=NOW)
    assert found.allocation.index(FAULTY) == 4


def test_a_programs_error_is_no_fault_of_the_card() -> None:
    found = heat([node(physical=2, allocatable=2)], [sample(0, xid=31), sample(1, xid=94)], at=NOW)
    assert [mark & (engine.FAULT | engine.ERROR) for mark in found.marks] == [
        engine.ERROR,
        engine.FAULT,
    ]


def test_slices_of_one_card_are_one_cell() -> None:
    slices = [
        sample(0, mig="1g.10gb", memory_used=5.0, memory_total=10.0, temperature=50.0),
        sample(0, mig="2g.20gb", memory_used=20.0, memory_total=20.0, temperature=52.0),
    ]
    shared = node(physical=1, allocatable=2, used=1, sharing="mig")
    found = heat([shared], slices, at=NOW)
    assert list(found.memory) == [167] and list(found.temperature) == [52]
    assert list(found.allocation) == [PART] and found.marks[0] & engine.SHARED


def test_idle_time_keeps_its_order_of_magnitude() -> None:
    for seconds in (0, 60, 600, 3600, 86400, 30 * 86400, 400 * 86400):
        back = engine.idle_seconds(engine.idle_code(seconds))
        assert back == pytest.approx(seconds, rel=0.06, abs=3)
    found = heat(
        [node(physical=3, allocatable=3)],
        [sample(0, util=0.0, idle_since=NOW - 3600), sample(1, util=50.0), sample(2)],
        at=NOW,
    )
    assert list(found.idle) == [engine.idle_code(3600), 0, NOT_EXPORTED]


def test_without_the_right_to_list_pods_no_allocation_is_known() -> None:
    found = heat([node(used=3)], [], at=NOW, blind=True)
    assert set(found.allocation) == {UNKNOWN} and {mark >> 4 for mark in found.marks} == {15}


def test_the_first_card_of_each_node_is_marked() -> None:
    nodes = [node("a", physical=2, allocatable=2), node("b", physical=1, allocatable=1)]
    marks = heat(nodes, [], at=NOW).marks
    assert [bool(mark & engine.FIRST) for mark in marks] == [True, False, True]


def test_the_layout_changes_with_names_and_cards_and_nothing_else() -> None:
    plain = engine.layout_key(["prod"], [node()])
    assert plain == engine.layout_key(["prod"], [node(used=5, ready=False)])
    assert plain < 1 << 63
    others = [
        engine.layout_key(["prod"], [node("other")]),
        engine.layout_key(["prod"], [node(physical=9)]),
        engine.layout_key(["stg"], [node()]),
        engine.layout_key(["prod"], []),
    ]
    assert len({plain, *others}) == 5


counts = st.integers(0, 9)
wild = st.one_of(st.none(), st.floats())
nodes = st.builds(
    NodeFacts,
    name=st.sampled_from(["a", "b", "c"]),
    pool=st.just("h100"),
    instance_type=st.just(""),
    ready=st.booleans(),
    cordoned=st.booleans(),
    physical=st.none() | counts,
    allocatable=counts,
    used=counts,
    sharing=st.sampled_from(["none", "none", "mig", "hami"]),
    workspace=st.just(""),
    blocked=st.sampled_from(["", "taint"]),
    holders=st.sampled_from([(), (("a/b", 1, ""),), (("a/b", 1, ""), ("a/c", 2, ""))]),
    held_since=st.lists(st.none() | st.floats(allow_nan=False), max_size=3).map(tuple),
)
samples = st.builds(
    GpuSample,
    node=st.sampled_from(["a", "b", "x"]),
    index=st.integers(-1, 12),
    uuid=st.just(""),
    vendor=st.just("nvidia"),
    model=st.just(""),
    util=wild,
    memory_used=wild,
    memory_total=wild,
    power=wild,
    temperature=wild,
    xid=st.none() | st.integers(-5, 200),
    pods=st.sampled_from([(), ("a/b",)]),
    idle_since=wild,
)


@given(st.lists(nodes, max_size=4), st.lists(samples, max_size=20))
def test_cells_add_up_to_the_census_whatever_is_measured(
    facts: list[NodeFacts], measured: list[GpuSample]
) -> None:
    found = heat(facts, measured, at=NOW)
    lengths = {len(getattr(found, name)) for name in (*engine.METRICS, "marks")}
    assert lengths == {sum(found.cards)}
    plain = [one for one in facts if one.sharing == "none"]
    tallies = count(plain, []).values()
    classes = Counter(heat(plain, measured, at=NOW).allocation)
    assert classes[FULL] == sum(tally.allocated for tally in tallies)
    assert classes[FREE] == sum(tally.free for tally in tallies)
    assert classes[BLOCKED] == sum(tally.blocked for tally in tallies)
    assert classes[FAULTY] == sum(tally.faulty for tally in tallies)
