from __future__ import annotations

from typing import Any

import pytest

from clusters.models import Check, Cluster, ClusterGrant
from tests.clusters.rows import make_cluster, node, pool
from tests.clusters.test_pages import CA, TOKEN, kubeconfig
from tests.conftest import ApiFor, CountQueries
from tests.support import People

PATH = "/api/v1/clusters/"
ONE = f"{PATH}prod-weu/"


def new(**fields: Any) -> dict[str, Any]:
    return {"name": "new-one", "server": "https://10.1.2.3:6443", "ca": CA, "token": TOKEN} | fields


def test_a_cluster_is_described_with_gpus_that_add_up(people: People, api: ApiFor) -> None:
    make_cluster(nodes=[node(used=3, allocatable=7)], cordoned=True, cordon_reason="upgrade")
    row = api(people.viewer).get(ONE).json()
    gpus = row["gpus"]
    classes = ("allocated", "free", "blocked", "faulty", "unknown", "provisionable")
    assert gpus["total"] == sum(gpus[name] for name in classes) == 8
    assert (gpus["allocated"], gpus["blocked"], gpus["faulty"]) == (3, 4, 1)
    assert (row["state"], row["cordoned"], row["url"]) == ("ready", True, "/clusters/prod-weu/")
    assert row["teams"] is None and isinstance(row["id"], str) and row["version"] == 1


def test_unknown_is_null_and_never_zero(people: People, api: ApiFor) -> None:
    make_cluster(pools=[], state="joining", capabilities={}, observed_at=None, last_contact_at=None)
    row = api(people.viewer).get(ONE).json()
    for name in ("gpus", "kaito_version", "provisioner", "inference_set_works", "last_contact_at"):
        assert row[name] is None
    make_cluster("silent", [node(used=2)], state="unreachable")
    silent = api(people.viewer).get(f"{PATH}silent/").json()
    assert silent["gpus"]["unknown"] == 8 and silent["gpus"]["whole_free_nodes"] is None
    assert silent["pools"][0]["whole_free_nodes"] is None
    [row] = api(people.viewer).get(f"{PATH}silent/nodes/").json()["results"]
    assert (row["used"], row["free"], row["faulty"], row["ready"]) == (None, None, None, None)
    assert row["physical"] == 8


def test_nodes_are_paged_and_name_foreign_pods_to_nobody_outside(
    people: People, api: ApiFor
) -> None:
    held = node(used=1, holders=(("secret-team/secret-pod", 1, ""),))
    make_cluster(nodes=[held, node("node-1"), node("node-2")])
    page = api(people.viewer).get(f"{ONE}nodes/?page_size=2").json()
    assert (page["count"], len(page["results"])) == (3, 2)
    assert page["results"][0]["holders"] == [{"workload": "not ours", "gpus": 1}]
    assert api(people.viewer).get(f"{ONE}nodes/?colour=red").status_code == 422


def test_the_address_is_told_to_the_fleets_roles_only(people: People, api: ApiFor) -> None:
    make_cluster()
    assert api(people.viewer).get(ONE).json()["server"] is None
    assert api(people.auditor).get(ONE).json()["server"] == "https://prod-weu.example:6443"


def test_a_cluster_that_is_not_granted_is_not_there(people: People, api: ApiFor) -> None:
    cluster = make_cluster(open_to_all=False)
    ClusterGrant.objects.create(cluster=cluster, team=people.assist)
    outsider = api(people.outsider)
    assert outsider.get(PATH).json()["count"] == 0
    assert outsider.get(ONE).status_code == outsider.get(f"{ONE}nodes/").status_code == 404
    assert api(people.engineer).get(ONE).json()["teams"] == ["assist"]


def test_filters_and_orderings_are_those_that_the_schema_names(people: People, api: ApiFor) -> None:
    make_cluster("a")
    make_cluster("b", state="unreachable", cordoned=True)
    client = api(people.viewer)

    def names(query: str) -> list[str]:
        return [row["name"] for row in client.get(f"{PATH}?{query}").json()["results"]]

    assert names("state=ready") == ["a"] and names("cordoned=true") == ["b"]
    assert names("ordering=-name") == ["b", "a"]
    assert client.get(f"{PATH}?colour=red").status_code == 422


def test_registering_stores_the_credential_and_asks_for_a_check(
    people: People, api: ApiFor
) -> None:
    answer = api(people.operator).post(
        PATH, new(labels={"tier": "gold"}, grants=["assist"]), format="json"
    )
    assert answer.status_code == 201 and answer["Location"] == f"{PATH}new-one/"
    row = answer.json()
    assert (row["state"], row["teams"], row["gpus"]) == ("joining", ["assist"], None)
    assert TOKEN not in answer.content.decode()
    check = api(people.operator).get(f"/api/v1/checks/{row['check']}/").json()
    assert (check["kind"], check["state"]) == ("clusters.connection", "pending")


