"""From a change on a cluster to the nudge at the last of 500 viewers, through the whole portal.

Real processes: API servers (fleetsim), a collector, Redis, a web process, and the viewers in one of
their own. A node is cordoned by a PATCH on a kept connection; the time runs from before the request
is sent until the last viewer has read the nudge that names this cluster, and it alone. Wall time.

Each round changes a node of the next of CHANGING clusters, so that neither the collector's pause
between two writes of one cluster nor the hub's between two tellings of one name is part of a round.
Rounds begin at random moments, so that they meet whatever else the processes do; none is left out.
QUIET more clusters, in which nothing changes, are watched beside them. Metrics are off: news of a
measurement would be taken for that of the change.

The floor watches the same nodes of the same server, decodes nothing, stores nothing, and writes to
every open socket (bench.fanout).
"""

from __future__ import annotations

import http.client
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import collector, discovery, portal, processes
from bench.processes import VIEWERS, Pages
from bench.report import Line, quantile_line
from clusters.models import Cluster
from clusters.selectors.facts import decode_nodes
from fleetportal.accounts.models import Team
from tests.simfleet import SimCluster, SimFleet

CHANGING, QUIET = 10, 190  # clusters
ROUNDS, WARM_UP = 60, 10
PAUSES = (0.3, 0.9)  # seconds between rounds, least and most
MOST_MS = 250.0
NODES = {"instance_type": "p5.48xlarge", "pool": "h100", "count": 10, "used": [3] * 10}


@dataclass(frozen=True)
class Changing:
    """A cluster whose nodes are cordoned. `topic`: what the portal calls its news."""

    sim: SimCluster
    topic: str
    nodes: tuple[str, ...]
    cordoned: set[str] = field(default_factory=set)

    @property
    def path(self) -> str:
        return f"{urlsplit(self.sim.server).path}/api/v1/nodes"


def lines(team: Team) -> list[Line]:
    """Raises AssertionError when a viewer heard of anything else, or a row does not say it."""
    with ExitStack() as stack:
        quiet = stack.enter_context(discovery.servers())
        sim = stack.enter_context(_simulator())
        changing = _clusters(sim)
        cordon = Kubectl(sim)
        with _bare(sim, changing) as pages:
            floor = _rounds(changing, cordon, pages)
        Cluster.objects.bulk_create(collector.rows(quiet, QUIET), portal.BATCH)
        url = stack.enter_context(processes.redis())
        web = stack.enter_context(processes.web(url))
        stack.enter_context(_collector(url))
        viewers = processes.viewers(team, [one.topic for one in changing])
        pages = stack.enter_context(processes.pages(web.port, viewers))
        ours = _rounds(changing, cordon, pages)
        for one in changing:
            assert _stored(one) == one.cordoned, one.topic
    what = f"change on a cluster to nudge at the last of {VIEWERS} viewers"
    return [
        quantile_line(f"{what}, p50 of {len(ours)}", ours, floor, 0.5, None),
        quantile_line(f"{what}, p99 of {len(ours)}", ours, floor, 0.99, MOST_MS),
    ]


class Kubectl:
    """Cordons by the API, on one kept connection."""

    def __init__(self, sim: SimFleet) -> None:
        address = urlsplit(sim.url)
        assert address.hostname
        self._line = http.client.HTTPSConnection(address.hostname, address.port, context=sim.tls)
        self._head = {
            "Authorization": f"Bearer {sim.admin_token}",
            "Content-Type": "application/merge-patch+json",
        }

    def toggle(self, cluster: Changing, node: str) -> None:
        """Cordon the node, or uncordon it where it is cordoned."""
        cluster.cordoned.symmetric_difference_update({node})
        body = json.dumps({"spec": {"unschedulable": node in cluster.cordoned}})
        self._line.request("PATCH", f"{cluster.path}/{node}", body, self._head)
        answer = self._line.getresponse()
        answer.read()
        assert answer.status == 200, answer.status


def _rounds(changing: Sequence[Changing], cordon: Kubectl, pages: Pages) -> list[float]:
    """Milliseconds, a round each."""
    found = []
    for number in range(WARM_UP + ROUNDS):
        one = changing[number % CHANGING]
        time.sleep(random.uniform(*PAUSES))
        begun = time.monotonic()
        cordon.toggle(one, random.choice(one.nodes))
        found.append((pages.nudged([one.topic]) - begun) * 1e3)
    return found[WARM_UP:]


def _stored(one: Changing) -> set[str]:
    """The nodes that are cordoned as the portal has it."""
    row = Cluster.objects.get(name=one.sim.name)
    return {node.name for node in decode_nodes(row.nodes_packed) if node.cordoned}


# ---- what it is measured with ----


@contextmanager
def _simulator() -> Iterator[SimFleet]:
    """Without actors: what changes there is changed by us."""
    with tempfile.TemporaryDirectory() as folder:
        sim = SimFleet.start(Path(folder), actors=False)
        try:
            yield sim
        finally:
            sim.stop()


def _clusters(sim: SimFleet) -> list[Changing]:
    """Made in the simulator, and rows of the portal."""
    found = []
    for number in range(CHANGING):
        made = sim.add_cluster(f"changing-{number}", nodes=[NODES], pods=40)
        row = portal.registered(
            made.name, server=made.server, ca_pem=made.ca_pem, token=made.token, uid=made.uid
        )
        row.save(force_insert=True)
        nodes = tuple(node["metadata"]["name"] for node in made.objects("Node"))
        found.append(Changing(made, f"cluster:{row.pk}", nodes))
    return found


@contextmanager
def _bare(sim: SimFleet, changing: Sequence[Changing]) -> Iterator[Pages]:
    """Viewers at the floor, once it watches all of them."""
    address = urlsplit(sim.url)
    watches: list[dict[str, Any]] = [
        {
            "host": address.hostname,
            "port": address.port,
            "path": f"{one.path}?watch=true&resourceVersion=0",
            "name": one.topic,
        }
        for one in changing
    ]
    source = {"ca": sim.ca_pem, "token": sim.admin_token, "watches": watches}
    with (
        processes.fanout(**source) as port,
        processes.pages(port, processes.NOBODY) as pages,
    ):
        yield pages


@contextmanager
def _collector(url: str) -> Iterator[None]:
    """A real one, once it has observed every cluster."""
    process = collector.start(REDIS_URL=url)
    try:
        collector.wait(CHANGING + QUIET)
        yield
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    from bench.report import table

    portal.migrate()
    print(table(lines(Team.objects.create(slug="assist", name="Assist"))))
