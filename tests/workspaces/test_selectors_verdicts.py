"""The packed column of a plan's verdicts."""

from __future__ import annotations

import msgspec
import pytest

from tests.engine.placement_world import demand, story
from workspaces.engine.placement import place
from workspaces.engine.types import Situation
from workspaces.models import Plan
from workspaces.selectors.verdicts import pack, selected_of, verdicts_of


def test_verdicts_come_back_as_they_were_packed() -> None:
    made = place(demand(3), story(), Situation()).verdicts
    plan = Plan(verdicts_packed=pack(made))
    assert msgspec.to_builtins(list(verdicts_of(plan))) == msgspec.to_builtins(list(made))
    assert [v.cluster for v in selected_of(plan)] == [
        v.cluster for v in made if v.verdict == "selected"
    ]


def test_the_same_decision_packs_to_the_same_bytes() -> None:
    first, second = (place(demand(3), story(), Situation()).verdicts for _ in range(2))
    assert pack(first) == pack(second)


def test_a_slice_makes_only_its_own_verdicts() -> None:
    made = place(demand(3), story(), Situation()).verdicts
    found = verdicts_of(Plan(verdicts_packed=pack(made)))
    assert len(found) == len(made)
    assert [v.cluster for v in found[2:4]] == [v.cluster for v in made[2:4]]


def test_a_plan_that_is_computing_has_no_verdicts() -> None:
    assert list(verdicts_of(Plan())) == []


def test_a_format_of_another_release_is_refused() -> None:
    with pytest.raises(ValueError, match="another release"):
        verdicts_of(Plan(verdicts_packed=b"\x02"))
