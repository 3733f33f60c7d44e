"""A container's log as people may see it: no terminal escapes, no secrets, not too long. Pure.

A log is written by whatever runs in the pod: nothing of it may move a cursor, hide text, or show a
token that the portal put there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MOST_BYTES = 256 << 10  # of UTF-8, from the end
LONGEST_LINE = 4000  # characters
HIDDEN = "[hidden]"
SHORTEST_SECRET = 8  # characters: shorter ones would blank ordinary words

# CSI and OSC sequences, other two-byte escapes, and C1 controls that terminals read as escapes. One
# without its end is over with its line: it must not hide the lines that follow.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
# Controls but newline and tab; marks that turn the direction of text or hide it.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
# What looks like a credential whoever wrote it: Hugging Face, bearer headers, JSON web tokens. One
# try for each run of such characters: with more a line of "eyJeyJeyJ" would take minutes.
_TOKENS = re.compile(
    r"hf_[A-Za-z0-9]{16,}"
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*+"
    r"|fp_[A-Za-z0-9_-]{20,}"
)


@dataclass(frozen=True, slots=True)
class LogText:
    """`cut`: there was more before it than is shown."""

    text: str
    cut: bool
    lines: int


def shown(raw: str, secrets: Iterable[str] = (), *, most: int = MOST_BYTES) -> LogText:
    """The end of `raw` in at most `most` bytes, cleaned. `secrets` are hidden wherever they are.

    Escapes go first: one in the middle of a secret would keep it from being recognised.
    """
    clean = _UNSEEN.sub("", _ESCAPES.sub("", raw.replace("\r\n", "\n")).replace("\r", "\n"))
    for secret in sorted({*secrets}, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            clean = clean.replace(secret, HIDDEN)
    clean = _TOKENS.sub(HIDDEN, clean)
    lines = [_line(line) for line in clean.split("\n")]
    text, cut = _end("\n".join(lines), most)
    return LogText(text, cut, text.count("\n") + (not text.endswith("\n") and bool(text)))


def _line(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} […]"


def _end(text: str, most: int) -> tuple[str, bool]:
    """The last `most` bytes, from the beginning of a line on where there is one."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= most:
        return raw.decode("utf-8"), False
    kept = raw[-most:].decode("utf-8", "ignore")
    _, newline, rest = kept.partition("\n")
    return (rest if newline and rest else kept), True
