from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.health import Contact, Health, Limits, next_health

LIVE = ["joining", "ready", "degraded", "unreachable", "credentials_refused", "different_cluster"]
TARGETS = dict(zip(Contact, LIVE[1:], strict=True))
contacts = st.sampled_from(list(Contact))


def after(state: str, *heard: Contact, age: float | None = 1.0) -> str:
    health = Health(state)
    for contact in heard:
        health = next_health(health, contact, "because", age_seconds=age)
    return health.state


OK, LOST, REFUSED = Contact.OK, Contact.UNREACHABLE, Contact.REFUSED
PARTIAL, DIFFERENT = Contact.PARTIAL, Contact.DIFFERENT


@pytest.mark.parametrize(
    ("state", "heard", "then"),
    [
        ("joining", (OK,), "ready"),
        ("joining", (PARTIAL,), "degraded"),
        ("joining", (LOST, LOST), "joining"),
        ("joining", (LOST, LOST, LOST), "unreachable"),
        ("ready", (LOST, LOST), "ready"),
        ("ready", (LOST, LOST, LOST), "unreachable"),
        ("ready", (LOST, LOST, OK, LOST, LOST), "ready"),
        ("ready", (PARTIAL, PARTIAL, PARTIAL), "degraded"),
        ("ready", (REFUSED,), "ready"),
        ("ready", (REFUSED, REFUSED), "credentials_refused"),
        ("ready", (DIFFERENT,), "different_cluster"),
        ("unreachable", (OK,), "unreachable"),
        ("unreachable", (OK, LOST, OK), "unreachable"),
        ("unreachable", (OK, OK), "ready"),
        ("unreachable", (PARTIAL, PARTIAL), "degraded"),
        ("unreachable", (REFUSED, REFUSED), "credentials_refused"),
        ("degraded", (OK, OK), "ready"),
        ("different_cluster", (OK, OK), "ready"),
    ],
)
def test_states_flip_only_after_enough_contacts(
    state: str, heard: tuple[Contact, ...], then: str
) -> None:
    assert after(state, *heard) == then


def test_one_failure_is_enough_when_the_last_good_contact_is_old() -> None:
    assert after("ready", LOST, age=91) == "unreachable"
    assert after("ready", PARTIAL, age=91) == "ready"


def test_silence_makes_a_cluster_unreachable_and_says_how_long() -> None:
    assert next_health(Health("ready"), None, age_seconds=89).state == "ready"
    found = next_health(Health("degraded"), None, age_seconds=95.2)
    assert (found.state, found.reason) == ("unreachable", "Nothing was heard for 95 s.")
    assert next_health(Health("joining"), None, age_seconds=None).state == "joining"


@given(st.sampled_from(["draining", "retired", "a later state"]), contacts | st.none())
def test_states_that_a_person_chose_are_left_alone(state: str, contact: Contact | None) -> None:
    health = Health(state, "asked for")
    assert next_health(health, contact, age_seconds=1e9) == health


@given(st.sampled_from(LIVE), contacts)
def test_the_same_answer_again_and_again_settles(state: str, contact: Contact) -> None:
    limits = Limits()
    enough = max(limits.failures, limits.successes, limits.refusals)
    assert after(state, *([contact] * enough)) == TARGETS[contact]


@given(st.sampled_from(LIVE), st.lists(contacts | st.none()), st.none() | st.floats(0, 1e6))
def test_counters_stay_below_the_limits_and_states_are_known(
    state: str, heard: list[Contact | None], age: float | None
) -> None:
    health = Health(state)
    for contact in heard:
        health = next_health(health, contact, "because", age_seconds=age)
        assert health.state in LIVE
        assert 0 <= health.failures < Limits().failures
        assert 0 <= health.successes < Limits().successes


@given(st.lists(st.sampled_from([OK, LOST])))
def test_a_flapping_link_does_not_make_a_flapping_state(heard: list[Contact]) -> None:
    strict = [c for pair in zip(heard, [OK] * len(heard), strict=True) for c in pair]
    assert after("ready", *strict) == "ready"
