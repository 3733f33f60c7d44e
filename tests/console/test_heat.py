from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.test import Client
from django.utils import timezone

from clusters.engine import heat as engine
from clusters.engine.telemetry import chunks
from clusters.engine.telemetry.types import GpuSample
from clusters.models import Cluster, GpuHour, HeatRow, Telemetry
from clusters.selectors import heat as selectors
from clusters.selectors.census import listed, overview
from clusters.services.heat import heat_store
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from tests.clusters.rows import make_cluster, node, pool
from tests.conftest import ApiFor, CountQueries
from tests.factories import make_served
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import Workspace

ClientFor = Callable[[User], Client]
CELLS = "/fleet/heat/cells"


@dataclass(frozen=True)
class Read:
    """The endpoint's bytes, taken apart as heat-cells.js does."""

    metric: int
    layout: int
    at: Sequence[int]
    counts: Sequence[int]
    kinds: bytes
    values: bytes
    marks: bytes


def read(body: bytes) -> Read:
    magic, form, metric, _, n, cells, layout = struct.unpack_from("<4sBBHIIQ", body)
    assert (magic, form) == (b"HEAT", 1) and len(body) == 24 + 9 * n + 2 * cells
    words = struct.unpack_from(f"<{2 * n}I", body, 24)
    kinds = body[24 + 8 * n : 24 + 9 * n]
    values = body[24 + 9 * n : 24 + 9 * n + cells]
    return Read(metric, layout, words[:n], words[n:], kinds, values, body[24 + 9 * n + cells :])


def sample(index: int = 0, on: str = "node-0", **said: Any) -> GpuSample:
    return GpuSample(
        node=on, index=index, uuid=f"GPU-{on}-{index}", vendor="nvidia", model="H100", **said
    )


def measured(cluster: Cluster, *samples: GpuSample, at: datetime | None = None) -> Cluster:
    """As the telemetry store leaves it."""
    now = timezone.now()
    Telemetry.objects.update_or_create(
        cluster=cluster,
        defaults={"gpus_at": at or now, "gpus_packed": msgspec.msgpack.encode(samples)},
    )
    heat_store(cluster=cluster, at=now)
    return cluster


def every_kind() -> None:
    """A cluster of each kind: open, silent, cordoned, blind, with shared cards, without any."""
    measured(make_cluster("a", [node(used=3, allocatable=7)]), sample(1, util=50.0))
    away = make_cluster("b", [node(used=2), node("node-1")], state="unreachable")
    measured(away, sample(0, util=90.0))
    measured(make_cluster("c", [node(used=2)], cordoned=True, cordon_reason="upgrade"))
    gaps = [{"feature": "observe", "missing": "list pods", "cost": "Use is unknown."}]
    measured(make_cluster("d", [node(used=1)], capabilities={"gaps": gaps}))
    measured(make_cluster("e", [node(physical=2, allocatable=14, used=3, sharing="mig")]))
    measured(make_cluster("f", []))
    make_cluster("g", [], state="joining", observed_at=None, last_contact_at=None)


def test_cells_add_up_to_the_figures_of_the_fleet(people: People, client_for: ClientFor) -> None:
    every_kind()
    found = read(client_for(people.viewer).get(f"{CELLS}?metric=allocation").content)
    total = overview(listed(Principal(people.viewer))).total
    classes = Counter(found.values)
    assert classes == {
        engine.FULL: total.allocated,
        engine.FREE: total.free,
        engine.BLOCKED: total.blocked,
        engine.FAULTY: total.faulty,
        engine.PART: total.shared,
        engine.UNKNOWN: total.unknown,
    }
    assert sum(found.counts) == total.physical == len(found.values)


def test_every_metrics_marks_carry_the_same_allocation(
    people: People, client_for: ClientFor
) -> None:
    every_kind()
    client = client_for(people.viewer)
    allocation = read(client.get(f"{CELLS}?metric=allocation").content)
    for metric in engine.METRICS:
        found = read(client.get(f"{CELLS}?metric={metric}").content)
        assert engine.METRICS[found.metric] == metric and found.marks == allocation.marks
    told = [15 if value == engine.UNKNOWN else value for value in allocation.values]
    assert [mark >> 4 for mark in allocation.marks] == told