def test_a_kubeconfig_registers_too(people: People, api: ApiFor) -> None:
    sent = {"name": "kube", "kubeconfig": kubeconfig()}
    assert api(people.admin).post(PATH, sent, format="json").status_code == 201
    assert Cluster.objects.get(name="kube").server == "https://10.1.2.3:6443"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "Bad Name"}, "name"),
        ({"server": "http://10.1.2.3"}, "server"),
        ({"server": "https://169.254.169.254"}, "server"),
        ({"ca": "no certificate"}, "ca"),
        ({"token": "two words"}, "token"),
        ({"grants": ["nobody"]}, "grants"),
        ({"kubeconfig": "apiVersion: v1"}, "kubeconfig"),
    ],
)
def test_bad_input_names_its_field_and_stores_nothing(
    people: People, api: ApiFor, fields: dict[str, Any], field: str
) -> None:
    answer = api(people.operator).post(PATH, new(**fields), format="json")
    assert answer.status_code == 422 and answer.json()["type"] == "invalid"
    assert field in {row["field"] for row in answer.json()["errors"]}
    assert not Cluster.objects.exists() and TOKEN not in answer.content.decode()


def test_the_same_registration_twice_with_one_key_happens_once(people: People, api: ApiFor) -> None:
    client = api(people.operator)
    first, second = (
        client.post(PATH, new(), format="json", HTTP_IDEMPOTENCY_KEY="one") for _ in range(2)
    )
    assert first.json() == second.json() and Cluster.objects.count() == 1
    assert client.post(PATH, new(), format="json").status_code == 422


def test_cordon_and_uncordon_say_what_is_and_may_be_repeated(people: People, api: ApiFor) -> None:
    make_cluster()
    client = api(people.operator)
    for _ in range(2):
        row = client.post(f"{ONE}cordon/", {"reason": "upgrade"}, format="json").json()
        assert (row["cordoned"], row["cordon_reason"], row["version"]) == (True, "upgrade", 2)
    assert client.post(f"{ONE}cordon/", {}, format="json").status_code == 422
    assert client.post(f"{ONE}uncordon/").json()["cordoned"] is False


def test_an_action_on_an_older_version_is_refused(people: People, api: ApiFor) -> None:
    make_cluster(version=3)
    client = api(people.operator)
    answer = client.post(f"{ONE}cordon/", {"reason": "x"}, format="json", HTTP_IF_MATCH='"2"')
    assert answer.status_code == 412
    assert client.delete(ONE, HTTP_IF_MATCH='"2"').status_code == 412


def test_a_check_is_asked_for_and_answered_elsewhere(people: People, api: ApiFor) -> None:
    cluster = make_cluster()
    answer = api(people.operator).post(f"{ONE}check/")
    assert answer.status_code == 202 and answer.json()["state"] == "pending"
    assert Check.objects.get(cluster=cluster).requested_by == people.operator


def test_removing_ends_management_once(people: People, api: ApiFor) -> None:
    cluster = make_cluster()
    client = api(people.operator)
    assert client.delete(ONE).status_code == 204
    assert client.delete(ONE).status_code == client.get(ONE).status_code == 404
    cluster.refresh_from_db()
    assert cluster.state == "retired" and bytes(cluster.credential_sealed) == b""


def test_the_name_of_a_removed_cluster_may_be_used_again(people: People, api: ApiFor) -> None:
    removed = make_cluster()
    client = api(people.operator)
    assert client.delete(ONE).status_code == 204
    answer = client.post(PATH, {**new(), "name": removed.name}, format="json")
    assert answer.status_code == 201, answer.json()
    assert client.get(ONE).json()["id"] == answer.json()["id"] != str(removed.pk)


@pytest.mark.parametrize("who", ["viewer", "engineer", "approver", "auditor"])
def test_only_operators_and_admins_change_clusters(people: People, api: ApiFor, who: str) -> None:
    make_cluster()
    client = api(getattr(people, who))
    answers = [
        client.post(PATH, new(), format="json"),
        client.post(f"{ONE}check/"),
        client.post(f"{ONE}cordon/", {"reason": "x"}, format="json"),
        client.post(f"{ONE}uncordon/"),
        client.delete(ONE),
    ]
    assert {answer.status_code for answer in answers} == {403}


def test_a_token_for_reading_changes_nothing(people: People, api: ApiFor) -> None:
    make_cluster()
    assert api(people.operator, ["read"]).delete(ONE).status_code == 403


@pytest.mark.parametrize("path", ["check/", "cordon/", "uncordon/"])
def test_actions_are_not_read(people: People, api: ApiFor, path: str) -> None:
    make_cluster()
    assert api(people.operator).get(f"{ONE}{path}").status_code == 405
    assert api(people.operator).put(ONE, {}, format="json").status_code == 405


def test_queries_of_the_list_do_not_grow_with_its_rows(
    people: People, api: ApiFor, count_queries: CountQueries
) -> None:
    client = api(people.viewer)
    counts = []
    for index in range(2):
        for number in range(1 + 8 * index):
            make_cluster(f"c-{index}-{number}", [node()])
        with count_queries() as queries:
            client.get(PATH)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_pools_and_quota_of_a_cluster_are_told(people: People, api: ApiFor) -> None:
    held = [node(pool="new")]
    cluster = make_cluster(nodes=held, pools=[pool("new", held, quota=3)])
    cluster.quotas.create(instance_type="p5.48xlarge", nodes=3)
    row = api(people.viewer).get(ONE).json()
    [quota] = row["quotas"]
    assert (quota["nodes"], quota["existing_nodes"], quota["left"], quota["gpus_left"]) == (
        *(3, 1, 2, 16),
    )
    assert row["gpus"]["provisionable"] == 16 and row["pools"][0]["kind"] == "provisionable"
