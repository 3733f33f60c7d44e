"""Logs as people may see them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspaces.engine.logtext import HIDDEN, LONGEST_LINE, shown

TOKEN = "hf_" + "a1B2" * 8


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("plain\n", "plain\n"),
        ("\x1b[31mred\x1b[0m and \x1b[1;4mbold\x1b[m", "red and bold"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq...\x1b\\after", "after"),
        ("\x9b31mred", "red"),
        ("a\x1b[2Jb\x1bc", "ab"),
        ("10%\r20%\r30%\n", "10%\n20%\n30%\n"),
        ("windows\r\nlines\r\n", "windows\nlines\n"),
        ("nul\x00 bell\x07 back\x08", "nul bell back"),
        ("left\u202eright\u2066 zero\u200bwidth", "leftright zerowidth"),
        ("tab\tand ünïcödé 模型", "tab\tand ünïcödé 模型"),
        ("", ""),
    ],
)
def test_escapes_and_unseen_marks_are_gone_and_words_stay(raw: str, seen: str) -> None:
    assert shown(raw).text == seen


@pytest.mark.parametrize(
    "raw",
    [
        f"HF_TOKEN={TOKEN}",
        "Authorization: Bearer abcdefghijklmnop.q",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "the team's own-secret-value here",
        "the team's own-\x1b[0msecret-value here",
        "the team's own-\u200bsecret-value here",
    ],
)
def test_secrets_are_hidden_even_with_escapes_inside(raw: str) -> None:
    text = shown(raw, ["own-secret-value", "", "short"]).text
    assert HIDDEN in text
    for secret in (TOKEN, "own-secret-value", "abcdefghijklmnop", "eyJzdWIiOiIxIn0"):
        assert secret not in text


def test_a_short_secret_does_not_blank_ordinary_words() -> None:
    assert shown("the cat sat", ["cat"]).text == "the cat sat"


def test_an_escape_without_an_end_hides_no_other_line() -> None:
    assert shown("before\n\x1b]0;no end\nafter\n\x1bPq\nlast").text == "before\n\nafter\n\nlast"


@pytest.mark.parametrize("piece", ["eyJ", "eyJaaaaaaaa.", "hf_", "bearer ", "\x1b[0;", "\x1b]"])
def test_no_line_takes_long_to_clean(piece: str) -> None:
    begun = time.process_time()
    shown(piece * 70_000)
    assert time.process_time() - begun < 5  # quadratic, it takes minutes


def test_only_the_end_is_kept_from_the_beginning_of_a_line() -> None:
    found = shown("".join(f"line {number}\n" for number in range(1000)), most=100)
    assert found.cut
    assert found.text.startswith("line ")
    assert found.text.endswith("line 999\n")
    assert len(found.text) <= 100
    assert found.lines == found.text.count("\n")


def test_a_line_without_an_end_is_cut() -> None:
    found = shown("x" * 100_000)
    assert len(found.text) < LONGEST_LINE + 10


@given(st.text(max_size=500), st.lists(st.text(max_size=20), max_size=3), st.integers(1, 200))
def test_no_text_can_break_out(raw: str, secrets: list[str], most: int) -> None:
    found = shown(raw, secrets, most=most)
    assert len(found.text.encode()) <= most
    assert not any(ord(c) < 32 and c not in "\n\t" for c in found.text)
    assert "\x1b" not in found.text
    assert "\x9b" not in found.text
