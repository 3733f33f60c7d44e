"""`python -m tests.browser.heat_fleet PORT`: a small fleet with a cluster of each kind, served."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bench.heat_server import serve


def fill() -> None:
    """prod-weu: a faulty card and a program's error. Others: silent, old, unmeasured, cordoned."""
    from tests.clusters.rows import node

    h100 = [node(f"h100-{n}", used=used) for n, used in enumerate((8, 6, 0))]
    broken = node("h100-3", used=3, allocatable=7)
    shared = node("mig-0", physical=2, allocatable=14, used=3, sharing="mig")
    _cluster("prod-weu", [*h100, broken, shared], xids={("h100-3", 5): 79, ("h100-1", 2): 31})
    _cluster("prod-swc", [node("node-0", used=4)], age=300)
    _cluster("prod-euc1", [node("ip-10-7-0-1", used=8)], state="unreachable")
    _cluster("prod-new", [node("fresh-0", used=2)], measured=False)
    _cluster("test-use1", [node("l4-0", used=1, physical=1, allocatable=1)], environment="test")
    _cluster("test-weu", [node("a100-0", used=2)], environment="test", cordoned=True)


def _cluster(
    name: str,
    nodes: Sequence[Any],
    *,
    xids: dict[tuple[str, int], int] | None = None,
    age: int = 5,
    measured: bool = True,
    **fields: Any,
) -> None:
    import msgspec
    from django.utils import timezone

    from clusters.engine.telemetry.types import GpuSample
    from clusters.models import Telemetry
    from clusters.services.heat import heat_store
    from tests.clusters.rows import make_cluster

    now = timezone.now()
    cluster = make_cluster(name, nodes, **fields)
    samples = [
        GpuSample(
            node=one.name,
            index=card,
            uuid=f"GPU-{one.name}-{card}",
            vendor="nvidia",
            model="H100",
            util=80.0 if card < one.used else 0.0,
            memory_used=70_000.0 if card < one.used else 500.0,
            memory_total=81_559.0,
            power=600.0 if card < one.used else 70.0,
            temperature=65.0 if card < one.used else 30.0,
            xid=(xids or {}).get((one.name, card), 0),
            idle_since=None if card < one.used else (now - timedelta(hours=2)).timestamp(),
        )
        for one in nodes
        for card in range(one.physical or one.allocatable)
    ]
    if measured:
        at = now - timedelta(seconds=age)
        Telemetry.objects.create(
            cluster=cluster, gpus_at=at, gpus_packed=msgspec.msgpack.encode(samples)
        )
    heat_store(cluster=cluster, at=now)


if __name__ == "__main__":
    serve(int(sys.argv[1]), fill)
