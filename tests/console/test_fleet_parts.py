from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import plotly.graph_objects as go
import pytest
from django.test import Client
from django.utils import timezone

from clusters.models import Cluster, GpuHour, HeatRow
from clusters.selectors import pack
from fleetportal.accounts.models import User
from fleetportal.console.views.fleet import PARTS
from tests.clusters.rows import make_cluster, node, pool
from tests.conftest import CountQueries
from tests.console.fleet_moments import gpu_hour, measure, tick
from tests.factories import make_served, put
from tests.kit.test_charts import coloured
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import Workspace

ClientFor = Callable[[User], Client]
HTMX = {"HX-Request": "true"}


def text(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined, no-any-return]


def part(client: Client, name: str, query: str = "") -> Any:
    answer = client.get(f"/fleet/parts/{name}/{query}", headers=HTMX)
    assert answer.status_code == 200
    return answer


def priced(name: str = "a", price: float | None = 16.0, **facts: Any) -> Cluster:
    """A node of eight cards, two held by one pod."""
    held = [node(used=2, holders=(("team-x/pod-0", 2, ""),), **facts)]
    return make_cluster(name, held, [pool(nodes=held, price_per_hour=price)], gpus_physical=8)


@pytest.mark.parametrize("name", PARTS)
def test_every_part_has_an_address_for_htmx_and_for_people(
    name: str, people: People, client_for: ClientFor
) -> None:
    make_fleet()
    measure(priced())
    client = client_for(people.viewer)
    alone = text(part(client, name))
    assert alone.lstrip().startswith("<section") and f'id="{name}"' in alone
    assert "<html" in text(client.get(f"/fleet/parts/{name}/"))


def test_no_part_shows_zero_where_nothing_is_known(people: People, client_for: ClientFor) -> None:
    priced(price=None)
    client = client_for(people.viewer)
    usage = text(part(client, "usage"))
    assert "$0" not in usage and usage.count("unknown-text") == 6
    assert "Unknown: no cluster" in text(part(client, "idle"))


def test_use_is_the_mean_of_measured_allocated_cards(people: People, client_for: ClientFor) -> None:
    measure(priced("a"), util=80.0)
    measure(priced("b"), util=40.0)
    priced("c")
    found = part(client_for(people.viewer), "usage")
    use = found.context["usage"].use
    assert use.mean == pytest.approx(0.6)
    assert (use.measured, use.silent) == (4, 1)
    assert "4 of 6 measured" in text(found)


def test_old_measurements_are_in_no_mean(people: People, client_for: ClientFor) -> None:
    measure(priced(), at=timezone.now() - timedelta(hours=1))
    assert part(client_for(people.viewer), "usage").context["usage"].use.mean is None


def test_money_adds_up_and_names_what_it_leaves_out(people: People, client_for: ClientFor) -> None:
    priced("a", 16.0)
    priced("b", None)
    silent = priced("c", 16.0)
    put([silent], state="unreachable")
    found = part(client_for(people.viewer), "usage")
    money = found.context["usage"].money
    assert (money.running, money.allocated, money.unallocated) == (16.0, 4.0, 12.0)
    assert (money.priced, money.unpriced, money.unseen) == (1, 1, 1)
    assert "1 of unknown price</a> and 1 not in contact" in text(found)


def test_idle_cards_are_the_same_in_the_figure_the_list_and_the_sheet(
    people: People, client_for: ClientFor
) -> None:
    measure(priced("a"), idle=[("node-0", 0, 3.0), ("node-0", 1, 2.0), ("node-0", 5, 9.0)])
    measure(priced("b"), idle=[("node-0", 0, 0.2)])
    client = client_for(people.operator)
    idle = part(client, "usage").context["usage"].idle
    shown = part(client, "idle").context["idle"]
    sheet = client.get("/fleet/idle.csv").getvalue().decode()
    [row] = csv.DictReader(sheet.splitlines())
    assert idle.gpus == shown.total.gpus == sum(one.gpus for one in shown.rows) == 2
    assert idle.usd_per_hour == shown.total.usd_per_hour == pytest.approx(4.0)
    assert row["gpus"] == "2" and float(row["usd_per_hour"]) == pytest.approx(4.0)
    assert float(row["usd_so_far"]) == pytest.approx(2.0 * 3 + 2.0 * 2, rel=0.01)


