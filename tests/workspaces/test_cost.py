from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from clusters.engine.price_sheet import Wish
from clusters.engine.telemetry.packing import pack_tick
from clusters.engine.telemetry.types import Tick
from clusters.models import Pool, PriceEntry, ServingTick
from clusters.selectors import pack
from clusters.services.prices import price_set
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from fleetportal.console.selectors.idle import idle_list
from fleetportal.journal.models import Event
from tests.clusters.rows import node, pool
from tests.clusters.telemetry_rows import pack_all
from tests.conftest import ApiFor, CountQueries
from tests.console.fleet_moments import measure
from tests.factories import make_served, put
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.engine.cost import Total
from workspaces.models import Deployment, Workspace
from workspaces.selectors.cost import cost_of
from workspaces.selectors.deployments import deployments_for, rows_of

ClientFor = Callable[[User], Client]
NOW = timezone.now()


def told(workspace: Workspace, state: str, hours_ago: float) -> None:
    """A journal row as the services write it, some hours ago."""
    Event.objects.create(
        at=NOW - timedelta(hours=hours_ago),
        actor_name="fleetportal",
        action=f"workspace.{state}",
        object_type="workspace",
        object_id=str(workspace.pk),
        object_name=workspace.name,
        scope=workspace.journal_scope,
        after={"state": state},
    )


def served(people: People) -> tuple[Deployment, list[Workspace]]:
    make_fleet()
    deployment = make_served(people.engineer, people.assist)
    rows = list(deployment.workspaces.select_related("cluster", "pool").order_by("cluster__name"))
    return deployment, rows


def price_of(workspace: Workspace, dollars: float | None, hours_ago: float = 1000) -> None:
    """A price of the workspace's kind of node, given some hours ago."""
    name = workspace.instance_type or (workspace.pool.instance_type if workspace.pool else "")
    row = PriceEntry.objects.create(
        provider=workspace.cluster.provider,
        region=workspace.cluster.region,
        instance_type=name,
        usd_per_hour=dollars,
        source="test",
    )
    at = NOW - timedelta(hours=hours_ago)
    PriceEntry.objects.filter(pk=row.pk).update(created_at=at)


def test_cost_to_date_follows_the_price_of_its_time(people: People) -> None:
    deployment, rows = served(people)
    for one in rows[1:]:
        put([one], state="planned")
    first = rows[0]
    price_of(first, 2.0)
    price_of(first, 4.0, hours_ago=1)
    nodes = first.replicas * first.nodes_per_replica
    told(first, "applying", 3)
    found = cost_of(deployment, NOW)
    assert found.to_date.usd == pytest.approx((2 * 2.0 + 1 * 4.0) * nodes)
    assert found.to_date.unknown == 0
    assert found.since == NOW - timedelta(hours=3)


def test_a_retired_workspace_still_counts_for_the_time_it_held_nodes(people: People) -> None:
    deployment, rows = served(people)
    for one in rows[1:]:
        put([one], state="planned")
    price_of(rows[0], 2.0)
    told(rows[0], "applying", 3)
    told(rows[0], "ready", 2.9)
    told(rows[0], "retired", 1)
    put(rows[:1], state="retired")
    found = cost_of(deployment, NOW)
    assert found.to_date.usd == pytest.approx(4.0 * rows[0].replicas * rows[0].nodes_per_replica)
    assert (found.now.usd, found.now.unknown) == (0.0, 0)


def launched(workspaces: list[Workspace]) -> None:
    """Their nodes are made for them."""
    Pool.objects.filter(pk__in=[one.pool_id for one in workspaces]).update(kind="provisionable")


def test_nodes_that_never_came_cost_nothing(people: People, client_for: ClientFor) -> None:
    deployment, rows = served(people)
    launched(rows)
    put(rows, price_per_hour=2.0, state="planned", phases={}, serving=False)
    phases = {"applying": NOW.isoformat(), "getting_nodes": NOW.isoformat()}
    put(rows[:1], state="stuck", phases=phases)
    told(rows[0], "applying", 3)
    told(rows[0], "stuck", 2)
    found = cost_of(deployment, NOW)
    assert (found.now, found.to_date.value, found.since) == (Total(), 0.0, None)
    page = client_for(people.engineer).get(f"/deployments/{deployment.pk}/").content.decode()
    assert page.count("once it has nodes") == len(rows)


def test_nodes_that_came_are_paid_from_the_moment_they_were_asked_for(people: People) -> None:
    deployment, rows = served(people)
    launched(rows)
    put(rows[1:], state="planned", phases={})
    price_of(rows[0], 2.0)
    told(rows[0], "applying", 3)
    told(rows[0], "pulling_image", 1)
    found = cost_of(deployment, NOW)
    assert found.to_date.usd == pytest.approx(6.0 * rows[0].replicas * rows[0].nodes_per_replica)


