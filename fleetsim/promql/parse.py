"""PromQL texts to trees: selectors, rate and its kind, aggregations, arithmetic. Pure.

Precedence: `or` weakest, then `+ -`, then `* /`. Everything else is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

RANGED = ("rate", "increase", "irate", "avg_over_time", "max_over_time", "min_over_time",
          "sum_over_time", "last_over_time", "count_over_time")  # fmt: skip
AGGREGATES = ("sum", "avg", "max", "min", "count")
DEEPEST = 30
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
          "y": 31_536_000_000}  # fmt: skip
_TOKEN = re.compile(
    r"\s*(?:#[^\n]*\n\s*)*(?:"
    r"(?P<duration>\[(?:\d+(?:ms|[smhdwy]))+\])"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![a-zA-Z_]))"
    r"|(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r"|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>@])"
    r")"
)


class Refused(Exception):
    """The text is not one of those that are understood."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """`label op value`; op is =, !=, =~ or !~."""

    label: str
    op: str
    value: str

    def holds(self, value: str) -> bool:
        """Whether a label's value (empty where it is missing) fits."""
        if self.op in ("=", "!="):
            return (value == self.value) == (self.op == "=")
        return bool(_compiled(self.value).fullmatch(value)) == (self.op == "=~")


_cache: dict[str, re.Pattern[str]] = {}


def _compiled(pattern: str) -> re.Pattern[str]:
    found = _cache.get(pattern)
    if found is None:
        try:
            found = re.compile(pattern)
        except re.error as error:
            raise Refused(f"error parsing regexp: {error}") from error
        if len(_cache) > 500:
            _cache.clear()
        _cache[pattern] = found
    return found


@dataclass(frozen=True, slots=True)
class Selector:
    """An instant selector, or a range one when `window` (ms) is set."""

    matchers: tuple[Matcher, ...]
    window: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """sum, avg, max, min, count; `without` turns the labels round."""

    name: str
    inner: Node
    labels: tuple[str, ...] = ()
    without: bool = False


@dataclass(frozen=True, slots=True)
class Binary:
    """Two sides; vectors are joined by all labels, by those of `on`, or by all but `ignoring`."""

    op: str
    left: Node
    right: Node
    on: tuple[str, ...] | None = None
    ignoring: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """A scalar."""

    value: float


Node: TypeAlias = "Selector | Call | Aggregate | Binary | Number"


def parse(text: str) -> Node:
    """The tree of a text. Raises Refused."""
    parser = _Parser(_tokens(text))
    found = parser.either(0)
    if parser.peek()[0]:
        raise Refused(f"unexpected {parser.peek()[1]!r}")
    return found


def duration(text: str) -> int:
    """`1h30m` in ms. Raises Refused."""
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Refused(f"not a valid duration string: {text!r}")
    total = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if not total:
        raise Refused("duration must be greater than 0")
    return total


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise Refused(f"unexpected character at {at + 1}: {text[at : at + 10]!r}")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    return [*found, ("", "end of input")]


