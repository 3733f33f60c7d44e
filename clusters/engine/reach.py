"""Which nodes can use a device that is published for dynamic resource allocation. Pure.

Most devices sit in one node and name it. Others hang on a network: a selector, or all nodes. What
cannot be read reaches no node. Source: Kubernetes `resource.k8s.io/v1` ResourceSlice and Device,
`core/v1` NodeSelector: terms are alternatives, what stands in a term must all hold, an empty term
means no node, a field is `metadata.name` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from clusters.engine.raw import mapping, mappings, sequence, word
from clusters.engine.shapes import Device, Node, SliceSpec

_FIELD = "metadata.name"
_WHOLE = 2**63  # Gt and Lt compare 64-bit whole numbers


class Reach:
    """The nodes of one cluster by what is said of them; each selector is tried once."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        named = {word(node.metadata.name): node.metadata.labels or {} for node in nodes}
        self._labels = {name: labels for name, labels in named.items() if name}
        self._all = frozenset(self._labels)
        self._tried: dict[str, frozenset[str]] = {}

    def of(self, device: Device, spec: SliceSpec) -> frozenset[str]:
        """Names of the nodes that can use a device: as it says itself, else as its slice does."""
        own = self._said(device)
        return (self._said(spec) or frozenset()) if own is None else own

    def _said(self, place: Device | SliceSpec) -> frozenset[str] | None:
        if place.node_name:
            return self._all & {place.node_name}
        if place.node_selector is not None:
            return self._selected(place.node_selector)
        return self._all if place.all_nodes else None

    def _selected(self, selector: Mapping[str, object]) -> frozenset[str]:
        key = json.dumps(selector, sort_keys=True)
        if key not in self._tried:
            terms = list(mappings(selector.get("nodeSelectorTerms")))
            self._tried[key] = frozenset(
                name
                for name, labels in self._labels.items()
                if any(_term(term, name, labels) for term in terms)
            )
        return self._tried[key]


def _term(term: Mapping[str, object], name: str, labels: Mapping[str, str]) -> bool:
    by_label = sequence(term.get("matchExpressions"))
    by_field = sequence(term.get("matchFields"))
    return (
        bool(by_label or by_field)
        and all(_holds(mapping(asked), labels) for asked in by_label)
        and all(_holds(mapping(asked), {_FIELD: name}) for asked in by_field)
        and all(mapping(asked).get("key") == _FIELD for asked in by_field)
    )


def _holds(asked: Mapping[str, object], have: Mapping[str, str]) -> bool:
    key, operator, values = asked.get("key"), asked.get("operator"), sequence(asked.get("values"))
    if not isinstance(key, str) or not key:
        return False
    value = have.get(key)
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if not values:
        return False
    if operator == "In":
        return value is not None and value in values
    if operator == "NotIn":
        return value not in values
    return _beyond(operator, _whole(value), _whole(values[0]))


def _beyond(operator: object, have: int | None, limit: int | None) -> bool:
    if have is None or limit is None:
        return False
    return (operator == "Gt" and have > limit) or (operator == "Lt" and have < limit)


def _whole(value: object) -> int | None:
    if not isinstance(value, str) or len(value) > 20 or not value.isascii():
        return None
    if not value.removeprefix("-").isdecimal():
        return None
    number = int(value)
    return number if -_WHOLE <= number < _WHOLE else None
