"""The demo's nine clusters as data: what they are, what they hold, what their operator declared.

GPUs add up to 186: 126 on the bring-your-own nodes, and 60 that the declared quotas of the five
auto-provisioning clusters allow; machines that exist there already are part of the quota.
Quota is what an operator believes; `capacity` is what the cloud has and no portal can read.
"""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]
TEAMS = ["assist", "risk"]

A10 = "Standard_NV36ads_A10_v5"
A100 = "Standard_NC24ads_A100_v4"
A100_PAIR = "Standard_NC48ads_A100_v4"
H100 = "Standard_ND96isr_H100_v5"
H100_NVL = "Standard_NC40ads_H100_v5"
H100_NVL_PAIR = "Standard_NC80adis_H100_v5"


# A portal that is told the past before the story's engines stand never hears of them.
YOUNG = 80.0  # seconds
# Card 7 of the training node reported a double-bit memory error 26 hours before the story begins.
BROKEN_CARD = {"fleetsim.dev/xid": "7:48:93600"}
HOT_AISLE = {"fleetsim.dev/hot": "yes"}


def _quota(instance_type: str, nodes: int) -> Spec:
    return {"instance_type": instance_type, "nodes": nodes, "capacity_type": "on-demand"}


def _node(instance_type: str, pool: str, count: int = 1, **more: Any) -> Spec:
    """`used`: GPUs of other people's pods, one figure per node."""
    return {"instance_type": instance_type, "pool": pool, "count": count, **more}


def _azure(environment: str, region: str, quotas: list[Spec], **more: Any) -> Spec:
    return {
        "environment": environment,
        "region": region,
        "provider": "azure",
        "mode": "azure-gpu-provisioner",
        "zones": ["1", "2", "3"],
        "quotas": quotas,
        "grants": TEAMS,
        "exporters": True,
        "past": 900.0,
        "young": YOUNG,
        **more,
    }


def _byo(environment: str, region: str, provider: str, nodes: list[Spec], **more: Any) -> Spec:
    return {
        "environment": environment,
        "region": region,
        "provider": provider,
        "mode": "byo",
        "nodes": nodes,
        "grants": TEAMS,
        "exporters": True,
        "past": 900.0,
        "young": YOUNG,
        **more,
    }


STORY: dict[str, Spec] = {
    "test-use1": _byo("test", "us-east-1", "aws", [_node("g6.xlarge", "l4", 6)]),
    "test-weu": _azure("test", "westeurope", [_quota(A10, 4)], capacity={A10: 4}),
    "stg-weu": _azure("staging", "westeurope", [_quota(A100, 4)], capacity={A100: 4}),
    "stg-eus": _azure(
        "staging",
        "eastus",
        [_quota(A100_PAIR, 2), _quota(A100, 2)],
        capacity={A100_PAIR: 2, A100: 0},
        foreign_workspaces=[
            {
                "namespace": "data-science",
                "name": "legacy-mistral",
                "preset": "mistralai/Mistral-7B-Instruct-v0.3",
                "instance_type": A100_PAIR,
                "annotations": {"fleetsim.dev/clients": "none"},  # two cards that nobody uses
            }
        ],
    ),
    "prod-weu": _azure(
        "production",
        "westeurope",
        [_quota(A100, 6), _quota(H100, 3)],
        capacity={A100: 6, H100: 3},
        nodes=[_node(H100, "train", used=[4], allocatable=[7], annotations=BROKEN_CARD)],
    ),
    "prod-swc": _byo(
        "production",
        "swedencentral",
        "azure",
        [_node(H100, "h100", 4, used=[7, 3, 2, 1], annotations=HOT_AISLE)],
        zones=["1", "2", "3"],
    ),
    "prod-eus2": _azure(
        "production",
        "eastus2",
        [_quota(H100_NVL, 10), _quota(H100_NVL_PAIR, 3)],
        capacity={H100_NVL: 10, H100_NVL_PAIR: 3},
        nodes=[_node(H100_NVL_PAIR, "batch", used=[2])],
        load=[{"rate": 1.5}],  # the cluster that everybody wants
    ),
    "prod-euc1": _byo(
        "production",
        "eu-central-1",
        "aws",
        [_node("p5.48xlarge", "h100", 3, used=[8]), _node("g6.12xlarge", "l4", 4, used=[2])],
    ),
    "prod-apse1": _byo(
        "production",
        "ap-southeast-1",
        "aws",
        [
            _node("p4d.24xlarge", "a100", 4, used=[8, 8]),
            _node("p5en.48xlarge", "h200", 2, used=[4]),
        ],
        kaito_version="0.10.0",
        base_tag="0.3.0",
        engine_version="0.14.0",
        cordoned=True,
        cordon_reason="KAITO 0.10 is being upgraded",
    ),
}