def test_an_idle_card_leads_to_its_deployment_for_its_team_alone(
    people: People, client_for: ClientFor
) -> None:
    make_fleet()
    deployment = make_served(people.engineer, people.assist)
    workspace = Workspace.objects.filter(deployment=deployment).select_related("cluster")[0]
    pod = (f"{workspace.namespace}/{workspace.name}-abcde-0", 2, f"{workspace.name}-abcde")
    held = (node(used=2, holders=(pod,)),)
    packed = {"nodes_packed": pack(held), "pools_packed": pack((pool(nodes=held),))}
    put([workspace.cluster], state="ready", **packed)
    workspace.cluster.refresh_from_db()
    measure(workspace.cluster, idle=[("node-0", 0, 2.0)])
    [mine] = part(client_for(people.engineer), "idle").context["idle"].rows
    assert (mine.owner, mine.team, mine.url) == ("phi", "assist", f"/deployments/{deployment.pk}/")
    assert mine.usd_per_hour is None, "nobody priced the node"
    [theirs] = part(client_for(people.outsider), "idle").context["idle"].rows
    assert (theirs.owner, theirs.team, theirs.url) == ("other team", "", "")


def test_traffic_is_the_newest_minute_of_each_workspace(
    people: People, client_for: ClientFor
) -> None:
    cluster = priced()
    tick(cluster, "team-x/one", requests=60, tokens=600)
    tick(cluster, "team-x/one", requests=6000, tokens=1, ago=200)
    tick(cluster, "team-x/two", requests=120, tokens=0)
    tick(cluster, "team-x/old", requests=9999, tokens=9, ago=900)
    traffic = part(client_for(people.viewer), "usage").context["usage"].traffic
    assert (traffic.requests, traffic.tokens, traffic.counted) == (3.0, 20.0, 2)


def test_tokens_that_no_runtime_counts_are_unknown(people: People, client_for: ClientFor) -> None:
    tick(priced(), "team-x/one", requests=60, tokens=None)
    found = part(client_for(people.viewer), "usage")
    traffic = found.context["usage"].traffic
    assert (traffic.requests, traffic.tokens) == (1.0, None)
    assert "no runtime counts them" in text(found)


def test_ready_workspaces_that_say_nothing_are_counted(
    people: People, client_for: ClientFor
) -> None:
    make_fleet()
    make_served(people.engineer, people.assist)
    ready = Workspace.objects.filter(state="ready").select_related("cluster")
    tick(ready[0].cluster, f"{ready[0].namespace}/{ready[0].name}", requests=1, tokens=1)
    found = part(client_for(people.viewer), "usage")
    assert found.context["usage"].traffic.silent == ready.count() - 1
    assert "without 2 ready workspaces" in text(found)


def test_the_trend_is_shares_of_known_gpus_by_the_hour(
    people: People, client_for: ClientFor
) -> None:
    first, second = priced("a"), priced("b")
    gpu_hour(first, 2, held=8, util=50.0)
    gpu_hour(second, 2, held=4, util=30.0)
    gpu_hour(first, 24 * 8, held=8, util=99.0)
    client = client_for(people.viewer)
    said = client.get("/fleet/trend.json").json()
    figure = go.Figure(coloured(said["charts"]["trend"]["figure"]))
    used, held = (curve for curve in figure.data if curve.name in ("In use", "Allocated"))
    assert len(said["x"]) == len(used.y) == 7 * 24
    assert [value for value in used.y if value is not None] == [40.0]
    assert [value for value in held.y if value is not None] == [75.0]
    assert said["charts"]["trend"]["words"] == "75 % allocated, 40 % in use"
    assert len(client.get("/fleet/trend.json?days=30").json()["x"]) == 30 * 24
    [day] = [day for day in client.get("/fleet/trend/").context["trend"].days if day.measured]
    assert (day.used, day.allocated) == (pytest.approx(0.4), pytest.approx(0.75))


def test_an_hour_that_lacks_clusters_says_so_in_the_curve_the_words_and_the_table(
    people: People, client_for: ClientFor
) -> None:
    first, second, third = priced("a"), priced("b"), priced("c")
    gpu_hour(first, 1, held=8, util=50.0)
    gpu_hour(second, 1, held=4, util=30.0)
    gpu_hour(third, 3, held=4, util=90.0)
    client = client_for(people.viewer)
    said = client.get("/fleet/trend.json").json()
    shown = said["charts"]["trend"]
    used = next(curve for curve in shown["figure"]["data"] if curve.get("name") == "In use")
    assert used["text"][-2] == "40 %, without 1 of 3 clusters"
    assert used["text"][-3] == "unknown"
    assert used["text"][-4] == "90 %, without 2 of 3 clusters"
    assert shown["words"] == "75 % allocated, 40 % in use, without 1 of 3 clusters"
    [shade] = shown["figure"]["layout"]["shapes"]
    assert [shade["x0"], shade["x1"]] == said["x"][-4:-2], "less than half of them is known of it"
    assert said["note"].startswith("Shaded: ")
    table = client.get("/fleet/trend/")
    assert sum(day.measured for day in table.context["trend"].days) == 2
    assert "of 3</span>" in text(table)


