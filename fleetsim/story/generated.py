"""Clusters beyond the story's nine: as many as asked, cheap, the same for one seed.

Ten GPU nodes each (or a quota, in the auto-provisioning ones) and up to forty pods of other people.
"""

from __future__ import annotations

import random
from typing import Any

Spec = dict[str, Any]
_AWS = ("us-east-1", "us-west-2", "eu-central-1", "eu-west-1", "ap-southeast-1", "ap-northeast-1")
_AZURE = ("westeurope", "northeurope", "swedencentral", "eastus", "eastus2", "westus3")
_ENVIRONMENTS = ("test", "staging", "production", "production", "production")
_AWS_NODES = (("g6.xlarge", 1), ("g5.12xlarge", 4), ("p4d.24xlarge", 8), ("p5.48xlarge", 8))
_AZURE_NODES = (("Standard_NC24ads_A100_v4", 1), ("Standard_NC48ads_A100_v4", 2),
                ("Standard_ND96isr_H100_v5", 8))  # fmt: skip


def spec(number: int, rng: random.Random) -> tuple[str, Spec]:
    """Name and spec of a cluster by number; every third Azure one provisions its own nodes."""
    azure = number % 2 == 0
    environment = rng.choice(_ENVIRONMENTS)
    region = rng.choice(_AZURE if azure else _AWS)
    instance_type, gpus = rng.choice(_AZURE_NODES if azure else _AWS_NODES)
    used = [rng.randint(0, gpus) if rng.random() < 0.7 else 0 for _ in range(10)]
    found: Spec = {
        "environment": environment,
        "region": region,
        "provider": "azure" if azure else "aws",
        "zones": ["1", "2", "3"] if azure else ["a", "b", "c"],
        "mode": "byo",
        "nodes": [{"instance_type": instance_type, "pool": "gpu", "count": 10, "used": used}],
        "pods": 40,
        "exporters": True,
        "past": 900.0,
        "grants": ["assist", "risk"],
    }
    if azure and number % 3 == 0:
        nodes = 10 + rng.randint(2, 8)
        found["mode"] = "azure-gpu-provisioner"
        found["quotas"] = [
            {"instance_type": instance_type, "nodes": nodes, "capacity_type": "on-demand"}
        ]
        found["capacity"] = {instance_type: nodes}
    return f"gen-{number:04d}", found