def test_whether_nodes_came_is_unknown_of_a_cluster_that_is_away(people: People) -> None:
    deployment, rows = served(people)
    launched(rows)
    put(rows[1:], state="planned", phases={})
    put(rows[:1], price_per_hour=2.0, state="unknown", phases={"getting_nodes": NOW.isoformat()})
    assert cost_of(deployment, NOW).now == Total(unknown=1)


def test_replicas_that_somebody_else_took_away_are_paid_no_more(people: People) -> None:
    deployment, rows = served(people)
    put(rows[1:], state="planned")
    put(rows[:1], replicas=2, price_per_hour=4.0, observed={"replicas": 1})
    price_of(rows[0], 2.0)
    told(rows[0], "ready", 3)
    event = Event.objects.latest("pk")
    Event.objects.create(
        at=NOW - timedelta(hours=1),
        actor_name="fleetportal",
        action="workspace.changed_outside",
        object_type="workspace",
        object_id=event.object_id,
        scope=event.scope,
        after={"changed_outside": ["spec.replicas"]},
    )
    found = cost_of(deployment, NOW)
    assert found.now.usd == pytest.approx(2.0)
    assert found.to_date.usd == pytest.approx((2 * 2 + 1 * 1) * 2.0 * rows[0].nodes_per_replica)
    [row] = rows_of(list(deployments_for(Principal(people.engineer))))
    assert row.price == found.now


def test_unknown_parts_are_counted_beside_the_sum(people: People, client_for: ClientFor) -> None:
    deployment, rows = served(people)
    put(rows, price_per_hour=2.0)
    put(rows[:1], price_per_hour=None)
    found = cost_of(deployment, NOW)
    assert (found.now.usd, found.now.unknown) == (2.0 * (len(rows) - 1), 1)
    assert found.to_date.value is None, "nobody knows since when they hold nodes"
    page = client_for(people.engineer).get(f"/deployments/{deployment.pk}/cost/")
    assert f"${2.0 * (len(rows) - 1):.2f}/h + 1 unknown now" in page.content.decode()
    listed = client_for(people.engineer).get("/deployments/").content.decode()
    assert f"${2.0 * (len(rows) - 1):.2f}/h + 1 unknown" in listed


def test_the_list_the_page_and_the_cost_agree_on_dollars_an_hour(people: People) -> None:
    deployment, rows = served(people)
    put(rows, price_per_hour=2.0)
    put(rows[:1], state="retiring")
    [row] = rows_of(list(deployments_for(Principal(people.engineer))))
    assert row.price == cost_of(deployment, NOW).now


def test_a_million_tokens_at_the_benchmarks_peak(people: People) -> None:
    deployment, rows = served(people)
    put(rows, price_per_hour=3.6, benchmark={"peak_tokens_per_minute": 1_000_000.0})
    put(rows[:1], benchmark={})
    assert cost_of(deployment, NOW).at_peak == pytest.approx(0.06)
    put(rows, benchmark={})
    assert cost_of(deployment, NOW).at_peak is None


def test_only_the_replicas_that_were_measured_are_paid_for_the_peak(people: People) -> None:
    deployment, rows = served(people)
    put(rows[1:], state="planned")
    benchmark = {"peak_tokens_per_minute": 1_000_000.0, "replicas": 1}
    put(rows[:1], replicas=2, price_per_hour=7.2, benchmark=benchmark)
    assert cost_of(deployment, NOW).at_peak == pytest.approx(0.06)


def tick(workspace: Workspace, at: datetime, tokens: int) -> None:
    counters = {"prompt_tokens": tokens, "generation_tokens": tokens}
    packed = Tick(3600.0, 1, 1, counters, {}, {}, {}, (), "vllm", "direct")
    ServingTick.objects.create(
        cluster=workspace.cluster,
        subject=f"{workspace.namespace}/{workspace.name}",
        resolution=3600,
        at=at,
        packed=pack_tick(packed),
    )


def test_a_million_tokens_as_seen_over_the_last_day(people: People) -> None:
    deployment, rows = served(people)
    put(rows, price_per_hour=4.0)
    assert cost_of(deployment, NOW).observed is None
    tick(rows[0], NOW - timedelta(hours=2), 1_000_000)
    tick(rows[0], NOW - timedelta(hours=30), 1)
    assert cost_of(deployment, NOW).observed == pytest.approx(2.0)