class _Parser:
    """Recursive descent."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def take(self, *wanted: str) -> str:
        """The next token, which must be one of these where any are given."""
        kind, text = self.peek()
        if not kind or (wanted and text not in wanted):
            raise Refused(f"unexpected {text!r}, expected {' or '.join(wanted) or 'more'}")
        self._at += 1
        return text

    def skip(self, text: str) -> bool:
        if self.peek()[1] == text and self.peek()[0] in ("sign", "word"):
            self._at += 1
            return True
        return False

    def either(self, depth: int) -> Node:
        if depth > DEEPEST:
            raise Refused("the expression is nested too deeply")
        return self._chain(depth, ("or",), self._sum)

    def _sum(self, depth: int) -> Node:
        return self._chain(depth, ("+", "-"), self._product)

    def _product(self, depth: int) -> Node:
        return self._chain(depth, ("*", "/"), self._part)

    def _chain(self, depth: int, operators: tuple[str, ...], below: Callable[[int], Node]) -> Node:
        left = below(depth)
        while self.peek()[1] in operators and self.peek()[0] != "text":
            operator = self.take()
            on, ignoring = self._joining()
            left = Binary(operator, left, below(depth), on, ignoring)
        return left

    def _joining(self) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
        if self.skip("on"):
            return self._labels(), ()
        if self.skip("ignoring"):
            return None, self._labels()
        return None, ()

    def _part(self, depth: int) -> Node:
        kind, text = self.peek()
        if self.skip("("):
            inner = self.either(depth + 1)
            self.take(")")
            return inner
        if self.skip("-"):
            return Binary("*", Number(-1.0), self._part(depth + 1))
        if kind == "number":
            return Number(float(self.take()))
        if kind == "word":
            return self._word(depth)
        if text == "{":
            return self._selector("")
        raise Refused(f"unexpected {text!r}")

    def _word(self, depth: int) -> Node:
        word = self.take()
        after = self.peek()[1]
        if word in AGGREGATES and after in ("(", "by", "without"):
            return self._aggregate(word, depth)
        if after == "(":
            return self._call(word, depth)
        return self._selector(word)

    def _aggregate(self, name: str, depth: int) -> Node:
        labels, without = self._grouping()
        self.take("(")
        inner = self.either(depth + 1)
        self.take(")")
        if not labels and not without:
            labels, without = self._grouping()
        return Aggregate(name, inner, labels, without)

    def _grouping(self) -> tuple[tuple[str, ...], bool]:
        if self.skip("by"):
            return self._labels(), False
        if self.skip("without"):
            return self._labels(), True
        return (), False

    def _labels(self) -> tuple[str, ...]:
        self.take("(")
        found = []
        while not self.skip(")"):
            found.append(self.take())
            if not self.skip(",") and self.peek()[1] != ")":
                raise Refused(f"unexpected {self.peek()[1]!r} in grouping")
        return tuple(found)

    def _call(self, name: str, depth: int) -> Node:
        if name not in (*RANGED, "histogram_quantile", "timestamp", "vector"):
            raise Refused(f"unknown function with name {name!r}, or one that is not simulated")
        self.take("(")
        arguments = [self.either(depth + 1)]
        while self.skip(","):
            arguments.append(self.either(depth + 1))
        self.take(")")
        found = Call(name, tuple(arguments))
        _check(found)
        return found

    def _selector(self, name: str) -> Node:
        matchers = [Matcher("__name__", "=", name)] if name else []
        if self.skip("{"):
            while not self.skip("}"):
                matchers.append(self._matcher())
                if not self.skip(",") and self.peek()[1] != "}":
                    raise Refused(f"unexpected {self.peek()[1]!r} in label matching")
        if not any(m.op in ("=", "=~") and not m.holds("") for m in matchers):
            raise Refused("vector selector must contain at least one non-empty matcher")
        window = 0
        if self.peek()[0] == "duration":
            window = duration(self.take()[1:-1])
        if self.peek()[1] in ("offset", "@"):
            raise Refused(f"{self.peek()[1]} is not simulated")
        return Selector(tuple(matchers), window)

    def _matcher(self) -> Matcher:
        kind, label = self.peek()
        if kind != "word":
            raise Refused(f"unexpected {label!r} in label matching")
        self.take()
        op = self.take("=", "!=", "=~", "!~")
        kind, text = self.peek()
        if kind != "text":
            raise Refused(f"unexpected {text!r} in label matching, expected string")
        matcher = Matcher(label, op, _unquoted(self.take()))
        matcher.holds("")  # a bad pattern is told here
        return matcher


def _unquoted(text: str) -> str:
    escapes = {"n": "\n", "t": "\t"}
    return re.sub(r"\\(.)", lambda found: escapes.get(found[1], found[1]), text[1:-1])


def _check(call: Call) -> None:
    """The right number and kind of arguments."""
    wanted = 2 if call.name == "histogram_quantile" else 1
    if len(call.arguments) != wanted:
        raise Refused(f"expected {wanted} argument(s) in call to {call.name!r}")
    last = call.arguments[-1]
    ranged = isinstance(last, Selector) and last.window > 0
    if call.name in RANGED and not ranged:
        raise Refused(f"expected type range vector in call to function {call.name!r}")
    if call.name not in RANGED and ranged:
        raise Refused(f"expected type instant vector in call to function {call.name!r}")
