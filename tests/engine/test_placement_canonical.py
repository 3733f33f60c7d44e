"""Equal values give one text and one digest; what JSON cannot say is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.types import PoolKind
from workspaces.engine.canonical import digest, dumps
from workspaces.engine.types import Policy

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, width=32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "inf" not in repr(value))


@given(PLAIN)
def test_a_trip_through_json_does_not_change_the_digest(value: object) -> None:
    assert digest(json.loads(json.dumps(value))) == digest(value)
    assert digest(json.loads(dumps(value))) == digest(value)


def test_order_of_keys_and_of_sets_does_not_matter() -> None:
    assert dumps({"b": 1, "a": {"y", "x"}}) == dumps({"a": {"x", "y"}, "b": 1})


def test_integral_floats_enums_and_dataclasses_have_one_form() -> None:
    assert dumps([1.0, -0.0, 0.5, PoolKind.EXISTING, (1,)]) == '[1,0,0.5,"existing",[1]]'
    assert digest(Policy()) == digest(Policy())
    assert digest(Policy()) != digest(Policy(headroom="pack"))


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: "a"}])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="value"):
        dumps(value)


def test_a_type_without_a_plain_form_is_refused() -> None:
    with pytest.raises(TypeError, match=r"value\.a: object has no canonical form"):
        dumps({"a": object()})