def test_a_silent_clusters_measurements_are_unknown(people: People, client_for: ClientFor) -> None:
    every_kind()
    found = read(client_for(people.viewer).get(f"{CELLS}?metric=util").content)
    assert list(found.values[8:24]) == [engine.UNKNOWN] * 16
    assert found.values[1] == 100
    assert list(found.kinds) == [0, 1, 16, 0, 0, 0, 2]
    assert found.at[0] > 0 and found.at[-1] == 0


def test_cells_hold_only_what_one_may_see(people: People, client_for: ClientFor) -> None:
    measured(make_cluster("open", [node()]))
    measured(make_cluster("closed", [node()], open_to_all=False))
    assert sum(read(client_for(people.outsider).get(CELLS).content).counts) == 8
    assert sum(read(client_for(people.operator).get(CELLS).content).counts) == 16
    hidden = client_for(people.outsider)
    assert sum(read(hidden.get(f"{CELLS}?cluster=closed").content).counts) == 0
    assert b"closed" not in hidden.get("/fleet/heat/layout").content
    assert hidden.get("/fleet/heat/holders?cluster=closed").json() == {}
    assert hidden.get("/fleet/gpu/closed/node-0/0/").status_code == 404
    assert "closed" not in hidden.get("/fleet/?twin=table").content.decode()


def test_cells_want_a_login_and_a_metric_that_exists(people: People, client_for: ClientFor) -> None:
    assert Client().get(CELLS).status_code == 302
    assert client_for(people.viewer).get(f"{CELLS}?metric=love").status_code == 422
    assert client_for(people.viewer).post(CELLS).status_code == 405


def test_unchanged_cells_answer_304_until_something_is_stored(
    people: People, client_for: ClientFor
) -> None:
    cluster = measured(make_cluster("a", [node()]), sample(0, util=10.0))
    client = client_for(people.viewer)
    etag = client.get(CELLS).headers["ETag"]
    assert client.get(CELLS, headers={"if-none-match": etag}).status_code == 304
    measured(cluster, sample(0, util=11.0))
    again = client.get(CELLS, headers={"if-none-match": etag})
    assert again.status_code == 200 and again.headers["ETag"] != etag
    Cluster.objects.filter(pk=cluster.pk).update(cordoned=True)
    cordoned = client.get(CELLS, headers={"if-none-match": again.headers["ETag"]})
    assert cordoned.status_code == 200


def test_names_stand_in_the_order_of_the_cells_and_may_be_kept(
    people: People, client_for: ClientFor
) -> None:
    every_kind()
    client = client_for(people.viewer)
    cells = read(client.get(CELLS).content)
    answer = client.get(f"/fleet/heat/layout?v={cells.layout:016x}")
    said = answer.json()
    assert said["version"] == f"{cells.layout:016x}"
    assert "immutable" in answer.headers["Cache-Control"]
    assert [row[0] for row in said["clusters"]] == list("abcdefg")
    assert said["clusters"][1][4] == [["node-0", 8, "H100 80GB"], ["node-1", 8, "H100 80GB"]]
    assert [sum(node[1] for node in row[4]) for row in said["clusters"]] == list(cells.counts)
    assert "immutable" not in client.get("/fleet/heat/layout?v=old").headers["Cache-Control"]


def test_the_version_of_names_changes_with_nodes_and_not_with_measurements(
    people: People, client_for: ClientFor
) -> None:
    cluster = measured(make_cluster("a", [node()]), sample(0, util=10.0))
    client = client_for(people.viewer)
    before = read(client.get(CELLS).content).layout
    measured(cluster, sample(0, util=90.0))
    assert read(client.get(CELLS).content).layout == before
    measured(make_cluster("b", [node()]))
    assert read(client.get(CELLS).content).layout != before


def test_a_row_is_written_once_per_cluster_and_kept_in_step(people: People) -> None:
    cluster = measured(make_cluster("a", [node()]), sample(0, util=10.0))
    measured(cluster, sample(0, util=20.0))
    [row] = HeatRow.objects.all()
    assert (row.gpus, bytes(row.util)[0], row.cluster_id) == (8, 40, cluster.pk)


