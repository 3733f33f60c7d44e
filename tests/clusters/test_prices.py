from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from clusters.engine.price_sheet import COLUMNS, Wish
from clusters.models import Cluster, PriceEntry
from clusters.pricing import price_book
from clusters.selectors import pools_of
from clusters.selectors import prices as selectors
from clusters.services.prices import price_import, price_set
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.kit.errors import Forbidden, Invalid
from tests.clusters.rows import make_cluster, node, pool
from tests.conftest import ApiFor, CountQueries
from tests.support import People

ClientFor = Callable[[User], Client]
HEAD = ",".join(COLUMNS)
P5 = Wish("aws", "", "p5.48xlarge", "on-demand", 40.0, "contract", None)


def text(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined, no-any-return]


def unheard(dollars: float | None = 2.0) -> Wish:
    return Wish("aws", "eu-1", "x.huge", "on-demand", dollars, "contract", None)


def make_fleet() -> Cluster:
    """A priced pool, and one of a type that nobody priced."""
    held = [node(), node("node-1", pool="odd")]
    pools = [pool(nodes=held), pool("odd", held, instance_type="x.huge")]
    return make_cluster("a", held, pools, provider="aws", region="eu-1")


def stored(cluster: Cluster) -> dict[str, float | None]:
    cluster.refresh_from_db()
    return {one.instance_type: one.price_per_hour for one in pools_of(cluster)}


def test_a_price_reaches_stored_pools_and_plans_at_once(people: People) -> None:
    cluster = make_fleet()
    price_set(principal=Principal(people.operator), wish=unheard())
    assert stored(cluster) == {"p5.48xlarge": 55.04, "x.huge": 2.0}
    assert cluster.changes == 1
    price_set(principal=Principal(people.operator), wish=unheard(None))
    assert stored(cluster)["x.huge"] is None


def test_a_price_of_elsewhere_leaves_a_cluster_alone(people: People) -> None:
    cluster = make_fleet()
    price_set(principal=Principal(people.operator), wish=P5)
    before = cluster.changes
    price_set(
        principal=Principal(people.operator),
        wish=Wish("azure", "", "x.huge", "on-demand", 9.0, "contract", None),
    )
    assert stored(cluster)["x.huge"] is None
    assert cluster.changes == before + 1


def test_a_price_is_journaled_with_what_it_was(people: People) -> None:
    price_set(principal=Principal(people.operator), wish=P5)
    price_set(principal=Principal(people.admin), wish=replace(P5, usd_per_hour=None))
    newest, first = Event.objects.filter(object_type="priceentry")
    assert (first.action, first.before, first.actor_name) == (
        "price.set",
        {"usd_per_hour": 55.04},
        "operator",
    )
    assert (newest.action, newest.before["usd_per_hour"]) == ("price.taken_back", 40.0)


def _fields(wish: Wish) -> dict[str, object]:
    return {name: getattr(wish, name) for name in COLUMNS}


def test_only_operators_and_admins_change_prices(people: People) -> None:
    for user in (people.viewer, people.engineer, people.approver, people.auditor):
        with pytest.raises(Forbidden):
            price_set(principal=Principal(user), wish=P5)
        with pytest.raises(Forbidden):
            price_import(principal=Principal(user), text=HEAD, dry=True)


def test_the_book_asks_one_query_and_sees_what_others_wrote(
    people: People, count_queries: CountQueries
) -> None:
    price_book()
    with count_queries() as queries:
        price_book()
    assert len(queries) == 1
    moment = timezone.now()
    PriceEntry.objects.create(**_fields(P5), created_by=people.admin)
    assert price_book()[P5.key].usd_per_hour == 40.0
    assert price_book(moment)[P5.key].usd_per_hour == 55.04


