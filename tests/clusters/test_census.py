from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.engine.types import NodeFacts
from clusters.models import Cluster
from clusters.selectors import census, pack
from clusters.selectors.census import CLASSES, Tally
from clusters.selectors.grid import grid_nodes
from clusters.selectors.workloads import Names
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from tests.clusters.rows import node, pool

LAX = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # not what is tested


@st.composite
def nodes(draw: st.DrawFn) -> tuple[NodeFacts, ...]:
    """Any mix of whole, broken, held, cordoned, kept and shared nodes."""
    found = []
    for index in range(draw(st.integers(0, 6))):
        physical = draw(st.none() | st.integers(1, 8))
        allocatable = draw(st.integers(0, physical or 8))
        found.append(
            node(
                f"node-{index}",
                draw(st.sampled_from(["h100", "new"])),
                physical=physical,
                allocatable=allocatable,
                used=draw(st.integers(0, 8)),
                ready=draw(st.booleans()),
                cordoned=draw(st.booleans()),
                blocked=draw(st.sampled_from(["", "taint x:NoSchedule"])),
                sharing=draw(st.sampled_from(["none", "none", "none", "time-slicing"])),
            )
        )
    return tuple(found)


def cluster_of(found: tuple[NodeFacts, ...], quota: int = 3, **fields: object) -> Cluster:
    pools = (pool("h100", found), pool("new", found, quota=quota))
    packed = {"nodes_packed": pack(found), "pools_packed": pack(pools)}
    return Cluster(**{"name": "c", "state": "ready", **packed, **fields})


def in_boxes(found: tuple[NodeFacts, ...]) -> int:
    """Cards by the plain definition: offered ones and those that should be."""
    plain = sum(max(n.allocatable, n.physical or 0) for n in found if n.sharing == "none")
    return plain + sum(n.physical or 0 for n in found if n.sharing != "none")


STATES = st.sampled_from(["ready", "degraded", "unreachable", "different_cluster", "draining"])


@LAX
@given(nodes(), STATES, st.booleans(), st.integers(0, 9))
def test_every_card_is_in_exactly_one_class_whatever_the_state(
    found: tuple[NodeFacts, ...], state: str, cordoned: bool, quota: int
) -> None:
    cluster = cluster_of(found, quota, state=state, cordoned=cordoned)
    tally = census.tally(cluster)
    assert tally.physical == in_boxes(found)
    assert tally.total == sum(getattr(tally, name) for name in CLASSES)
    assert min(getattr(tally, name) for name in CLASSES) >= 0


@LAX
@given(st.lists(st.tuples(nodes(), STATES, st.booleans()), max_size=4))
def test_the_fleets_total_is_the_sum_over_clusters_and_over_models(
    fleet: list[tuple[tuple[NodeFacts, ...], str, bool]],
) -> None:
    rows = [cluster_of(found, state=state, cordoned=shut) for found, state, shut in fleet]
    overview = census.overview(rows)
    assert overview.total == sum((census.tally(row) for row in rows), Tally())
    assert overview.total == sum(overview.by_model.values(), Tally())
    assert overview.clusters == len(rows) == sum(overview.states.values())


@LAX
@given(nodes(), STATES, st.booleans())
def test_the_grids_cells_show_the_same_classes_as_the_totals(
    found: tuple[NodeFacts, ...], state: str, cordoned: bool
) -> None:
    cluster = cluster_of(found, state=state, cordoned=cordoned)
    tally = census.tally(cluster)
    names = Names(Principal(User(fleet_role="operator")), [])
    rows = grid_nodes(cluster, names, timezone.now())
    cells = [cell["state"] for row in rows for cell in row["cells"]]
    shown = {
        word: cells.count(word) for word in ("full", "free", "part", "off", "fault", "unknown")
    }
    assert shown == {
        "full": tally.allocated,
        "free": tally.free,
        "part": tally.shared,
        "off": tally.blocked,
        "fault": tally.faulty,
        "unknown": tally.unknown,
    }


def test_a_silent_clusters_last_known_gpus_are_unknown_and_never_zero() -> None:
    held = (node(used=3), node("node-1"))
    tally = census.tally(cluster_of(held, state="unreachable"))
    assert (tally.unknown, tally.free, tally.allocated, tally.whole_free) == (16, 0, 0, 0)


def test_without_the_right_to_list_pods_nothing_is_called_free() -> None:
    gap = {"feature": "observe", "missing": "list pods", "cost": ""}
    tally = census.tally(cluster_of((node(),), capabilities={"gaps": [gap]}))
    assert (tally.unknown, tally.free) == (8, 0)


@pytest.mark.parametrize("why", [{"ready": False}, {"cordoned": True}, {"blocked": "taint"}])
def test_idle_gpus_of_a_node_that_takes_no_pods_are_blocked(why: dict[str, Any]) -> None:
    tally = census.tally(cluster_of((node(used=2, **why),)))
    assert (tally.allocated, tally.blocked, tally.free) == (2, 6, 0)


def test_a_cordoned_clusters_idle_gpus_are_blocked() -> None:
    tally = census.tally(cluster_of((node(used=2),), cordoned=True))
    assert (tally.allocated, tally.blocked, tally.free) == (2, 6, 0)


def test_a_gpu_that_the_node_does_not_offer_is_faulty_and_the_node_is_not_whole() -> None:
    tally = census.tally(cluster_of((node(allocatable=7),)))
    assert (tally.faulty, tally.free, tally.whole_free) == (1, 7, 0)


def test_a_node_that_offers_no_gpu_yet_is_blocked_and_no_card_is_called_broken() -> None:
    tally = census.tally(cluster_of((node(allocatable=0),)))
    assert (tally.faulty, tally.blocked, tally.free) == (0, 8, 0)


def test_quota_counts_only_what_does_not_exist_yet() -> None:
    tally = census.tally(cluster_of((node(pool="new"),), quota=3))
    assert (tally.provisionable, tally.in_quota, tally.quota, tally.total) == (16, 8, 24, 24)


def test_a_shared_gpu_is_one_card_however_many_parts_it_has() -> None:
    shared = replace(node(), sharing="time-slicing", allocatable=32)
    tally = census.tally(cluster_of((shared,), quota=0))
    assert (tally.shared, tally.shares, tally.total, tally.free) == (8, 32, 8, 0)


def test_two_spellings_of_one_card_are_one_line() -> None:
    found = (node("a"), node("b"))
    pools = (pool("h100", found[:1]), replace(pool("b", ()), gpu_model="nvidia-h100-80gb"))
    assert set(census.count(found, pools)) == {"H100 80GB"}


def test_a_row_that_cannot_be_read_counts_as_nothing() -> None:
    assert census.tally(Cluster(name="c", state="ready", nodes_packed=b"\xc1")) == Tally()
