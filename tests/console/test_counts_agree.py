"""Every count that two pages or endpoints show is the same number, for each kind of reader.

The fleet holds one cluster of every kind that counting could get wrong: partly held, silent,
cordoned, draining, faulty, shared, growing, never seen, without permission, closed to others.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from clusters.engine import heat
from clusters.models import Cluster
from clusters.selectors.census import CLASSES, Tally
from clusters.services.heat import heat_store
from fleetportal.accounts.models import User
from tests.clusters.rows import make_cluster, node, pool
from tests.conftest import ApiFor
from tests.factories import make_served, put
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import Deployment, Workspace

ClientFor = Callable[[User], Client]
READERS = ("viewer", "outsider", "operator")
HEAT_CLASSES = {  # cell of the map -> class of the census
    heat.FREE: "free",
    heat.PART: "shared",
    heat.FULL: "allocated",
    heat.BLOCKED: "blocked",
    heat.FAULTY: "faulty",
    heat.UNKNOWN: "unknown",
}
NODE_COLUMNS = ("allocated", "free", "blocked", "faulty", "unknown")


@pytest.fixture
def fleet(people: People) -> None:
    """The story's clusters, those below, and three deployments in three conditions."""
    make_fleet()
    held = (("team-assist/pod-0", 3, ""),)
    make_cluster("x-plain", [node(used=3, holders=held), node("node-1")])
    make_cluster("x-silent", [node(used=8), node("node-1")], state="unreachable")
    make_cluster("x-cordoned", [node(used=2)], cordoned=True)
    make_cluster("x-draining", [node(used=1)], state="draining")
    make_cluster("x-faulty", [node(used=3, allocatable=6), node("node-1", allocatable=0)])
    make_cluster("x-blocked", [node(cordoned=True, used=1), node("node-1", ready=False)])
    make_cluster("x-shared", [node(sharing="time-slicing", allocatable=32, used=4), node("node-1")])
    growing = [node(pool="new", workspace="ours")]
    make_cluster("x-growing", growing, [pool("new", growing, quota=3)])
    make_cluster("x-unseen", pools=[], state="joining", observed_at=None, last_contact_at=None)
    gaps = [{"feature": "observe", "missing": "list pods", "cost": "Nobody knows what is used."}]
    make_cluster("x-blind", [node()], capabilities={"gaps": gaps, "provisioner": "byo"})
    make_cluster("x-closed", [node(used=5)], open_to_all=False)
    for number, name in enumerate(("phi", "psi", "rho")):
        deployment = make_served(people.engineer, people.assist, name=name, replicas=1, policy={})
        rows = Workspace.objects.filter(deployment=deployment)
        put(rows, price_per_hour=(2.5, None, 1.0)[number])
        if number == 2:
            put(rows, state="stuck", message="No capacity.")
    for cluster in Cluster.objects.all():
        heat_store(cluster=cluster, at=timezone.now())


def counts(found: Any) -> dict[str, int]:
    """A Tally, or a row of JSON, by class."""
    row = found if isinstance(found, Mapping) else {n: getattr(found, n) for n in CLASSES}
    return {name: int(row[name]) for name in CLASSES}