def test_names_of_holders_are_for_their_team_alone(people: People, client_for: ClientFor) -> None:
    make_fleet()
    deployment = make_served(people.engineer, people.assist)
    workspace = Workspace.objects.filter(deployment=deployment)[0]
    pod = f"{workspace.namespace}/{workspace.name}-0"
    held = [node(used=1, holders=((pod, 1, workspace.name),))]
    packed = make_cluster("temporary", held)
    fields = {name: getattr(packed, name) for name in ("nodes_packed", "pools_packed")}
    packed.delete()
    Cluster.objects.filter(pk=workspace.cluster_id).update(**fields)
    cluster = Cluster.objects.get(pk=workspace.cluster_id)
    measured(cluster, sample(5, util=3.0, pods=(pod,)))
    path = f"/fleet/heat/holders?cluster={cluster.name}"
    assert client_for(people.engineer).get(path).json()["node-0"][1][5] == ["phi"]
    assert client_for(people.outsider).get(path).json()["node-0"][1][5] == ["other team"]
    teams = "/fleet/heat/teams"
    assert client_for(people.engineer).get(teams).json()[cluster.name] == ["assist"]
    assert client_for(people.outsider).get(teams).json()[cluster.name] == ["other team"]
    drawer = f"/fleet/gpu/{cluster.name}/node-0/5/"
    mine = client_for(people.engineer).get(drawer).content.decode()
    assert "phi" in mine and pod in mine
    theirs = client_for(people.outsider).get(drawer).content.decode()
    assert "other team" in theirs and "phi" not in theirs


def test_the_drawer_says_what_a_card_is_does_and_costs(
    people: People, client_for: ClientFor
) -> None:
    nodes = [node(used=1, holders=(("legacy/job-0", 1, ""),))]
    cluster = make_cluster("a", nodes, [pool(nodes=nodes, price_per_hour=80.0)])
    since = timezone.now() - timedelta(hours=3)
    busy = sample(
        2, util=61.0, power=500.0, temperature=66.0, memory_used=40960.0, memory_total=81920.0
    )
    measured(cluster, busy, sample(4, util=0.0, xid=79, idle_since=since.timestamp()))
    client = client_for(people.operator)
    shown = client.get("/fleet/gpu/a/node-0/2/").content.decode()
    assert "$10.00/h" in shown and "40 GiB of 80 GiB" in shown and "500" in shown
    found = client.get("/fleet/gpu/a/node-0/0/").context["gpu"]
    assert [one.name for one in found.holders] == ["not ours (job-0)"] and not found.sure
    assert found.util is None and found.allocation == "allocated"
    broken = client.get("/fleet/gpu/a/node-0/4/").content.decode()
    assert "XID 79" in broken and "fell off the bus" in broken and "3 h ago" in broken


def test_the_drawer_is_a_part_for_htmx_and_a_page_without(
    people: People, client_for: ClientFor
) -> None:
    measured(make_cluster("a", [node()]))
    client = client_for(people.viewer)
    assert "<html" in client.get("/fleet/gpu/a/node-0/7/").content.decode()
    part = client.get("/fleet/gpu/a/node-0/7/", headers={"hx-request": "true"}).content.decode()
    assert "<html" not in part and "not measured" in part.lower()
    assert client.get("/fleet/gpu/a/node-0/8/").status_code == 404
    assert client.get("/fleet/gpu/a/nowhere/0/").status_code == 404


def test_the_last_hour_of_a_card_is_drawn_from_the_kept_minutes(
    people: People, client_for: ClientFor
) -> None:
    cluster = measured(make_cluster("a", [node()]), sample(0, util=10.0))
    now = timezone.now()
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    packed = b""
    for minute in range(60):
        packed = chunks.append(packed, minute, [sample(0, util=float(minute))])
    GpuHour.objects.create(cluster=cluster, hour=hour, packed=chunks.close(packed))
    spark = client_for(people.viewer).get("/fleet/gpu/a/node-0/0/").context["gpu"].spark
    left = 60 - now.minute
    assert spark is None if left < 3 else spark.highest == 59 and spark.path.startswith("M")


