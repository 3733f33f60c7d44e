from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from clusters.models import Cluster
from clusters.selectors.census import Tally
from fleetportal.accounts.models import User
from tests.clusters.rows import make_cluster, node, pool
from tests.conftest import ApiFor, CountQueries
from tests.factories import make_served, make_waiting, put
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import Workspace

ClientFor = Callable[[User], Client]
PATH = "/api/v1/fleet/overview/"


def text(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined, no-any-return]


def small_fleet() -> None:
    """One cluster of each kind: open, silent, cordoned, and one that can still grow."""
    make_cluster("a", [node(used=3, allocatable=7)])
    make_cluster("b", [node(), node("node-1")], state="unreachable", state_reason="No answer.")
    make_cluster("c", [node(used=2)], cordoned=True, cordon_reason="upgrade", environment="test")
    held = [node(pool="new")]
    make_cluster("d", held, [pool("new", held, quota=3)], environment="test")


def test_the_page_and_the_api_show_the_same_figures_and_they_add_up(
    people: People, client_for: ClientFor, api: ApiFor
) -> None:
    small_fleet()
    context = client_for(people.viewer).get("/fleet/").context
    said = api(people.viewer).get(PATH).json()
    shown = {figure.key: figure.value for figure in context["figures"]}
    assert shown == {
        "allocated": 5,
        "free": 12,
        "blocked": 6,
        "faulty": 1,
        "unknown": 16,
        "provisionable": 16,
    }
    assert {key: said["gpus"][key] for key in shown} == shown
    assert said["gpus"]["total"] == sum(shown.values()) == 56
    assert sum(row["gpus"]["total"] for row in said["by_model"]) == 56
    assert said["clusters"]["by_state"] == {"ready": 3, "unreachable": 1}


def test_the_page_explains_what_exists_and_what_quota_still_allows(
    people: People, client_for: ClientFor
) -> None:
    small_fleet()
    page = text(client_for(people.viewer).get("/fleet/"))
    assert "<strong>56 GPUs</strong>: 40 in nodes, and 16 that declared quota" in page
    assert "Declared quota speaks of 24; the 8 of them that exist already" in page


def test_figures_hold_only_what_one_may_see(
    people: People, client_for: ClientFor, api: ApiFor
) -> None:
    make_cluster("open", [node()])
    make_cluster("closed", [node()], open_to_all=False)
    assert api(people.outsider).get(PATH).json()["gpus"]["total"] == 8
    assert api(people.operator).get(PATH).json()["gpus"]["total"] == 16
    assert "closed" not in text(client_for(people.outsider).get("/fleet/"))


def test_a_cluster_not_seen_yet_is_in_no_figure_and_said_so(
    people: People, client_for: ClientFor, api: ApiFor
) -> None:
    make_cluster(pools=[], state="joining", observed_at=None, last_contact_at=None)
    assert api(people.viewer).get(PATH).json()["clusters"]["not_seen"] == 1
    assert "1 cluster not seen yet" in text(client_for(people.viewer).get("/fleet/"))


def test_the_overview_takes_no_parameters_and_no_writes(people: People, api: ApiFor) -> None:
    assert api(people.viewer).get(f"{PATH}?state=ready").status_code == 422
    assert api(people.viewer).post(PATH, {}, format="json").status_code == 405


def test_a_silent_cluster_leads_the_list_with_its_gpus_and_cause(
    people: People, client_for: ClientFor
) -> None:
    small_fleet()
    items = client_for(people.viewer).get("/fleet/").context["items"]
    assert [item.name for item in items] == ["b"]
    assert items[0].why.startswith("16 GPUs unknown, last contact") and "No answer." in items[0].why


def test_nothing_to_do_is_said(people: People, client_for: ClientFor) -> None:
    make_cluster(nodes=[node()])
    assert "nothing waits for a person" in text(client_for(people.viewer).get("/fleet/"))


def test_troubled_deployments_are_listed_for_their_team_alone(
    people: People, client_for: ClientFor
) -> None:
    make_fleet()
    deployment = make_served(people.engineer, people.assist)
    one = Workspace.objects.filter(deployment=deployment)[:1]
    put(one, state="stuck", message="No capacity in westeurope.")
    mine = client_for(people.engineer).get("/fleet/").context["items"]
    stuck = next(item for item in mine if item.name == "phi")
    assert stuck.label == "Stuck" and "No capacity in westeurope." in stuck.why
    theirs = client_for(people.outsider).get("/fleet/").context["items"]
    assert "phi" not in {item.name for item in theirs}