def summed(rows: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for row in rows:
        total.update(counts(row))
    return {name: total[name] for name in CLASSES}


def every(client: APIClient, path: str) -> list[dict[str, Any]]:
    """All pages of a list of the API."""
    rows: list[dict[str, Any]] = []
    for page in range(1, 100):
        answer = client.get(f"{path}?page={page}&page_size=50").json()
        rows += answer["results"]
        if len(rows) >= answer["count"]:
            return rows
    raise AssertionError("the list has no end")


def sheet(client: Client, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(client.get(path).getvalue().decode().splitlines()))


def reader(people: People, name: str) -> User:
    found: User = getattr(people, name)
    return found


@pytest.mark.parametrize("name", READERS)
def test_gpus_of_the_fleet(
    name: str, fleet: None, people: People, client_for: ClientFor, api: ApiFor
) -> None:
    client, rest = client_for(reader(people, name)), api(reader(people, name))
    page = client.get("/fleet/").context
    expected = counts(page["overview"].total)
    total = sum(expected.values())
    assert min(expected.values()) > 0, "every class occurs"

    said: dict[str, Mapping[str, int]] = {}
    figures = {figure.key: figure.value for figure in page["figures"]}
    said["figures"] = {key: figures[key] for key in CLASSES}
    said["part"] = counts(client.get("/fleet/parts/figures/").context["overview"].total)
    overview = rest.get("/api/v1/fleet/overview/").json()
    said["overview"] = counts(overview["gpus"])
    said["by model"] = summed(row["gpus"] for row in overview["by_model"])
    listed = every(rest, "/api/v1/clusters/")
    said["clusters of the API"] = summed(row["gpus"] for row in listed if row["gpus"])
    said["clusters"] = summed(line.tally for line in client.get("/clusters/").context["lines"])
    for key, _ in page["group_choices"]:
        lines = client.get(f"/fleet/?group={key}").context["lines"]
        said[f"by {key}"] = summed(line.tally for line in lines)
        rows = sheet(client, f"/fleet/allocation.csv?group={key}")
        said[f"sheet by {key}"] = summed(rows)
        assert sum(int(row["total"]) for row in rows) == total, key
    assert {key: value for key, value in said.items() if value != expected} == {}
    assert overview["gpus"]["total"] == page["overview"].total.total == total


@pytest.mark.parametrize("name", READERS)
def test_gpus_of_each_cluster(
    name: str, fleet: None, people: People, client_for: ClientFor, api: ApiFor
) -> None:
    client, rest = client_for(reader(people, name)), api(reader(people, name))
    groups = client.get("/fleet/?group=cluster").context["lines"]
    by_name: dict[str, Tally] = {line.name: line.tally for line in groups}
    for row in every(rest, "/api/v1/clusters/"):
        expected = counts(by_name[row["name"]])
        page = client.get(f"/clusters/{row['name']}/?view=table").context
        detail = rest.get(f"/api/v1/clusters/{row['name']}/").json()
        said = {"page": counts(page["tally"])}
        if row["gpus"] is not None:
            said |= {"list": counts(row["gpus"]), "detail": counts(detail["gpus"])}
            said["map"] = {**cells(client, row["name"]), "provisionable": expected["provisionable"]}
        assert {key: value for key, value in said.items() if value != expected} == {}, row["name"]
        wanted = {column: expected[column] for column in NODE_COLUMNS}
        assert column_sums(page.get("table") or ()) in (wanted, {}), row["name"]


def cells(client: Client, cluster: str = "") -> dict[str, int]:
    """The map's cells by class of the census; declared quota has none."""
    body = client.get(f"/fleet/heat/cells?metric=allocation&cluster={cluster}").content
    size = 24  # bytes of the header; then moment, count and kind of each cluster
    clusters, count = int.from_bytes(body[8:12], "little"), int.from_bytes(body[12:16], "little")
    start = size + clusters * 9
    found = Counter(body[start : start + count])
    assert set(found) <= set(HEAT_CLASSES)
    return {name: found[byte] for byte, name in HEAT_CLASSES.items()}


def said_by_the_api(rest: APIClient) -> dict[str, int]:
    """The cells of `fleet/heatmap/` by class of the census."""
    words = {heat.ALLOCATION[byte]: name for byte, name in HEAT_CLASSES.items() if byte < 5}
    found = Counter(
        words.get(gpu["allocation"], "unknown")
        for cluster in every(rest, "/api/v1/fleet/heatmap/")
        for one in cluster["nodes"]
        for gpu in one["gpus"]
    )
    return {name: found[name] for name in HEAT_CLASSES.values()}


def column_sums(rows: Any) -> dict[str, int]:
    rows = list(rows)
    return {name: sum(int(row[name]) for row in rows) for name in NODE_COLUMNS} if rows else {}


@pytest.mark.parametrize("name", READERS)
def test_cells_and_nodes_of_the_fleet(
    name: str, fleet: None, people: People, client_for: ClientFor, api: ApiFor
) -> None:
    client, rest = client_for(reader(people, name)), api(reader(people, name))
    expected = counts(client.get("/fleet/").context["overview"].total)
    assert cells(client) == {key: expected[key] for key in HEAT_CLASSES.values()}
    assert said_by_the_api(rest) == cells(client)
    rows = client.get("/fleet/?twin=table").context["heat"]["table"]
    sums = {column: sum(getattr(row, column) for row in rows) for column in NODE_COLUMNS}
    assert sums == {column: expected[column] for column in NODE_COLUMNS}


@pytest.mark.parametrize("name", READERS)
def test_free_gpus_and_whole_nodes_of_what_still_fits(
    name: str, fleet: None, people: People, client_for: ClientFor
) -> None:
    client = client_for(reader(people, name))
    groups = client.get("/fleet/?group=cluster").context["lines"]
    by_name = {line.name: line.tally for line in groups}
    answer = client.get("/fleet/parts/fragmentation/?all=1", headers={"HX-Request": "true"})
    lines = answer.context["lines"]
    assert {line.cluster for line in lines} == set(by_name)
    for line in lines:
        tally = by_name[line.cluster]
        if not line.why and line.cluster.startswith("x-"):  # the story's pools have no nodes
            assert (line.free, line.whole_free_nodes) == (tally.free, tally.whole_free), line


@pytest.mark.parametrize("name", READERS)
def test_clusters(
    name: str, fleet: None, people: People, client_for: ClientFor, api: ApiFor
) -> None:
    client, rest = client_for(reader(people, name)), api(reader(people, name))
    page = client.get("/fleet/").context
    overview = rest.get("/api/v1/fleet/overview/").json()["clusters"]
    listed = client.get("/clusters/").context
    assert (
        page["clusters"]
        == page["overview"].clusters
        == overview["total"]
        == sum(overview["by_state"].values())
        == rest.get("/api/v1/clusters/").json()["count"]
        == listed["page"].paginator.count
        == sum(line.clusters for line in client.get("/fleet/?group=state").context["lines"])
    )
    for state, count in overview["by_state"].items():
        assert rest.get(f"/api/v1/clusters/?state={state}").json()["count"] == count
        assert client.get(f"/clusters/?state={state}").context["page"].paginator.count == count
    cordoned = rest.get("/api/v1/clusters/?cordoned=true").json()["count"]
    assert overview["cordoned"] == cordoned == page["overview"].cordoned
    assert overview["not_seen"] == page["overview"].uncounted == 1


def test_unknown_gpus_in_words_and_in_figures(
    fleet: None, people: People, client_for: ClientFor
) -> None:
    client = client_for(people.operator)
    items = client.get("/fleet/?attention=all").context["items"]
    [item] = [one for one in items if one.name == "x-silent"]
    tally = client.get("/clusters/x-silent/").context["tally"]
    assert item.why.startswith(f"{tally.unknown} GPUs unknown")


@pytest.mark.parametrize("name", READERS)
def test_deployments(
    name: str, fleet: None, people: People, client_for: ClientFor, api: ApiFor
) -> None:
    client, rest = client_for(reader(people, name)), api(reader(people, name))
    page = client.get("/deployments/").context
    lines = {line.deployment.name: line for _, group in page["groups"] for line in group}
    rows = {row["name"]: row for row in every(rest, "/api/v1/deployments/")}
    seen = 0 if name == "outsider" else Deployment.objects.count()
    assert page["page"].paginator.count == len(lines) == len(rows) == seen
    for key, row in rows.items():
        line, alone = lines[key], client.get(row["url"]).context
        detail = rest.get(f"/api/v1/deployments/{row['id']}/").json()
        cost = rest.get(f"/api/v1/deployments/{row['id']}/cost/").json()["per_hour"]
        assert row == detail
        shown = (line.fare.ready, line.fare.clusters, line.replicas, line.price)
        summary = alone["row"]
        assert shown == (summary.fare.ready, summary.fare.clusters, summary.replicas, summary.price)
        assert shown[:3] == (row["clusters_ready"], row["clusters"], row["replicas"])
        assert (line.price_per_hour, line.price.unknown) == (row["price_per_hour"], cost["unknown"])
        assert line.price.value == cost["usd"]
    stuck = {one.name for one in client.get("/fleet/").context["items"] if one.label == "Stuck"}
    assert stuck == {key for key, row in rows.items() if row["health"] == "stuck"}
