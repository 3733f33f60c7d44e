from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetportal.kit.crypto import Keyring, Secret, Unreadable, generate_key

OLD, NEW = generate_key("old"), generate_key("new")
RING = Keyring.parse(OLD)
PLACE = {"table": "clusters_cluster", "pk": "7", "field": "credential"}


@given(st.binary(max_size=400), st.text(max_size=40))
def test_what_is_sealed_opens_for_the_same_field(plain: bytes, pk: str) -> None:
    sealed = RING.seal(plain, table="t", pk=pk, field="f")
    assert RING.open(sealed, table="t", pk=pk, field="f") == plain


def test_the_same_text_never_seals_to_the_same_bytes() -> None:
    sealed = {RING.seal(b"token", **PLACE) for _ in range(20)}
    assert len(sealed) == 20
    assert not any(b"token" in one for one in sealed)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"table": "other"},
        {"pk": "8"},
        {"field": "ca"},
        {"table": "clusters_cluster\x1f7", "pk": ""},
    ],
)
def test_a_value_copied_to_another_place_does_not_open(elsewhere: dict[str, str]) -> None:
    sealed = RING.seal(b"token", **PLACE)
    with pytest.raises(Unreadable):
        RING.open(sealed, **{**PLACE, **elsewhere})


def test_a_value_altered_in_any_byte_does_not_open() -> None:
    sealed = RING.seal(b"token", **PLACE)
    for index in range(len(sealed)):
        altered = bytearray(sealed)
        altered[index] ^= 1
        with pytest.raises(Unreadable):
            RING.open(bytes(altered), **PLACE)


@given(st.binary(max_size=80))
def test_bytes_that_were_never_sealed_are_refused(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        RING.open(raw, **PLACE)


def test_after_a_rotation_old_values_open_and_new_ones_use_the_new_key() -> None:
    before = RING.seal(b"token", **PLACE)
    rotated = Keyring.parse(f"{NEW},{OLD}")
    assert rotated.open(before, **PLACE) == b"token"
    after = rotated.seal(b"token", **PLACE)
    assert Keyring.parse(NEW).open(after, **PLACE) == b"token"
    with pytest.raises(Unreadable, match="'new' is not in the keyring"):
        RING.open(after, **PLACE)


@pytest.mark.parametrize("text", ["", "k1", "k1:", "k1:AAAA", ":" + "A" * 43 + "=", "k1:!!!!"])
def test_a_keyring_that_cannot_be_read_says_which_key(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        Keyring.parse(text)


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("canary")
    assert secret.reveal() == "canary"
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", repr([secret])):
        assert "canary" not in shown
    for leak in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            leak(secret)
