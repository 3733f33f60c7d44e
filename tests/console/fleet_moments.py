"""Measurements of clusters as rows, as the scrape loop would have stored them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from django.utils import timezone

from clusters.engine.telemetry import chunks
from clusters.engine.telemetry.packing import pack_tick
from clusters.engine.telemetry.types import GpuSample, Tick
from clusters.models import Cluster, GpuHour, ServingTick, Telemetry
from clusters.selectors.facts import nodes_of
from clusters.services.heat import heat_store


def measure(
    cluster: Cluster,
    *,
    util: float = 50.0,
    idle: Sequence[tuple[str, int, float]] = (),
    at: datetime | None = None,
) -> None:
    """Every card of the cluster at `util`, but `idle` (node, index, hours) ones at 0."""
    now = at or timezone.now()
    hours = {(name, index): length for name, index, length in idle}
    samples = tuple(
        _sample(node.name, index, util, hours.get((node.name, index)), now)
        for node in nodes_of(cluster)
        for index in range(node.allocatable)
    )
    Telemetry.objects.update_or_create(
        cluster=cluster,
        defaults={"at": now, "gpus_at": now, "gpus_packed": msgspec.msgpack.encode(samples)},
    )
    heat_store(cluster=cluster, at=now)


def _sample(node: str, index: int, util: float, hours: float | None, now: datetime) -> GpuSample:
    since = None if hours is None else now.timestamp() - hours * 3600
    shown = util if hours is None else 0.0
    return GpuSample(node, index, f"{node}-{index}", "nvidia", "H100", shown, idle_since=since)


def gpu_hour(cluster: Cluster, hours_ago: int, *, held: float, util: float) -> GpuHour:
    """A closed hour of eight cards, `held` of them allocated, all at `util` percent."""
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)
    cards = [
        GpuSample("node-0", index, f"gpu-{index}", "nvidia", "H100", util) for index in range(8)
    ]
    packed = b""
    for minute in range(60):
        packed = chunks.append(packed, minute, cards)
    known, busy = chunks.busy(chunks.decode(packed).util)
    return GpuHour.objects.create(
        cluster=cluster,
        hour=hour,
        packed=chunks.close(packed),
        minutes=60,
        gpu=8 * 60,
        allocated=held * 60,
        measured=known,
        busy=busy,
    )


def tick(
    cluster: Cluster, subject: str, *, requests: int, tokens: int | None, ago: float = 90
) -> None:
    """One minute of a workspace that ended a while ago. `tokens` None: its runtime counts none."""
    counters = {"requests": requests}
    if tokens is not None:
        counters |= {"prompt_tokens": tokens, "generation_tokens": tokens}
    found = Tick(60.0, 1, 1, counters, {}, {}, {}, (), "vllm", "direct")
    at = timezone.now() - timedelta(seconds=ago)
    ServingTick.objects.create(
        cluster=cluster, subject=subject, resolution=60, at=at, packed=pack_tick(found)
    )
