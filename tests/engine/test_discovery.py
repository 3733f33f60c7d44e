"""Every node of tests/engine/nodes/*.yaml gives exactly the facts that stand beside it."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters.engine.cards import card_class
from clusters.engine.inventory import Inventory, build_inventory
from clusters.engine.shapes import loose_claim, loose_node, loose_pod, loose_slice
from clusters.engine.skus import sku_facts
from clusters.engine.types import CardFacts, NodeFacts, ProvisionerMode, ShareFacts, Taint
from clusters.selectors import census

Raw = dict[str, Any]
NOW = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
STARTED = datetime(2026, 11, 1, 6, 30, tzinfo=UTC)  # of every pod
HERE = Path(__file__).parent / "nodes"
CASES: dict[str, Raw] = {
    name: case
    for path in sorted(HERE.glob("*.yaml"))
    for name, case in yaml.safe_load(path.read_text(encoding="utf-8")).items()
}
USUAL = {"cpu": "96", "memory": "1Ti", "pods": "110", "ephemeral-storage": "1Ti"}
# figures that follow from the facts of a node or of its pool, and what warnings speak of
DERIVED = {
    "free": 0,
    "faulty": 0,
    "health": "ok",
    "card_class": "",
    "whole_free_nodes": 0,
    "largest_free_group": 0,
    "shared_cards": 0,
    "warnings": [],
}
WARNINGS = {
    "shared": "no whole cards to promise",
    "no selector": "GPU Feature Discovery",
    "not nvidia": "cannot run here",
    "uncounted": "nothing says how many cards",
    "incomplete": "newest slices",
}


def raw_node(node: Raw) -> Raw:
    capacity = {**USUAL, **node.get("capacity", {})}
    return {
        "metadata": {
            "name": "n",
            "uid": "1",
            "labels": {"kubernetes.io/arch": "amd64", **node.get("labels", {})},
            "annotations": node.get("annotations", {}),
        },
        "spec": {
            "providerID": node.get("id", ""),
            "unschedulable": node.get("cordoned", False),
            "taints": node.get("taints", []),
        },
        "status": {
            "capacity": capacity,
            "allocatable": {**capacity, **node.get("allocatable", {})},
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": node.get("ready", "True")},
            ],
        },
    }


def raw_pod(pod: Raw) -> Raw:
    labels = {"kaito.sh/workspace": pod["workspace"]} if "workspace" in pod else {}
    asks = {pod.get("resource", "nvidia.com/gpu"): str(pod["gpus"])} if "gpus" in pod else {}
    return {
        "metadata": {
            "name": pod["name"],
            "namespace": "team",
            "labels": labels,
            "annotations": pod.get("annotations", {}),
        },
        "spec": {"nodeName": "n", "containers": [{"resources": {"limits": asks}}]},
        "status": {"phase": "Running", "startTime": STARTED.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }


def raw_other(name: str, labels: Raw) -> Raw:
    """A node without GPUs beside the one that a case is about."""
    node = raw_node({"labels": labels})
    return {**node, "metadata": {**node["metadata"], "name": name}}


def inventory_of(case: Raw) -> Inventory:
    others = case.get("others", {}).items()
    nodes = [raw_node(case["node"]), *(raw_other(name, labels) for name, labels in others)]
    return build_inventory(
        filter(None, map(loose_node, nodes)),
        filter(None, (loose_pod(raw_pod(pod)) for pod in case.get("pods", []))),
        slices=filter(None, map(loose_slice, case.get("slices", []))),
        claims=filter(None, map(loose_claim, case.get("claims", []))),
        skus=sku_facts,
        mode=ProvisionerMode.BYO,
        now=NOW,
    )


def expected_facts(case: Raw) -> NodeFacts:
    """The facts as written down; what a case does not mention has its plain value."""
    given, pods = case["expect"], {f"team/{pod['name']}" for pod in case.get("pods", [])}
    parts: Raw = {
        "cards": tuple(CardFacts(**card) for card in given.get("cards", [])),
        "shares": tuple(ShareFacts(**share) for share in given.get("shares", [])),
        "taints": tuple(Taint(**taint) for taint in given.get("taints", [])),
        "holders": tuple(tuple(holder) for holder in given.get("holders", [])),
        "held_since": tuple(
            STARTED.timestamp() if pod in pods else None for pod, *_ in given.get("holders", [])
        ),
    }
    plain: Raw = {"name": "n", "ready": True, "cordoned": False, "used": 0, "instance_type": ""}
    names = {field.name for field in fields(NodeFacts)}
    return NodeFacts(**{**plain, **{k: v for k, v in given.items() if k in names}, **parts})


@pytest.mark.parametrize("name", CASES)
def test_a_node_gives_exactly_the_facts_that_stand_beside_it(name: str) -> None:
    case = CASES[name]
    inventory = inventory_of(case)
    (node,), (pool,) = inventory.nodes, inventory.pools
    assert asdict(node) == asdict(expected_facts(case))
    seen = {
        "free": node.free,
        "faulty": node.faulty,
        "health": node.health,
        "card_class": card_class(pool.gpu_model, pool.gpu_memory_mib),
        "whole_free_nodes": pool.whole_free_nodes,
        "largest_free_group": pool.largest_free_group,
        "shared_cards": inventory.totals.shared,
        "warnings": sorted(_words(inventory)),
    }
    assert seen == {key: _sorted(case["expect"].get(key, DERIVED[key])) for key in DERIVED}


def _words(inventory: Inventory) -> list[str]:
    return [
        next((word for word, part in WARNINGS.items() if part in line), line)
        for line in inventory.warnings
    ]


def _sorted(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


@pytest.mark.parametrize("name", CASES)
def test_a_nodes_figures_add_up_on_every_path_to_a_page(name: str) -> None:
    inventory = inventory_of(CASES[name])
    (node,), (pool,), totals = inventory.nodes, inventory.pools, inventory.totals
    assert (node.gpu_model, node.gpu_memory_mib) == (pool.gpu_model, pool.gpu_memory_mib)
    parts = totals.used + totals.free + totals.faulty + totals.blocked + totals.shared
    assert parts == totals.gpus == (node.physical or 0)
    tally = sum(census.count(inventory.nodes, inventory.pools).values(), census.Tally())
    assert tally.physical == totals.gpus
    assert (tally.allocated, tally.free, tally.shared) == (totals.used, totals.free, totals.shared)
    assert sum(share.used for share in node.shares) in (0, node.used)


def test_there_are_enough_kinds_of_nodes() -> None:
    assert len(CASES) >= 40
