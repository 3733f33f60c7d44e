"""The heatmap at 80,000 GPUs: the endpoint against raw SQL and joined bytes, the page, the browser.

The floor reads the same two blobs of each cluster with the bare driver and joins them; it knows no
permissions, no states and no ETag.
"""

from __future__ import annotations

import random
import sqlite3
import struct
from collections.abc import Sequence

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bench import portal
from bench.placement import fleet
from bench.report import Line, ms, pair
from clusters.engine import heat as engine
from clusters.engine.telemetry.types import GpuSample
from clusters.engine.types import NodeFacts
from clusters.models import Cluster, HeatRow
from clusters.selectors import heat as selectors
from clusters.selectors.facts import pack
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal

CLUSTERS, NODES, CARDS = 1_000, 10, 8
CELLS = CLUSTERS * NODES * CARDS
ROUNDS, MOST_MS, MOST_RATIO, MOST_QUERIES = 15, 5.0, 2.0, 15
SQL = (
    "SELECT h.util, h.marks FROM clusters_cluster c JOIN clusters_heatrow h ON h.cluster_id = c.id "
    "WHERE c.state != 'retired' ORDER BY c.name"
)


def fleet_create() -> None:
    """A thousand clusters that are seen, with ten nodes of eight cards each, all measured."""
    portal.clusters_create(fleet(CLUSTERS))
    Cluster.objects.update(state="ready")
    rows_create()


def rows_create(seed: int = 1) -> None:
    """Heat rows as the services leave them, of clusters with ten nodes of eight cards."""
    dice = random.Random(seed)
    now, rows = timezone.now(), []
    clusters = list(Cluster.objects.order_by("name"))
    for number, cluster in enumerate(clusters):
        nodes = _nodes(cluster, dice)
        cluster.nodes_packed = pack(nodes)
        found = engine.heat(nodes, _samples(nodes, number, dice), at=now.timestamp())
        rows.append(_row(cluster, nodes, found))
    Cluster.objects.bulk_update(clusters, ["nodes_packed"], batch_size=100)
    HeatRow.objects.bulk_create(rows, batch_size=100)


def _nodes(cluster: Cluster, dice: random.Random) -> tuple[NodeFacts, ...]:
    from clusters.selectors.facts import pools_of

    pools = pools_of(cluster)
    return tuple(
        NodeFacts(
            name=f"{cluster.name}-{number:03}.internal",
            pool=pools[number % len(pools)].key,
            instance_type="",
            ready=True,
            cordoned=False,
            physical=CARDS,
            allocatable=CARDS,
            used=dice.randrange(CARDS + 1),
        )
        for number in range(NODES)
    )


def _samples(nodes: Sequence[NodeFacts], number: int, dice: random.Random) -> list[GpuSample]:
    return [
        GpuSample(
            node=node.name,
            index=card,
            uuid=f"GPU-{node.name}-{card}",
            vendor="nvidia",
            model="H100",
            util=dice.betavariate(2, 2) * 100 if card < node.used else 0.0,
            memory_used=dice.random() * 80_000,
            memory_total=80_000.0,
            power=dice.uniform(70, 700),
            temperature=dice.uniform(30, 85),
            xid=79 if dice.random() < 0.001 else 0,
        )
        for node in nodes
        for card in range(CARDS)
    ]


def _row(cluster: Cluster, nodes: Sequence[NodeFacts], found: engine.Heat) -> HeatRow:
    return HeatRow(
        cluster=cluster,
        layout=engine.layout_key([cluster.name], nodes),
        gpus=len(found.marks),
        at=timezone.now(),
        **{name: getattr(found, name) for name in (*engine.METRICS, "marks")},
    )


def lines(asker: User) -> list[Line]:
    """Raises AssertionError when the endpoint's bytes are not those of the rows."""
    fleet_create()
    driver = sqlite3.connect(portal.DIRECTORY / "portal.sqlite3")
    _same(driver, asker)
    return [*_endpoint(driver, asker), _page(asker)]


def _floor(driver: sqlite3.Connection) -> bytes:
    found = driver.execute(SQL).fetchall()
    return b"".join([row[0] for row in found]) + b"".join([row[1] for row in found])


def _same(driver: sqlite3.Connection, asker: User) -> None:
    body = selectors.cells(Principal(asker), "util").body
    *_, clusters, cells, _ = selectors.HEADER.unpack_from(body)
    assert (clusters, cells) == (CLUSTERS, CELLS)
    moments, counts = struct.unpack_from(f"<{clusters}I{clusters}I", body, 24)[:2], None
    assert moments and counts is None
    assert body[-2 * CELLS :] == _floor(driver), "the endpoint's cells are not those of the rows"


def _endpoint(driver: sqlite3.Connection, asker: User) -> list[Line]:
    client, path = portal.browser(asker), "/fleet/heat/cells?metric=util"
    fresh = lambda: selectors.cells(Principal(asker), "util")  # noqa: E731
    ours, theirs = pair(fresh, lambda: _floor(driver), ROUNDS)
    made = Line(
        f"cells of {CELLS:,} GPUs",
        ms(ours.wall),
        ms(theirs.wall),
        ours.wall / theirs.wall,
        f"<= {MOST_RATIO:g}x, {MOST_MS:g} ms",
        ours.wall <= MOST_MS and ours.wall / theirs.wall <= MOST_RATIO,
    )
    return [made]


def _page(asker: User) -> Line:
    client = portal.browser(asker)
    client.get("/fleet/")
    with CaptureQueriesContext(connection) as found:
        assert client.get("/fleet/").status_code == 200
    return Line("fleet page of 1,000 clusters: queries", str(len(found)), "", None, f"<= {MOST_QUERIES}", len(found) <= MOST_QUERIES)