def test_what_a_silent_cluster_hides_is_counted_and_not_repeated(
    people: People, client_for: ClientFor
) -> None:
    make_fleet()
    deployment = make_served(people.engineer, people.assist)
    cluster = Workspace.objects.filter(deployment=deployment)[0].cluster
    put([cluster], state="unreachable", state_reason="No answer.")
    items = client_for(people.engineer).get("/fleet/").context["items"]
    assert "phi" not in {item.name for item in items}
    away = next(item for item in items if item.name == cluster.name)
    assert "1 deployment there cannot be seen." in away.why


def test_an_approval_is_offered_first_to_whoever_may_decide(
    people: People, client_for: ClientFor
) -> None:
    make_fleet()
    approval = make_waiting(people.engineer, people.assist)
    first = client_for(people.approver).get("/fleet/").context["items"][0]
    assert (first.label, first.action_url) == ("Yours to decide", f"/approvals/{approval.pk}/")
    items = client_for(people.engineer).get("/fleet/").context["items"]
    asked = next(item for item in items if item.name.endswith("production"))
    assert asked.action_url == "" and asked.label == "Waiting 0 of 1"


def test_a_paused_rollout_is_listed_and_an_older_failure_is_not(
    people: People, client_for: ClientFor
) -> None:
    make_fleet()
    approval = make_waiting(people.engineer, people.assist)
    put([approval], state="withdrawn")
    put([approval.rollout], state="paused", waiting_for={"kind": "held", "text": "Paused by eve."})
    items = client_for(people.engineer).get("/fleet/").context["items"]
    [paused] = [item for item in items if item.label == "Rollout paused"]
    assert paused.why == "Paused by eve." and paused.name == "phi r1"


def test_workloads_of_another_team_hold_gpus_without_a_name(
    people: People, client_for: ClientFor
) -> None:
    make_fleet()
    deployment = make_served(people.engineer, people.assist)
    workspace = Workspace.objects.filter(deployment=deployment)[0]
    pod = (f"{workspace.namespace}/{workspace.name}-0", 1, workspace.name)
    held = [node(used=1, holders=(pod,))]
    packed = make_cluster("temporary", held)
    fields = {name: getattr(packed, name) for name in ("nodes_packed", "pools_packed")}
    packed.delete()
    Cluster.objects.filter(pk=workspace.cluster_id).update(**fields)
    lines = client_for(people.engineer).get("/fleet/?group=team").context["lines"]
    assert [(one.name, one.tally.allocated) for one in lines if one.tally.allocated] == [
        ("assist", 1)
    ]
    lines = client_for(people.outsider).get("/fleet/?group=team").context["lines"]
    assert lines[0].name == "other team"
    page = text(client_for(people.outsider).get(f"/clusters/{workspace.cluster.name}/"))
    assert "1 more of other teams" in page and "phi" not in page


def test_the_table_is_grouped_by_its_address_and_adds_up(
    people: People, client_for: ClientFor
) -> None:
    small_fleet()
    client = client_for(people.viewer)
    shown = client.get("/fleet/").context
    total = shown["overview"].total
    for key, _ in shown["group_choices"]:
        page = client.get(f"/fleet/?group={key}").context
        assert sum((one.tally for one in page["lines"]), Tally()) == total, key
    places = client.get("/fleet/?group=environment").context["lines"]
    assert [(one.name, one.clusters) for one in places] == [("test", 2), ("production", 2)]
    assert client.get("/fleet/?group=nonsense").context["group"] == "class"


def test_queries_do_not_grow_with_clusters_or_deployments(
    people: People, client_for: ClientFor, count_queries: CountQueries
) -> None:
    make_fleet()
    make_served(people.engineer, people.assist)
    client, counts = client_for(people.engineer), []
    for index in range(2):
        with count_queries() as queries:
            client.get("/fleet/")
        counts.append(len(queries))
        make_served(people.engineer, people.assist, name=f"more-{index}")
        make_cluster(f"more-{index}", [node()])
    assert counts[0] == counts[1]


def test_the_fleet_is_read_only_and_wants_a_login(people: People, client_for: ClientFor) -> None:
    assert client_for(people.viewer).post("/fleet/").status_code == 405
    assert Client().get("/fleet/").status_code == 302
