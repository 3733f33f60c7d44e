"""Scrapes put together by hand, and a cluster that somebody watches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from clusters.engine.telemetry.types import (
    GpuSample,
    Histogram,
    RuntimeReading,
    Scrape,
    ServingNow,
    Target,
    Tick,
)
from clusters.models import Cluster, ServingTick, Telemetry, Watch
from clusters.selectors.telemetry import decode_samples, decode_serving, unpack_tick
from clusters.services.telemetry_packs import packs_due, span_pack
from tests.clusters.rows import make_cluster

NOON = 1_800_000_000.0  # a multiple of 3,600: the start of an hour
CHAT = "fp-assist/chat"
TTFT = (0.1, 0.5, 2.5)  # seconds


def watched(name: str = "west", token: int = 7) -> Cluster:
    """A cluster whose watch has the fencing token `token`."""
    cluster = make_cluster(name)
    Watch.objects.create(cluster=cluster, lease_holder="me", lease_token=token)
    return cluster


def reading(requests: int, **changes: Any) -> RuntimeReading:
    """So many requests since the process started: a fifth slower than 0.5 s, 100 tokens each."""
    slow = requests // 5
    held: dict[str, Any] = {
        "runtime": "vllm",
        "model": "phi",
        "counters": {"requests": requests, "errors": 0, "generation_tokens": requests * 100},
        "histograms": {"ttft": Histogram(TTFT, (0, requests - slow, slow, 0), requests * 0.4)},
        "gauges": {"running": 2.0, "waiting": 0.0, "kv_usage": 0.25},
        "means": {},
        "exported": ("errors", "generation_tokens", "requests", "running", "ttft", "waiting"),
    }
    return RuntimeReading(**(held | changes))


def target(uid: str, subject: str = CHAT, kind: str = "serving") -> Target:
    namespace, _, name = (subject or "gpu-operator/dcgm").partition("/")
    return Target(kind, namespace, f"{name}-{uid}", uid, "node-0", 5000, "/metrics", subject)


def card(index: int = 0, **facts: Any) -> GpuSample:
    held: dict[str, Any] = {
        "util": 50.0,
        "memory_used": 1000.0,
        "memory_total": 4000.0,
        "power": 200.0,
        "temperature": 50.0,
        "xid": 0,
    }
    return GpuSample("node-0", index, f"GPU-{index}", "nvidia", "H100", **(held | facts))


def scrape(
    at: float,
    readings: Mapping[str, RuntimeReading] | None = None,
    *,
    targets: tuple[Target, ...] | None = None,
    gpus: tuple[GpuSample, ...] | None = None,
    **more: Any,
) -> Scrape:
    """One look `at` seconds after noon; every pod that answered is a target of CHAT."""
    found = readings or {}
    return Scrape(
        at=NOON + at,
        road="direct",
        readings=found,
        targets=tuple(target(uid) for uid in found) if targets is None else targets,
        gpus=gpus,
        problems=more.pop("problems", {}),
        **more,
    )


def stored(cluster: Cluster, resolution: int = 15, subject: str = CHAT) -> dict[float, Tick]:
    """Ticks by seconds after noon."""
    rows = ServingTick.objects.filter(cluster=cluster, resolution=resolution, subject=subject)
    return {
        row.at.timestamp() - NOON: unpack_tick(bytes(row.packed)) for row in rows.order_by("at")
    }


def counted(cluster: Cluster, name: str = "requests", resolution: int = 15) -> dict[float, int]:
    """One counter of the ticks that have it, by seconds after noon."""
    ticks = stored(cluster, resolution).items()
    return {at: tick.counters[name] for at, tick in ticks if name in tick.counters}


def pack_all(now: datetime) -> int:
    """Pack every tick that is due. How many spans there were."""
    spans = 0
    while due := packs_due(now, most=5):
        for one in due:
            span_pack(one)
        spans += len(due)
    return spans


def cards(cluster: Cluster) -> tuple[GpuSample, ...]:
    return decode_samples(Telemetry.objects.get(cluster=cluster).gpus_packed)


def serving(cluster: Cluster) -> tuple[ServingNow, ...]:
    return decode_serving(Telemetry.objects.get(cluster=cluster).serving_packed)
