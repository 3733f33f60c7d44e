"""How a deployment serves: from stored ticks to figures, table, CSV and REST."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.test import Client
from django.utils import timezone

from clusters.engine.telemetry.packing import pack_tick
from clusters.engine.telemetry.types import Histogram, ServingNow, Tick
from clusters.models import ServingTick, Telemetry
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from tests.clusters.telemetry_rows import pack_all
from tests.conftest import ApiFor, CountQueries
from tests.factories import make_served, put
from tests.support import People
from tests.workspaces.conftest import MakeDeployment
from tests.workspaces.fleet_rows import make_fleet
from workspaces.engine.serving import BY_KEY, RANGES, rate
from workspaces.models import Deployment, Workspace
from workspaces.selectors.serving import places_of, serving_heard, serving_of

ClientFor = Callable[[User], Client]
NOW = timezone.now()
HOUR = BY_KEY["1h"]


def tick(requests: int = 30, **changes: Any) -> Tick:
    held: dict[str, Any] = {
        "seconds": 15.0,
        "pods_expected": 1,
        "pods_answered": 1,
        "counters": {"requests": requests, "errors": 0, "generation_tokens": requests * 100},
        "histograms": {"ttft": Histogram((0.1, 0.5), (0, requests, 0), requests * 0.3)},
        "gauges": {"running": 2.0, "waiting": 0.0, "kv_usage": 0.25},
        "means": {},
        "exported": ("errors", "generation_tokens", "kv_usage", "requests", "running", "ttft"),
        "runtime": "vllm",
        "road": "direct",
    }
    return Tick(**(held | changes))


def measure(
    workspace: Workspace, seconds_ago: float, one: Tick | None = None, resolution: int = 15
) -> None:
    """One stored tick on a whole step."""
    at = (NOW.timestamp() - seconds_ago) // resolution * resolution
    ServingTick.objects.create(
        cluster=workspace.cluster,
        subject=f"{workspace.namespace}/{workspace.name}",
        resolution=resolution,
        at=datetime.fromtimestamp(at, UTC),
        packed=pack_tick(one or tick()),
    )


def workspaces(deployment: Deployment) -> list[Workspace]:
    return list(deployment.workspaces.select_related("cluster").order_by("cluster__name"))


@pytest.fixture
def chat(make_deployment: MakeDeployment) -> Deployment:
    return make_deployment("chat", {"prod-weu": "ready", "prod-eus2": "ready"})


def rates(deployment: Deployment, cluster: str = "", key: str = "1h") -> list[float]:
    serving = serving_of(deployment, BY_KEY[key], cluster, NOW)
    (line,) = serving.lines
    found = (rate(one, "requests") for one in line.ticks)
    return [one for one in found if one is not None]


def test_clusters_add_up_or_are_looked_at_alone(chat: Deployment) -> None:
    east, west = workspaces(chat)
    measure(east, 60, tick(30))
    measure(west, 60, tick(15))
    assert rates(chat) == [3.0]
    assert rates(chat, "prod-weu") == [1.0]
    assert serving_of(chat, HOUR, "elsewhere", NOW).lines == ()


def test_the_end_of_a_long_range_is_read_from_finer_ticks(chat: Deployment) -> None:
    east, _ = workspaces(chat)
    measure(east, 5 * 3600, tick(3600, seconds=3600.0), resolution=3600)
    measure(east, 300, tick(60, seconds=60.0), resolution=60)
    measure(east, 20, tick(30))
    assert sum(rates(chat, key="30d")) > 0
    serving = serving_of(chat, BY_KEY["30d"], "", NOW)
    counted = sum(one.counters["requests"] for one in serving.lines[0].ticks if one)
    assert counted == 3600 + 60 + 30


def test_nothing_is_counted_at_two_resolutions(chat: Deployment) -> None:
    east, _ = workspaces(chat)
    for ago in range(0, 7200, 60):
        measure(east, ago, tick(60, seconds=60.0), resolution=60)
    for ago in range(0, 7200, 15):
        measure(east, ago, tick(15), resolution=15)
    (line,) = serving_of(chat, BY_KEY["24h"], "", NOW).lines
    assert all(rate(one, "requests") == pytest.approx(1.0) for one in line.ticks if one)


def test_an_empty_chart_says_why(chat: Deployment, make_deployment: MakeDeployment) -> None:
    assert "have not been read yet" in serving_of(chat, HOUR, "", NOW).empty
    put(chat.workspaces.all(), state="loading_weights")
    assert serving_of(chat, HOUR, "", NOW).empty.startswith("Nothing serves yet.")
    nowhere = make_deployment("nowhere", {})
    assert "on no cluster" in serving_of(nowhere, HOUR, "", NOW).empty


def test_problems_and_ages_are_told_per_cluster(chat: Deployment) -> None:
    east, west = workspaces(chat)
    pod = ServingNow(
        subject=f"{west.namespace}/{west.name}",
        namespace=west.namespace,
        pod="chat-0",
        uid="u",
        runtime="",
        model="",
        gauges={},
        exported=(),
        problem="connection refused",
    )
    Telemetry.objects.create(cluster=east.cluster, at=NOW, problem="Metrics may not be read.")
    Telemetry.objects.create(
        cluster=west.cluster, at=NOW, serving_packed=msgspec.msgpack.encode((pod,))
    )
    first, second = serving_of(chat, HOUR, "", NOW).sources
    assert (first.cluster, first.at, first.problem) == (
        "prod-eus2",
        NOW,
        "Metrics may not be read.",
    )
    assert second.problem == "1 of 1 pods did not answer: connection refused"


def test_stages_of_rollouts_are_marked(people: People) -> None:
    make_fleet()
    deployment = make_served(people.engineer, people.assist)
    rollout = deployment.rollouts.get()
    stage = rollout.stages.all()[0]
    put([stage], started_at=NOW - timedelta(minutes=9), passed_at=NOW - timedelta(minutes=5))
    put([rollout], state="rolled_back", ended_at=NOW - timedelta(minutes=1))
    texts = [mark.text for mark in serving_of(deployment, HOUR, "", NOW).marks]
    assert texts == [f"r1 {stage.name} started", f"r1 {stage.name} passed", "r1 rolled back"]
    put([stage], started_at=NOW - timedelta(hours=5))
    assert len(serving_of(deployment, HOUR, "", NOW).marks) == 2


def test_every_range_shows_the_same_when_ticks_are_packed(chat: Deployment) -> None:
    east, west = workspaces(chat)
    for one in (east, west):
        for ago in range(0, 8 * 86_400, 3600):
            measure(one, ago, tick(3600, seconds=3600.0), resolution=3600)
        for ago in range(0, 26 * 3600, 120):
            held = tick(ago % 7) if ago % 600 else tick(0, counters={}, pods_answered=0)
            measure(one, ago, held, resolution=60)
        measure(one, 30)
    before = [serving_of(chat, asked, "", NOW) for asked in RANGES]
    assert pack_all(NOW + timedelta(minutes=30)) > 26
    assert ServingTick.objects.count() < 2 * (24 + 2 * 60 + 2)
    assert [serving_of(chat, asked, "", NOW) for asked in RANGES] == before


def test_queries_do_not_grow_with_clusters(
    make_deployment: MakeDeployment, count_queries: CountQueries
) -> None:
    few = make_deployment("few", {"prod-weu": "ready"})
    many = make_deployment(
        "many", dict.fromkeys(("prod-weu", "prod-eus2", "stg-weu", "test-use1"), "ready")
    )
    counts = []
    for deployment in (few, many):
        for one in workspaces(deployment):
            measure(one, 30)
        with count_queries() as found:
            serving_of(deployment, BY_KEY["90d"], "", NOW)
        counts.append(len(found))
    assert counts[0] == counts[1] <= 8


# --- what people get ------------------------------------------------------------------------------


def test_figures_hold_values_and_the_words_for_what_is_missing(
    people: People, chat: Deployment, client_for: ClientFor
) -> None:
    measure(workspaces(chat)[0], 60)
    answer = client_for(people.viewer).get(f"/deployments/{chat.pk}/figures/?range=15m")
    assert answer.status_code == 200 and answer.headers["ETag"]
    data = answer.json()
    assert data["empty"] == "" and len(data["x"]) == 30
    charts = data["charts"]
    assert charts["requests"]["words"] == "2 per second"
    assert charts["ttft"]["words"] == "p95 0.48 s"
    hover = charts["ttft"]["figure"]["data"][1]["text"]
    assert "0.48 s (0.1 to 0.5 s)" in hover
    assert charts["preemptions"] == {"figure": None, "words": "Not exported by vLLM."}
    assert charts["e2e"]["words"] == "Not exported by vLLM."


def test_every_chart_has_a_table_and_all_numbers_are_a_csv(
    people: People, chat: Deployment, client_for: ClientFor
) -> None:
    measure(workspaces(chat)[0], 60)
    client = client_for(people.viewer)
    html = client.get(f"/deployments/{chat.pk}/metrics/?chart=ttft").content.decode()
    assert html.index(">p50<") < html.index(">p95<") and ">mean<" not in html
    assert ">0.48 <" in html and "0.1 to 0.5 s" in html
    silent = client.get(f"/deployments/{chat.pk}/metrics/?chart=preemptions").content.decode()
    assert ">not exported<" in silent
    assert "histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token" in html
    answer = client.get(f"/deployments/{chat.pk}/metrics/?format=csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    head, row = list(csv.reader(io.StringIO(answer.content.decode())))
    cells = dict(zip(head, row, strict=True))
    assert cells["requests_requests (per second)"] == "2"
    assert cells["revision"] == "r1" and cells["preemptions_preemptions (per minute)"] == ""


@pytest.mark.parametrize("path", ["figures/", "metrics/", "metrics/?format=csv"])
def test_another_teams_numbers_are_not_found(
    people: People, chat: Deployment, client_for: ClientFor, path: str
) -> None:
    assert client_for(people.outsider).get(f"/deployments/{chat.pk}/{path}").status_code == 404


def test_the_page_carries_the_charts_and_may_style_them(
    people: People, chat: Deployment, client_for: ClientFor
) -> None:
    client = client_for(people.viewer)
    answer = client.get(f"/deployments/{chat.pk}/?range=7d")
    html = answer.content.decode()
    assert 'data-charts data-figures="/deployments/' in html and "js/charts.js" in html
    assert '<option value="7d" selected>' in html
    assert f"serving:{workspaces(chat)[0].cluster_id}:fp-assist/" in html
    assert "'unsafe-inline'" in answer.headers["Content-Security-Policy"]
    history = client.get(f"/deployments/{chat.pk}/?tab=history")
    assert "'unsafe-inline'" not in history.headers["Content-Security-Policy"]
    assert "charts.js" not in history.content.decode()


def test_only_those_who_see_a_deployment_hear_of_its_numbers(
    people: People, chat: Deployment
) -> None:
    keys = {place.topic.removeprefix("serving:") for place in places_of(chat)}
    wanted = {*keys, "nonsense", "0:a/b"}
    assert set(serving_heard(Principal(people.viewer), wanted)) == keys
    assert set(serving_heard(Principal(people.outsider), wanted)) == set()


def test_rest_answers_numbers_with_units(people: People, chat: Deployment, api: ApiFor) -> None:
    east, west = workspaces(chat)
    measure(east, 60, tick(30))
    measure(west, 60, tick(15, counters={"requests": 15, "errors": 3}))
    path = f"/api/v1/deployments/{chat.pk}/metrics/"
    data = api(people.viewer).get(f"{path}?range=15m").json()
    assert (data["step_seconds"], data["cluster"]) == (30, None)
    assert data["clusters"] == ["prod-eus2", "prod-weu"]
    (revision,) = data["revisions"]
    assert "preemptions" in revision["not_exported"] and "ttft" not in revision["not_exported"]
    (point,) = revision["points"]
    assert point["requests_per_second"] == 3.0
    assert point["error_ratio"] == pytest.approx(3 / 45)
    assert point["preemptions_per_second"] is None
    assert point["latency_seconds"]["ttft"]["p95"] == {"value": 0.48, "low": 0.1, "high": 0.5}
    assert point["latency_seconds"]["e2e"] == {"p50": None, "p95": None, "p99": None, "mean": None}
    assert api(people.viewer).get(f"{path}?cluster=prod-weu").json()["cluster"] == "prod-weu"


@pytest.mark.parametrize(("query", "status"), [("?range=2h", 422), ("?rnge=1h", 422)])
def test_rest_refuses_what_it_does_not_know(
    people: People, chat: Deployment, api: ApiFor, query: str, status: int
) -> None:
    answer = api(people.viewer).get(f"/api/v1/deployments/{chat.pk}/metrics/{query}")
    assert answer.status_code == status, answer.content


def test_rest_hides_another_teams_numbers(people: People, chat: Deployment, api: ApiFor) -> None:
    assert api(people.outsider).get(f"/api/v1/deployments/{chat.pk}/metrics/").status_code == 404


def rows_of(sheet: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(sheet)))


def test_a_silent_cluster_is_missed_in_figures_table_sheet_and_rest(
    people: People, client_for: ClientFor, api: ApiFor, chat: Deployment
) -> None:
    speaking, silent = workspaces(chat)
    for ago in range(60, 1200, 15):
        measure(speaking, ago)
    measure(silent, 900)
    since = NOW - timedelta(minutes=15)
    Workspace.objects.filter(pk=silent.pk).update(state="unknown", state_since=since)
    client, place = client_for(people.engineer), f"/deployments/{chat.pk}"
    shown = client.get(f"{place}/figures/").json()
    [curve] = [one for one in shown["charts"]["requests"]["figure"]["data"] if one.get("text")]
    said = [text for text, value in zip(curve["text"], curve["y"], strict=True) if value]
    assert "2 per second, without 1 of 2 clusters" in said and "4 per second" not in said
    assert "4 per second, without" not in " ".join(said), "both were measured once"
    assert shown["charts"]["requests"]["words"] == "2 per second, 1 of 2 clusters"
    assert shown["charts"]["requests"]["figure"]["layout"]["shapes"][-1]["type"] == "rect"
    assert shown["note"].endswith("Shaded: without some of the clusters.")
    table = client.get(f"{place}/metrics/?chart=requests").content.decode()
    assert ">1 of 2</td>" in table and ">2 of 2</td>" in table
    sheet = client.get(f"{place}/metrics/?format=csv").content.decode()
    counted = {(one["clusters_measured"], one["clusters_serving"]) for one in rows_of(sheet)}
    assert counted == {("1", "1"), ("2", "2"), ("1", "2")}, "it came fifteen minutes ago"
    points = api(people.engineer).get(f"/api/v1/deployments/{chat.pk}/metrics/").json()
    last = points["revisions"][0]["points"][-1]
    assert (last["clusters_measured"], last["clusters_serving"]) == (1, 2)