def test_an_import_is_all_or_nothing_and_a_dry_one_is_nothing(people: People) -> None:
    operator = Principal(people.operator)
    good_line = "aws,,p5.48xlarge,on-demand,41,contract,2026-05-01"
    with pytest.raises(Invalid) as refused:
        price_import(principal=operator, text=f"{HEAD}\n{good_line}\naws,,x,on-demand,-1,s,\n")
    [problem] = refused.value.problems
    assert problem.field == "csv[3].usd_per_hour"
    assert str(problem).startswith("Line 3, usd_per_hour: ")
    [effect] = price_import(principal=operator, text=f"{HEAD}\n{good_line}\n", dry=True)
    assert (effect.before, effect.after) == (55.04, 41.0)
    assert not PriceEntry.objects.exists()
    price_import(principal=operator, text=f"{HEAD}\n{good_line}\n")
    assert PriceEntry.objects.get().usd_per_hour == 41.0


def test_types_in_use_without_a_price_come_first(people: People, client_for: ClientFor) -> None:
    make_fleet()
    page = client_for(people.viewer).get("/prices/")
    [one] = page.context["unpriced"]
    assert (one.instance_type, one.nodes, one.clusters) == ("x.huge", 1, ("a",))
    assert "1 instance type in use has no price" in text(page)
    assert "$0.00" not in text(page)


def test_only_clusters_one_sees_count_as_use(people: People, client_for: ClientFor) -> None:
    cluster = make_fleet()
    Cluster.objects.filter(pk=cluster.pk).update(open_to_all=False)
    page = client_for(people.outsider).get("/prices/")
    assert page.context["unpriced"] == []
    assert all(line.nodes == 0 for line in page.context["lines"])


def test_the_list_filters_and_its_csv_comes_back_as_an_import(
    people: People, client_for: ClientFor
) -> None:
    make_fleet()
    client = client_for(people.operator)
    page = client.get("/prices/?show=used")
    assert [line.instance_type for line in page.context["lines"]] == ["p5.48xlarge"]
    sheet = client.get("/prices/prices.csv?provider=gcp").getvalue().decode()
    rows = list(csv.DictReader(sheet.splitlines()))
    assert {row["provider"] for row in rows} == {"gcp"}
    effects = price_import(principal=Principal(people.operator), text=sheet, dry=True)
    assert all(one.before == one.after and not one.changes for one in effects)
    assert "The sheet changes nothing." in text(client.post("/prices/import/", {"csv": sheet}))
    assert client.post("/prices/import/", {"csv": sheet, "step": "import"}).status_code == 303
    assert not PriceEntry.objects.exists(), "list prices stay list prices"


def test_a_sheet_stores_only_what_is_not_in_force(people: People, client_for: ClientFor) -> None:
    client = client_for(people.operator)
    odd = 'aws,,p5.48xlarge,on-demand,41,"=contract",'
    client.post("/prices/import/", {"csv": f"{HEAD}\n{odd}\n", "step": "import"})
    sheet = client.get("/prices/prices.csv?provider=aws").getvalue().decode()
    assert "'=contract" in sheet, "as spreadsheets may have it"
    more = f"{sheet}aws,,p6.new,on-demand,7,contract,\naws,,g6.xlarge,on-demand,none,contract,\n"
    more = "\n".join(
        line for line in more.splitlines() if not line.startswith("aws,,g6.xlarge,on-demand,0")
    )
    page = client.post("/prices/import/", {"csv": more})
    assert [one.wish.instance_type for one in page.context["effects"]] == ["p6.new"]
    client.post("/prices/import/", {"csv": more, "step": "import"})
    assert [row.instance_type for row in PriceEntry.objects.order_by("id")] == [
        "p5.48xlarge",
        "p6.new",
    ]


def test_a_price_is_set_on_the_page_and_its_history_shows_both(
    people: People, client_for: ClientFor
) -> None:
    client = client_for(people.operator)
    bad = client.post("/prices/set/", {**_fields(P5), "as_of": "", "usd_per_hour": "zero"})
    assert bad.status_code == 422 and "is no price from 0.01" in text(bad)
    sent = {**_fields(P5), "as_of": "", "usd_per_hour": "40"}
    assert client.post("/prices/set/", sent).status_code == 303
    query = "provider=aws&region=&instance_type=p5.48xlarge&capacity_type=on-demand"
    shown = client.get(f"/prices/history/?{query}").context["lines"]
    assert [(line.usd_per_hour, line.who) for line in shown] == [
        (40.0, "operator"),
        (55.04, "shipped"),
    ]
    assert client.post("/prices/set/", {**sent, "take_back": "1"}).status_code == 303
    assert price_book()[P5.key].usd_per_hour == 55.04
    assert client.get("/prices/history/?provider=nobody").status_code == 404