def test_a_million_tokens_cost_the_same_when_hours_are_packed(people: People) -> None:
    deployment, rows = served(people)
    put(rows, price_per_hour=4.0)
    hour = NOW.replace(minute=0, second=0, microsecond=0)
    for ago in range(1, 40):
        tick(rows[0], hour - timedelta(hours=ago), 1_000_000 + ago)
    before = cost_of(deployment, NOW)
    assert pack_all(NOW + timedelta(days=2)) > 1
    assert not ServingTick.objects.exists()
    assert cost_of(deployment, NOW) == before


def idle_cluster(
    workspace: Workspace, idle_hours: float, price: float | None, held_hours: float = 1000
) -> None:
    """Its cluster holds one node of eight cards, two of them its own and idle."""
    pod = (f"{workspace.namespace}/{workspace.name}-abcde-0", 2, f"{workspace.name}-abcde")
    came = NOW.timestamp() - held_hours * 3600
    held = node(used=2, holders=(pod,), held_since=(came,))
    packed = {"nodes_packed": pack((held,))}
    packed["pools_packed"] = pack((pool(nodes=[held], price_per_hour=price),))
    put([workspace.cluster], **packed)
    workspace.cluster.refresh_from_db()
    idle = [(held.name, card, idle_hours) for card in range(held.allocatable)]
    measure(workspace.cluster, idle=idle, at=NOW)


def test_idle_cards_cost_their_share_of_the_node(people: People) -> None:
    deployment, rows = served(people)
    for one in rows[1:]:
        put([one], state="planned")
    idle_cluster(rows[0], 2.0, 16.0)
    found = cost_of(deployment, NOW)
    assert (found.idle_gpus, found.idle_known) == (2, True)
    assert found.idle.usd == pytest.approx(4.0)
    assert found.idle_usd.usd == pytest.approx(8.0, rel=0.07)


@pytest.mark.parametrize(("held_hours", "gpus", "usd"), [(1, 2, 4.0), (0.2, 0, 0.0), (9, 2, 20.0)])
def test_a_deployment_and_the_fleets_list_say_the_same_of_its_idle_cards(
    held_hours: float, gpus: int, usd: float, people: People
) -> None:
    """Of cards that idled for five hours, by when their holder came."""
    deployment, rows = served(people)
    put(rows[1:], state="planned")
    idle_cluster(rows[0], 5.0, 16.0, held_hours)
    told(rows[0], "ready", held_hours)
    found = cost_of(deployment, NOW)
    assert (found.idle_gpus, found.idle_known) == (gpus, True)
    assert found.idle_usd.usd == pytest.approx(usd)
    listed = idle_list(Principal(people.engineer), [rows[0].cluster], NOW)
    assert sum(row.gpus for row in listed.rows) == (listed.total.gpus or 0) == gpus
    assert sum(row.usd or 0.0 for row in listed.rows) == pytest.approx(found.idle_usd.usd)
    assert (listed.total.usd_per_hour or 0.0) == pytest.approx(found.idle.usd)
    since = {row.since for row in listed.rows}
    assert since <= {NOW - timedelta(hours=min(held_hours, 5.0))}


def test_without_measurements_idleness_is_unknown(people: People, client_for: ClientFor) -> None:
    deployment, _ = served(people)
    assert not cost_of(deployment, NOW).idle_known
    page = client_for(people.engineer).get(f"/deployments/{deployment.pk}/cost/")
    assert "idle GPUs unknown" in page.content.decode()


def test_a_new_price_reaches_what_already_runs(people: People) -> None:
    _, rows = served(people)
    first = rows[0]
    name = first.instance_type or (first.pool.instance_type if first.pool else "")
    wish = Wish("azure", first.cluster.region, name, "on-demand", 7.0, "contract", None)
    price_set(principal=Principal(people.operator), wish=wish)
    first.refresh_from_db()
    assert first.price_per_hour == pytest.approx(7.0 * first.replicas * first.nodes_per_replica)


def test_the_api_says_the_same(people: People, api: ApiFor) -> None:
    deployment, rows = served(people)
    put(rows, price_per_hour=2.0)
    said = api(people.engineer).get(f"/api/v1/deployments/{deployment.pk}/cost/").json()
    assert said["per_hour"] == {"usd": 2.0 * len(rows), "known": len(rows), "unknown": 0}
    assert said["to_date"]["usd"] is None and said["to_date"]["unknown"] == len(rows)


def test_queries_do_not_grow_with_workspaces(
    people: People, client_for: ClientFor, count_queries: CountQueries
) -> None:
    deployment, rows = served(people)
    pk: UUID = deployment.pk
    client, counts = client_for(people.engineer), []
    for state in ("planned", "ready"):
        put(rows[1:], state=state)
        with count_queries() as queries:
            client.get(f"/deployments/{pk}/cost/", headers={"HX-Request": "true"})
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 15
