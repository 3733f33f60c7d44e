"""Which nodes a device's own words or its slice's mean, by Kubernetes' rules for node selectors."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.engine.reach import Reach
from clusters.engine.shapes import Device, Meta, Node, SliceSpec

NODES = [
    Node(Meta(name="a", labels={"zone": "1", "gpu": "yes"})),
    Node(Meta(name="b", labels={"zone": "2"})),
    Node(Meta(name="c")),
]


def reached(device: Device = Device(), spec: SliceSpec = SliceSpec()) -> str:  # noqa: B008
    return "".join(sorted(Reach(NODES).of(device, spec)))


def selector(*terms: object) -> dict[str, Any]:
    return {"nodeSelectorTerms": list(terms)}


def by_label(key: str, operator: str, *values: object) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def by_name(operator: str, *names: str, key: str = "metadata.name") -> dict[str, Any]:
    return {"matchFields": [{"key": key, "operator": operator, "values": list(names)}]}


@pytest.mark.parametrize(
    ("term", "nodes"),
    [
        (by_label("zone", "In", "1", "3"), "a"),
        (by_label("zone", "NotIn", "1"), "bc"),
        (by_label("gpu", "Exists"), "a"),
        (by_label("gpu", "DoesNotExist"), "bc"),
        (by_label("zone", "Gt", "1"), "b"),
        (by_label("zone", "Lt", "2"), "a"),
        (by_name("In", "b"), "b"),
        (by_name("NotIn", "b"), "ac"),
        ({**by_label("zone", "Exists"), **by_name("NotIn", "b")}, "a"),
        ({}, ""),
        (None, ""),
        (by_label("zone", "In"), ""),
        (by_label("zone", "Near", "1"), ""),
        (by_label("", "DoesNotExist"), ""),
        (by_label("zone", "Gt", "one"), ""),
        (by_name("NotIn", "b", key="spec.unschedulable"), ""),
        ({"matchExpressions": [None]}, ""),
    ],
)
def test_a_term_means_what_kubernetes_makes_of_it(term: object, nodes: str) -> None:
    assert reached(Device(node_selector=selector(term))) == nodes


def test_terms_are_alternatives() -> None:
    assert reached(Device(node_selector=selector(by_name("In", "a"), by_name("In", "c")))) == "ac"


def test_a_device_speaks_before_its_slice() -> None:
    spec = SliceSpec(all_nodes=True)
    assert reached(Device(), spec) == "abc"
    assert reached(Device(node_name="b"), spec) == "b"
    assert reached(Device(node_selector=selector()), spec) == ""


def test_who_says_nothing_or_names_a_stranger_reaches_no_node() -> None:
    assert reached() == ""
    assert reached(spec=SliceSpec(all_nodes=False)) == ""
    assert reached(spec=SliceSpec(node_name="gone")) == ""
