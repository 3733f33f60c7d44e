"""The tables of this app, one module per subject."""

from clusters.models.clusters import Check, Cluster, ClusterGrant, ObservedObject, Pool, Quota
from clusters.models.prices import PriceEntry
from clusters.models.telemetry import (
    GpuHour,
    HeatRow,
    InventoryMoment,
    ServingPack,
    ServingTick,
    Telemetry,
    Watch,
)

__all__ = [
    "Check",
    "Cluster",
    "ClusterGrant",
    "GpuHour",
    "HeatRow",
    "InventoryMoment",
    "ObservedObject",
    "Pool",
    "PriceEntry",
    "Quota",
    "ServingPack",
    "ServingTick",
    "Telemetry",
    "Watch",
]
