"""Label and field selectors in Kubernetes' syntax, and the errors for bad ones. Pure."""

import re
from collections.abc import Callable
from typing import NamedTuple

from fleetsim.errors import ApiError

Labels = dict[str, str]
Matcher = Callable[[Labels], bool]

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUALS = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s!=,()]*)$")
_EXISTS = re.compile(r"^(?P<not>!)?\s*(?P<key>[^\s!=,()]+)$")
_KEY = re.compile(
    r"^([a-z0-9A-Z]([-a-z0-9A-Z.]*[a-z0-9A-Z])?/)?[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$"
)
_VALUE = re.compile(r"^([a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?)?$")


class Requirement(NamedTuple):
    """One term: op is in, notin, exists or missing."""

    key: str
    op: str
    values: frozenset[str]

    def holds(self, labels: Labels) -> bool:
        """Whether these labels satisfy the term (as Kubernetes: notin and != also match a missing
        key).
        """
        if self.op == "exists":
            return self.key in labels
        if self.op == "missing":
            return self.key not in labels
        found = self.key in labels and labels[self.key] in self.values
        return found if self.op == "in" else not found


def split_terms(text: str) -> list[str]:
    """Split at commas outside parentheses."""
    return [term.strip() for term in re.split(r",(?![^(]*\))", text) if term.strip()]


def parse_labels(text: str) -> list[Requirement]:
    """Requirements of a label selector. Raises ApiError 400 for bad syntax."""
    return [_requirement(term) for term in split_terms(text)]


def _requirement(term: str) -> Requirement:
    if match := _SET.match(term):
        values = frozenset(value.strip() for value in match["values"].split(","))
        return _checked(Requirement(match["key"], match["op"], values))
    if match := _EQUALS.match(term):
        op = "notin" if match["op"] == "!=" else "in"
        return _checked(Requirement(match["key"], op, frozenset({match["value"]})))
    if match := _EXISTS.match(term):
        op = "missing" if match["not"] else "exists"
        return _checked(Requirement(match["key"], op, frozenset()))
    raise _unparsable(f"found '{term}', expected: a label requirement")


def _checked(requirement: Requirement) -> Requirement:
    if not _KEY.match(requirement.key):
        raise _unparsable(f'Invalid value: "{requirement.key}": not a label key')
    for value in requirement.values:
        if len(value) > 63 or not _VALUE.match(value):
            raise _unparsable(f'values[0][{requirement.key}]: Invalid value: "{value}"')
    return requirement


def _unparsable(why: str) -> ApiError:
    return ApiError(400, f"unable to parse requirement: {why}")


def label_matcher(selector: str | Labels | None) -> Matcher:
    """A predicate over labels; an empty selector matches everything."""
    if not selector:
        return lambda labels: True
    if isinstance(selector, dict):
        wanted = selector.items()
        return lambda labels: wanted <= labels.items()
    requirements = parse_labels(selector)
    return lambda labels: all(requirement.holds(labels) for requirement in requirements)


def parse_fields(text: str, known: tuple[str, ...]) -> list[Requirement]:
    """Requirements of a field selector over `known` paths. Raises ApiError 400 for a path that is
    not one.
    """
    found = []
    for term in split_terms(text):
        match = re.match(r"^(?P<key>[^=!]+?)\s*(?P<op>==|!=|=)\s*(?P<value>.*)$", term)
        if not match:
            raise ApiError(400, f"invalid selector: '{text}'; can't understand '{term}'")
        if match["key"] not in known:
            raise ApiError(400, f"field label not supported: {match['key']}")
        op = "notin" if match["op"] == "!=" else "in"
        found.append(Requirement(match["key"], op, frozenset({match["value"]})))
    return found