def test_the_table_is_the_maps_twin(people: People, client_for: ClientFor) -> None:
    every_kind()
    client = client_for(people.viewer)
    total = overview(listed(Principal(people.viewer))).total
    rows = client.get("/fleet/?twin=table&metric=util").context["heat"]["table"]
    for name in ("allocated", "free", "blocked", "faulty", "shared", "unknown"):
        assert sum(getattr(row, name) for row in rows) == getattr(total, name)
    [first] = [row for row in rows if row.cluster == "a"]
    assert (first.least, first.mean, first.most) == ("50", "50", "50")
    [away] = [row for row in rows if row.cluster == "b" and row.name == "node-0"]
    assert (away.least, away.silent) == (None, "unknown")


def test_the_table_says_unknown_where_counts_of_a_silent_cluster_would_be_0(
    people: People, client_for: ClientFor
) -> None:
    measured(make_cluster("silent", [node(used=3)], state="unreachable"), sample(1))
    measured(make_cluster("a", [node(used=3, allocatable=7)]), sample(1, util=50.0))
    answer = client_for(people.operator).get("/fleet/?twin=table&metric=util")
    held = {row.cluster: row.held for row in answer.context["heat"]["table"]}
    assert held == {"a": "3 allocated, 4 free, 1 faulty", "silent": "unknown"}


def test_the_table_is_cut_across_clusters(people: People) -> None:
    from clusters.selectors.heat_table import NodeLines

    for name in ("a", "b", "c"):
        measured(make_cluster(name, [node(f"{name}-{number}") for number in range(3)]))
    lines = NodeLines(Principal(people.viewer), "util")
    assert len(lines) == 9
    assert [line.name for line in lines[2:7]] == ["a-2", "b-0", "b-1", "b-2", "c-0"]
    assert lines[8].name == "c-2"


def test_the_page_begins_with_use_where_anything_is_measured(
    people: People, client_for: ClientFor
) -> None:
    cluster = make_cluster("a", [node()])
    heat_store(cluster=cluster, at=timezone.now())
    client = client_for(people.viewer)
    assert client.get("/fleet/").context["heat"]["metric"] == "allocation"
    measured(cluster, sample(0, util=1.0))
    assert client.get("/fleet/").context["heat"]["metric"] == "util"
    assert client.get("/fleet/?metric=power").context["heat"]["metric"] == "power"


def test_queries_do_not_grow_with_clusters(
    people: People, client_for: ClientFor, count_queries: CountQueries
) -> None:
    client, counts = client_for(people.engineer), []
    for number in range(3):
        measured(make_cluster(f"c{number}", [node()]), sample(0, util=1.0))
        with count_queries() as queries:
            for path in (CELLS, "/fleet/heat/layout", "/fleet/?twin=table"):
                assert client.get(path).status_code == 200
        counts.append(len(queries))
    assert counts[1] == counts[2]


def test_the_api_lists_the_same_cells(people: People, api: ApiFor, client_for: ClientFor) -> None:
    every_kind()
    cells = read(client_for(people.viewer).get(f"{CELLS}?metric=util").content)
    said = api(people.viewer).get("/api/v1/fleet/heatmap/?metric=util").json()
    assert (said["count"], said["metric"], said["unit"]) == (7, "util", "%")
    gpus = [gpu for row in said["results"] for node in row["nodes"] for gpu in node["gpus"]]
    assert [gpu["value"] for gpu in gpus] == [selectors.value("util", b) for b in cells.values]
    assert gpus[1] == {
        "value": 50.0,
        "exported": True,
        "allocation": "allocated",
        "fault": False,
    }
    assert gpus[10]["value"] is None and gpus[10]["allocation"] is None
    assert {row["cluster"]: row["seen"] for row in said["results"]}["b"] is False


def test_the_api_refuses_what_it_does_not_know(people: People, api: ApiFor) -> None:
    client = api(people.viewer)
    assert client.get("/api/v1/fleet/heatmap/?metric=love").status_code == 422
    assert client.get("/api/v1/fleet/heatmap/?colour=red").status_code == 422
    assert json.loads(client.get("/api/v1/fleet/heatmap/").content)["results"] == []
