"""`python -m tests.browser.money_fleet PORT`: clusters with prices, idle cards, traffic, a past."""

from __future__ import annotations

import sys

from bench.heat_server import serve


def fill() -> None:
    """The story's clusters; two of them with nodes that are measured, one of them unpriced."""
    from clusters.models import Cluster
    from clusters.selectors import pack
    from tests.clusters.rows import node, pool
    from tests.console.fleet_moments import gpu_hour, measure, tick
    from tests.factories import put
    from tests.workspaces.fleet_rows import make_fleet

    make_fleet()
    for name, price in (("prod-swc", 98.32), ("prod-apse1", None)):
        cluster = Cluster.objects.get(name=name)
        holders = (("team-risk/kyc-0", 5, ""),)
        nodes = (node("gpu-0", used=5, holders=holders), node("gpu-1", used=1))
        facts = pool(nodes=nodes, price_per_hour=price, selector={"gpu": "h100"})
        put(
            [cluster],
            nodes_packed=pack(nodes),
            pools_packed=pack((facts,)),
            gpus_physical=16,
        )
        cluster.refresh_from_db()
        measure(cluster, util=70.0, idle=[("gpu-0", 0, 3.0), ("gpu-0", 1, 50.0)])
        tick(cluster, "team-risk/kyc", requests=120, tokens=6000)
        for hours in range(30):
            gpu_hour(cluster, hours, held=6, util=30.0 + hours)


if __name__ == "__main__":
    serve(int(sys.argv[1]), fill)