def test_a_cluster_without_gpus_is_not_missing_from_the_trend(
    people: People, client_for: ClientFor
) -> None:
    gpu_hour(priced("a"), 1, held=4, util=30.0)
    bare = gpu_hour(priced("b"), 1, held=0, util=0.0)
    GpuHour.objects.filter(pk=bare.pk).update(gpu=0, allocated=0, measured=0, busy=0)
    said = client_for(people.viewer).get("/fleet/trend.json").json()
    assert said["charts"]["trend"]["words"] == "50 % allocated, 30 % in use"


def test_hours_of_clusters_that_one_may_not_see_are_in_no_line(
    people: People, client_for: ClientFor
) -> None:
    gpu_hour(priced(), 2, held=8, util=50.0)
    Cluster.objects.update(open_to_all=False)
    said = client_for(people.outsider).get("/fleet/trend.json").json()
    assert said["empty"].startswith("Nothing is drawn yet")
    assert said["charts"]["trend"]["figure"] is None


def test_free_gpus_that_no_node_can_join_are_named(people: People, client_for: ClientFor) -> None:
    make_fleet()
    found = part(client_for(people.operator), "fragmentation")
    lines = {line.cluster: line for line in found.context["lines"]}
    split = lines["prod-swc"]
    assert (split.free, split.whole_free_nodes, split.largest) == (19, 0, "")
    assert len(split.blocked) == 3 and split.more > 10
    assert lines["prod-euc1"].why.startswith("Unreachable")
    assert lines["prod-eus2"].largest and not lines["prod-eus2"].fragmented
    assert found.context["lines"][0].cluster == "prod-swc"


def test_what_nobody_may_see_is_not_called_free(people: People, client_for: ClientFor) -> None:
    make_fleet()
    blind = Cluster.objects.get(name="prod-swc")
    gaps = [{"feature": "observe", "missing": "list pods", "cost": "Nobody knows what is used."}]
    put([blind], capabilities=blind.capabilities | {"gaps": gaps})
    found = part(client_for(people.operator), "fragmentation", "?all=1")
    line = next(one for one in found.context["lines"] if one.cluster == "prod-swc")
    assert not line.known and "may not list" in line.why
    assert ">19<" not in text(found)


def test_what_still_fits_agrees_with_the_models_page(people: People, client_for: ClientFor) -> None:
    make_fleet()
    client = client_for(people.operator)
    lines = part(client, "fragmentation", "?all=1").context["lines"]
    for line in lines:
        if not line.largest:
            continue
        rows = client.get(f"/catalog/{line.largest_slug}/").context["fit"].rows
        assert next(row for row in rows if row.cluster == line.cluster).fits, line


def test_an_allocation_sheet_says_what_the_page_says(people: People, client_for: ClientFor) -> None:
    make_fleet()
    client = client_for(people.operator)
    lines = client.get("/fleet/?group=region").context["lines"]
    answer = client.get("/fleet/allocation.csv?group=region")
    rows = list(csv.DictReader(answer.getvalue().decode().splitlines()))
    assert [(row["region"], int(row["total"])) for row in rows] == [
        (line.name, line.tally.total) for line in lines
    ]


@pytest.mark.parametrize("name", PARTS)
def test_a_part_takes_as_many_queries_for_300_clusters_as_for_3(
    name: str, people: People, client_for: ClientFor, count_queries: CountQueries
) -> None:
    make_fleet([])
    client, counts = client_for(people.viewer), []
    for count in (3, 30, 300):
        for index in range(Cluster.objects.count(), count):
            cluster = priced(f"c-{index}")
            if index < 30:
                measure(cluster, idle=[("node-0", 0, 2.0)])
        rest = Cluster.objects.filter(heat=None)
        example = HeatRow.objects.first()
        assert example is not None
        HeatRow.objects.bulk_create(_like(example, one) for one in rest)
        part(client, name)
        with count_queries() as queries:
            part(client, name)
        counts.append(len(queries))
    assert len(set(counts)) == 1 and counts[0] <= 15, counts


def _like(example: HeatRow, cluster: Cluster) -> HeatRow:
    names = ("layout", "gpus", "at", "util", "memory", "allocation", "power", "temperature")
    fields = {name: getattr(example, name) for name in (*names, "idle", "marks")}
    return HeatRow(cluster=cluster, **fields)
