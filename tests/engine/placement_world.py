"""A small fleet with the characters of the demo's story, for tests of the placement engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clusters.engine.types import (
    Capabilities,
    ClusterFacts,
    PoolFacts,
    PoolKind,
    ProvisionerMode,
    Taint,
)
from workspaces.engine.types import Demand, ModelSpec, Policy

PHI4_MINI = ModelSpec(
    slug="microsoft--phi-4-mini-instruct",
    hf_id="microsoft/Phi-4-mini-instruct",
    weights_gib=7.15,
    kv_bytes_per_token=131072,
    context_limit=131072,
)
LLAMA_8B = ModelSpec(
    slug="meta-llama--llama-3.1-8b-instruct",
    hf_id="meta-llama/Llama-3.1-8B-Instruct",
    weights_gib=14.96,
    kv_bytes_per_token=131072,
    context_limit=131072,
    gated=True,
)

# instance type -> GPU model, MiB per card as reported, GPUs, compute capability, $/h
SHAPES: Mapping[str, tuple[str, int, int, float, float]] = {
    "g6.xlarge": ("NVIDIA-L4", 23034, 1, 8.9, 0.8048),
    "g6.12xlarge": ("NVIDIA-L4", 23034, 4, 8.9, 4.6016),
    "Standard_NV36ads_A10_v5": ("NVIDIA-A10-24Q", 24512, 1, 8.6, 3.20),
    "Standard_NC24ads_A100_v4": ("NVIDIA-A100-80GB", 81920, 1, 8.0, 3.673),
    "Standard_NC48ads_A100_v4": ("NVIDIA-A100-80GB", 81920, 2, 8.0, 7.346),
    "Standard_ND96isr_H100_v5": ("NVIDIA-H100-80GB-HBM3", 81559, 8, 9.0, 98.32),
    "Standard_NC40ads_H100_v5": ("NVIDIA-H100-NVL", 95830, 1, 9.0, 6.98),
    "p5.48xlarge": ("NVIDIA-H100-80GB-HBM3", 81559, 8, 9.0, 98.32),
    "p4d.24xlarge": ("NVIDIA-A100-40GB", 40960, 8, 8.0, 32.77),
}

BYO = Capabilities(
    kubernetes_version="v1.33.1",
    kaito_version="0.12.0",
    workspace_served=True,
    inference_set_works=True,
    provisioner=ProvisionerMode.BYO,
    webhook_ready=True,
)
AUTO = replace(BYO, provisioner=ProvisionerMode.AZURE)


def pool(
    instance: str,
    *,
    kind: PoolKind = PoolKind.EXISTING,
    nodes: int = 0,
    whole: int = 0,
    free: int | None = None,
    quota: int | None = None,
    price: float | None = -1.0,
    key: str = "",
    taints: tuple[Taint, ...] = (),
    sharing: str = "none",
    capacity_type: str = "on-demand",
) -> PoolFacts:
    """A pool of one instance type; `price` -1 takes the usual one."""
    gpu, mib, gpus, capability, usual = SHAPES[instance]
    free = whole * gpus if free is None else free
    return PoolFacts(
        key=key or instance,
        kind=kind,
        gpu_model=gpu,
        gpu_memory_mib=mib,
        gpus_per_node=gpus,
        instance_type=instance,
        nodes=nodes,
        physical=nodes * gpus,
        allocatable=nodes * gpus,
        used=nodes * gpus - free,
        free=free,
        whole_free_nodes=whole,
        largest_free_group=min(free, gpus),
        capacity_type=capacity_type,
        compute_capability=capability,
        price_per_hour=usual if price == -1.0 else price,
        quota_nodes=quota,
        selector={"nvidia.com/gpu.product": gpu, "nvidia.com/gpu.count": str(gpus)},
        taints=taints,
        sharing=sharing,
    )


def auto(instance: str, quota: int | None, nodes: int = 0, **more: object) -> PoolFacts:
    """A pool that KAITO's provisioner may fill up to `quota` nodes."""
    made = pool(instance, kind=PoolKind.PROVISIONABLE, nodes=nodes, quota=quota)
    return replace(made, **more)  # type: ignore[arg-type]


def cluster(
    name: str,
    environment: str,
    region: str,
    capabilities: Capabilities,
    *pools: PoolFacts,
    state: str = "ready",
    cordon: str = "",
    age: float | None = 5.0,
    teams: frozenset[str] | None = None,
    labels: Mapping[str, str] | None = None,
    properties: Mapping[str, float] | None = None,
    taints: tuple[Taint, ...] = (),
) -> ClusterFacts:
    return ClusterFacts(
        id=f"id-{name}",
        name=name,
        uid=f"uid-{name}",
        state=state,
        simulated=True,
        cordoned=bool(cordon),
        cordon_reason=cordon,
        age_seconds=age,
        labels=labels or {},
        properties=properties or {},
        taints=taints,
        region=region,
        environment=environment,
        teams=teams,
        capabilities=capabilities,
        pools=pools,
    )


def story() -> list[ClusterFacts]:
    """The nine clusters, as free as the first deploy of a visitor finds them."""
    return [*_before_production(), *_production()]


def _before_production() -> list[ClusterFacts]:
    return [
        cluster("test-use1", "test", "us-east-1", BYO, pool("g6.xlarge", nodes=6, whole=4)),
        cluster("test-weu", "test", "westeurope", AUTO, auto("Standard_NV36ads_A10_v5", 4)),
        cluster("stg-weu", "staging", "westeurope", AUTO, auto("Standard_NC24ads_A100_v4", 4, 1)),
        cluster("stg-eus", "staging", "eastus", AUTO, auto("Standard_NC48ads_A100_v4", 2)),
    ]


def _production() -> list[ClusterFacts]:
    old = replace(BYO, kaito_version="0.10.0", inference_set_works=False)
    return [
        cluster(
            "prod-weu",
            "production",
            "westeurope",
            AUTO,
            auto("Standard_NC24ads_A100_v4", 4, 2),
            pool("Standard_ND96isr_H100_v5", nodes=2, whole=1),
        ),
        cluster(
            "prod-swc",
            "production",
            "swedencentral",
            BYO,
            pool("Standard_ND96isr_H100_v5", nodes=4, whole=0, free=19),
        ),
        cluster("prod-eus2", "production", "eastus2", AUTO, auto("Standard_NC40ads_H100_v5", 4, 1)),
        cluster(
            "prod-euc1",
            "production",
            "eu-central-1",
            BYO,
            pool("p5.48xlarge", nodes=3, whole=3),
            pool("g6.12xlarge", nodes=4, whole=4),
            state="unreachable",
            age=900.0,
        ),
        cluster(
            "prod-apse1",
            "production",
            "ap-southeast-1",
            old,
            pool("p4d.24xlarge", nodes=4, whole=4),
            cordon="KAITO 0.10 upgrade",
        ),
    ]


def demand(replicas: int = 3, model: ModelSpec = PHI4_MINI, **policy: object) -> Demand:
    return Demand(
        model=model,
        replicas=replicas,
        max_model_len=None,
        team="assist",
        policy=Policy(**policy),  # type: ignore[arg-type]
    )
