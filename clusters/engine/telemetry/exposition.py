"""Prometheus text, and OpenMetrics, read in bulk: only the wanted names, and never an error.

One bad line costs its own metric, not the page: the metric is left out as a whole, since a sum
over the rest would look like a counter that has started again. Why not a library:
docs/decisions/0011-exposition-reader.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from clusters.engine.telemetry.types import Histogram

MAX_BYTES = 16 * 2**20  # of a page; the rest is not read
MAX_LINE = 64 * 2**10
MAX_EXACT = 2.0**53  # above it a float does not count by ones
LARGEST = 1e15  # no sum of seconds, and no gauge, is greater; nor do sums of these overflow

Labels = Mapping[str, str]
Series = tuple[Labels, float]

_LINE = re.compile(
    r"[ \t]*+([a-zA-Z_:][a-zA-Z0-9_:]*+)[ \t]*+"
    r'(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*+")*+)\})?+[ \t]*+'
    r"([^\s{}]++)(?:[ \t]++-?[0-9][0-9.eE+-]*+)?+[ \t]*+(?:#.*+)?+$"
)
_LABEL = re.compile(r'[ \t]*+([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\]|\\.)*+)"[ \t]*+')
_ESCAPE = re.compile(r"\\(.)")
_NAME = re.compile(r"[a-zA-Z0-9_:]*")
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


@dataclass(slots=True)
class Page:
    """What one exposition says of the wanted names, without the prefix that was cut off.

    `declared`: names with a TYPE line, which a library prints before there is a first value.
    `broken`: wanted names with a line that cannot be read; they have no samples. `skipped`: lines.
    `whole`: nothing was cut off, so that a name which is not there has no value yet.
    """

    samples: dict[str, list[Series]] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    skipped: int = 0
    whole: bool = True

    def series(self, name: str) -> list[Series]:
        return self.samples.get(name, [])

    def has(self, name: str) -> bool:
        """Whether the exposition knows `name` or the histogram `name`, with or without a value."""
        names = (name, f"{name}_bucket")
        return any(held in self.samples or held in self.broken for held in names) or (
            name.removesuffix("_total") in self.declared or name in self.declared
        )


def read(body: bytes, wanted: Collection[str], *, prefix: str = "") -> Page:
    """The samples of the wanted names; names may carry `prefix`. Never raises."""
    page = Page(whole=len(body) <= MAX_BYTES and body.endswith(b"\n"))
    names = frozenset(wanted)
    cut = len(prefix)
    labels_of: dict[str, Labels | None] = {"": {}}
    last = ""
    for line in body[:MAX_BYTES].decode("utf-8", "replace").split("\n"):
        if line[:1] == "#":
            _declare(line, page, prefix)
            continue
        name = line[: line.find("{")] if "{" in line else line.partition(" ")[0]
        if name not in names:
            if cut and name.startswith(prefix):
                name = name[cut:]
            if name not in names:
                name = _odd_name(line, prefix)
                if name not in names:
                    continue
        last = name
        _read_line(name, line, page, labels_of)
    if not page.whole and last:  # its line, or further lines of it, may be missing
        page.broken.add(last)
    for name in page.broken:
        page.samples.pop(name, None)
    return page


def _odd_name(line: str, prefix: str) -> str:
    """The name of a line that begins with, or has behind its name, unusual space."""
    if line[:1] not in " \t" and "\t" not in line and " {" not in line:
        return ""
    found = _NAME.match(line.lstrip(" \t"))
    return found[0].removeprefix(prefix) if found else ""


def _read_line(name: str, line: str, page: Page, labels_of: dict[str, Labels | None]) -> None:
    """Put one line about a wanted name into the page, or count it as broken."""
    text, shown = _split(line)
    if text not in labels_of:
        labels_of[text] = _parse_labels(text)
    labels = labels_of[text]
    value = number(shown)
    if value is None or labels is None:
        page.broken.add(name)
        page.skipped += 1
    else:
        page.samples.setdefault(name, []).append((labels, value))


def _split(line: str) -> tuple[str, str]:
    """The texts of labels and value; ("", "") of a line that is no sample."""
    if "{" in line and "#" not in line and len(line) <= MAX_LINE:  # nearly all lines
        labels, _, rest = line.partition("{")[2].rpartition("}")
        words = rest.split(None, 2)
        if len(words) == 1:
            return labels, words[0]
    found = _LINE.match(line.rstrip("\r")) if len(line) <= MAX_LINE else None
    return (found[2] or "", found[3]) if found else ("", "")


def _declare(line: str, page: Page, prefix: str) -> None:
    if "TYPE" not in line[:8]:
        return
    words = line.split(None, 3)
    if len(words) == 4 and words[0] == "#" and words[1] == "TYPE":
        page.declared.add(words[2].removeprefix(prefix))


def number(text: str) -> float | None:
    """The value of a sample; NaN and infinities are values too. None when it is no number."""
    if "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _parse_labels(text: str) -> Labels | None:
    labels: dict[str, str] = {}
    at, end = 0, len(text.rstrip(" \t"))
    while at < end:
        found = _LABEL.match(text, at)
        if found is None:
            return None
        value = found[2]
        labels[found[1]] = _ESCAPE.sub(_unescape, value) if "\\" in value else value
        at = found.end()
        if at < end:
            if text[at] != ",":
                return None
            at += 1
    return labels


def _unescape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1], found[0])


# --- what the adapters ask of a page ------------------------------------------------------------


def total(series: Iterable[Series]) -> float | None:
    """The sum of the values that make sense; None when there is none."""
    values = [value for _, value in series if abs(value) <= LARGEST]
    return math.fsum(values) if values else None


def mean(series: Iterable[Series]) -> float | None:
    values = [value for _, value in series if abs(value) <= LARGEST]
    return math.fsum(values) / len(values) if values else None


def count(series: Collection[Series]) -> int | None:
    """The sum as an exact integer; None when one part is none (NaN, negative, above 2^53)."""
    if not series or not all(0 <= value <= MAX_EXACT for _, value in series):
        return None
    return sum(int(value) for _, value in series)


def histogram(page: Page, name: str, *, scale: float = 1.0) -> Histogram | None:
    """The histogram `name` summed over its label sets; bounds and sum times `scale`.

    Bounds are compared as numbers, so that le="5" is le="5.0". Label sets with other bounds are
    merged on the bounds that they share. Falling bucket counts are lifted, as Prometheus does.
    """
    if {f"{name}_bucket", f"{name}_sum", f"{name}_count"} & page.broken:
        return None
    groups: dict[tuple[tuple[str, str], ...], dict[float, int]] = {}
    for labels, value in page.series(f"{name}_bucket"):
        bound = number(labels.get("le", ""))
        if bound is None or bound != bound or not 0 <= value <= MAX_EXACT:
            return None
        rest = tuple(sorted(item for item in labels.items() if item[0] != "le"))
        groups.setdefault(rest, {})[bound] = int(value)
    if not groups:
        return None
    seconds = total(page.series(f"{name}_sum"))
    return _summed(groups.values(), math.nan if seconds is None else seconds * scale, scale)


def _summed(groups: Iterable[dict[float, int]], seconds: float, scale: float) -> Histogram:
    parts = [_lifted(group) for group in groups]
    shared = set.intersection(*(set(part) for part in parts)) - {math.inf}
    bounds = sorted(shared)
    below = [sum(part[bound] for part in parts) for bound in bounds]
    below.append(sum(part[math.inf] for part in parts))
    counts = (now - before for now, before in zip(below, [0, *below], strict=False))
    return Histogram(tuple(bound * scale for bound in bounds), tuple(counts), seconds)


def _lifted(group: dict[float, int]) -> dict[float, int]:
    """Counts at or below each bound, never falling, with one for infinity."""
    lifted: dict[float, int] = {}
    highest = 0
    for bound in sorted(group):
        highest = max(highest, group[bound])
        lifted[bound] = highest
    lifted.setdefault(math.inf, highest)
    return lifted