def test_a_sheet_is_previewed_before_it_is_imported(people: People, client_for: ClientFor) -> None:
    client = client_for(people.operator)
    sheet = f"{HEAD}\naws,,p5.48xlarge,on-demand,41,contract,\n"
    preview = client.post("/prices/import/", {"csv": sheet})
    assert "What it would change" in text(preview) and not PriceEntry.objects.exists()
    assert client.post("/prices/import/", {"csv": sheet, "step": "import"}).status_code == 303
    assert PriceEntry.objects.count() == 1
    wrong = client.post("/prices/import/", {"csv": f"{HEAD}\naws,,x,on-demand,0,s,\n"})
    assert wrong.status_code == 422 and "Line 2, usd_per_hour" in text(wrong)


def test_the_api_lists_states_and_imports_prices(people: People, api: ApiFor) -> None:
    make_fleet()
    client = api(people.operator)
    said = client.get("/api/v1/prices/?show=used").json()
    assert said["count"] == 1 and said["results"][0]["stated_by"] == "shipped"
    assert said["unpriced"][0]["instance_type"] == "x.huge"
    body = {**_fields(unheard()), "as_of": None}
    made = client.post("/api/v1/prices/", body, format="json")
    assert made.status_code == 201 and made.json()["usd_per_hour"] == 2.0
    assert client.get("/api/v1/prices/").json()["unpriced"] == []
    truth = client.post("/api/v1/prices/", {**body, "usd_per_hour": True}, format="json")
    assert truth.status_code == 422 and truth.json()["errors"][0]["field"] == "usd_per_hour"
    wrong = client.post("/api/v1/prices/", {**body, "usd_per_hour": 0}, format="json")
    assert wrong.json()["errors"][0]["field"] == "usd_per_hour"
    sheet = {"csv": f"{HEAD}\naws,,y,on-demand,1,s,\n", "dry_run": True}
    dry = client.post("/api/v1/prices/import/", sheet, format="json")
    assert dry.json()["prices"][0] | {"after": 1.0} == dry.json()["prices"][0]
    assert api(people.viewer).post("/api/v1/prices/", body, format="json").status_code == 403


def test_page_sheet_and_api_refuse_a_price_that_is_planned_for_later(
    people: People, client_for: ClientFor, api: ApiFor
) -> None:
    later = f"{timezone.now().date() + timedelta(days=30)}"
    client, fields = client_for(people.operator), {**_fields(P5), "usd_per_hour": "40"}
    page = client.post("/prices/set/", {**fields, "as_of": later})
    assert page.status_code == 422 and f"{later} has not come yet" in text(page)
    sheet = f"{HEAD}\naws,,p5.48xlarge,on-demand,40,contract,{later}\n"
    sent = client.post("/prices/import/", {"csv": sheet, "step": "import"})
    assert sent.status_code == 422 and f"Line 2, as_of: {later} has not come yet" in text(sent)
    body = {**_fields(P5), "usd_per_hour": 40.0, "as_of": later}
    said = api(people.operator).post("/api/v1/prices/", body, format="json")
    assert said.status_code == 422 and said.json()["errors"][0]["field"] == "as_of"
    assert not PriceEntry.objects.exists()


def test_the_page_takes_as_many_queries_for_many_clusters_as_for_one(
    people: People, client_for: ClientFor, count_queries: CountQueries
) -> None:
    client, counts = client_for(people.viewer), []
    for index in range(2):
        make_cluster(f"c-{index}", [node()], provider="aws")
        client.get("/prices/")
        with count_queries() as queries:
            client.get("/prices/")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12


def test_history_knows_a_price_whatever_its_case(people: People) -> None:
    PriceEntry.objects.create(**_fields(P5) | {"instance_type": "P5.48XLARGE"})
    assert len(selectors.history(P5.key)) == 2
