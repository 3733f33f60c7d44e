"""`plans/`: asking, reading, repeating, trying."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.models import Check, Cluster
from fleetportal.accounts.models import Membership
from tests.conftest import ApiFor, CountQueries
from tests.support import People
from tests.workspaces.conftest import PHI, MakeDeployment, MakePlan
from workspaces.models import Plan

ROOT = "/api/v1/plans/"
ASKED: dict[str, Any] = {"model": "phi-4-mini-instruct", "replicas": 3}


def test_a_plan_is_made_with_a_verdict_for_every_cluster(
    people: People, fleet: dict[str, Cluster], api: ApiFor
) -> None:
    response = api(people.engineer).post(ROOT, ASKED, format="json")
    body = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"{ROOT}{body['id']}/"
    assert (body["state"], body["team"], body["name"]) == ("ready", "assist", "phi-4-mini-instruct")
    assert body["url"] == f"/plans/{body['id']}/"
    assert body["price_per_hour"] == pytest.approx(8.15, abs=0.01)
    assert body["verdict_count"] == len(body["verdicts"]) == len(fleet)
    for verdict in body["verdicts"]:
        if verdict["verdict"] == "rejected":
            assert any(one["passed"] is False for one in verdict["filters"])
        else:
            points = sum(term["points"] for term in verdict["scores"])
            assert points == pytest.approx(verdict["total"])


def test_a_plan_that_nobody_has_computed_yet_is_202(
    people: People, make_plan: MakePlan, api: ApiFor
) -> None:
    plan = make_plan()
    Plan.objects.filter(pk=plan.pk).update(state="computing")
    body = api(people.engineer).get(f"{ROOT}{plan.pk}/").json()
    assert body["state"] == "computing"


def test_the_policy_is_taken_in_kubefleets_words(
    people: People, fleet: dict[str, Cluster], api: ApiFor
) -> None:
    policy = {"placement_type": "PickFixed", "cluster_names": ["prod-weu"], "spread": []}
    body = api(people.engineer).post(
        ROOT, {**ASKED, "replicas": 1, "policy": policy}, format="json"
    )
    chosen = [v["cluster"] for v in body.json()["verdicts"] if v["verdict"] == "selected"]
    assert chosen == ["prod-weu"]
    assert body.json()["policy"] == policy


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"replicas": 0}, "replicas"),
        ({"replicas": "many"}, "replicas"),
        ({"model": "no-such"}, "model"),
        ({"max_model_len": 10_000_000}, "max_model_len"),
        ({"runtime": "triton"}, "runtime"),
        ({"strategy": "nope"}, "strategy"),
        ({"name": "Not A Label"}, "name"),
        ({"team": "risk"}, "team"),
        ({"replica": 1}, "replica"),
        ({"policy": {"placement_type": "PickSome"}}, "policy.placement_type"),
        ({"policy": {"placement_type": "PickN", "number_of_clusters": 5}}, "replicas"),
        ({"policy": ["PickN"]}, "policy"),
        ({"deployment": "00000000-0000-0000-0000-000000000000"}, "deployment"),
    ],
)
def test_what_cannot_be_used_is_refused_by_field(
    people: People, fleet: dict[str, Cluster], api: ApiFor, change: dict[str, Any], field: str
) -> None:
    response = api(people.engineer).post(ROOT, {**ASKED, **change}, format="json")
    assert response.status_code == 422, response.content
    assert field in {problem["field"] for problem in response.json()["errors"]}
    assert not Plan.objects.exists()


def test_somebody_in_two_teams_has_to_name_one(
    people: People, fleet: dict[str, Cluster], api: ApiFor
) -> None:
    Membership.objects.create(user=people.engineer, team=people.risk, role="engineer")
    client = api(people.engineer)
    response = client.post(ROOT, ASKED, format="json")
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "team")
    named = client.post(ROOT, {**ASKED, "team": "risk"}, format="json")
    assert named.json()["team"] == "risk"


def test_a_deployment_is_planned_again_by_its_id(
    people: People, make_deployment: MakeDeployment, api: ApiFor
) -> None:
    deployment = make_deployment("chat", {"prod-weu": "ready"})
    asked = {"deployment": str(deployment.pk), "replicas": 1}
    body = api(people.engineer).post(ROOT, asked, format="json").json()
    assert (body["name"], body["model"], body["deployment"]) == ("chat", PHI, str(deployment.pk))


def test_the_same_key_gives_the_same_plan(
    people: People, fleet: dict[str, Cluster], api: ApiFor
) -> None:
    client = api(people.engineer)
    first, second = (
        client.post(ROOT, ASKED, format="json", headers={"Idempotency-Key": "k1"}) for _ in range(2)
    )
    assert first.json()["id"] == second.json()["id"]
    assert Plan.objects.count() == 1


def test_again_makes_a_plan_that_knows_the_one_before(
    people: People, make_plan: MakePlan, api: ApiFor
) -> None:
    plan = make_plan()
    response = api(people.engineer).post(f"{ROOT}{plan.pk}/again/")
    assert (response.status_code, response.json()["previous"]) == (201, str(plan.pk))


def test_manifests_are_base_patches_and_both_put_together(
    people: People, make_plan: MakePlan, api: ApiFor
) -> None:
    plan = make_plan()
    body = api(people.viewer).get(f"{ROOT}{plan.pk}/manifests/").json()
    assert set(body["clusters"]) == set(body["patches"]) == {"test-use1", "stg-weu", "prod-weu"}
    kinds = [one["kind"] for one in body["clusters"]["prod-weu"]]
    assert kinds == ["Namespace", "ConfigMap", "InferenceSet", "Service"]


def test_a_dry_run_is_a_check_that_can_be_read_again(
    people: People, make_plan: MakePlan, api: ApiFor
) -> None:
    plan, client = make_plan(), api(people.engineer)
    response = client.post(f"{ROOT}{plan.pk}/dry-run/")
    assert response.status_code == 202
    check = response.json()
    assert (check["kind"], check["subject_id"]) == ("workspaces.dry_run", str(plan.pk))
    assert client.get(f"/api/v1/checks/{check['id']}/").json()["state"] == "pending"
    assert api(people.outsider).get(f"/api/v1/checks/{check['id']}/").status_code == 404
    assert Check.objects.count() == 1
    Plan.objects.filter(pk=plan.pk).update(state="expired")
    assert client.post(f"{ROOT}{plan.pk}/dry-run/").status_code == 409


def test_the_list_is_filtered_and_lean(people: People, make_plan: MakePlan, api: ApiFor) -> None:
    make_plan("one")
    make_plan("two")
    client = api(people.engineer)
    rows = client.get(f"{ROOT}?name=one&state=ready,blocked").json()["results"]
    assert [row["name"] for row in rows] == ["one"]
    assert "verdicts" not in rows[0]
    assert client.get(f"{ROOT}?state=nonsense").status_code == 422


def test_the_lists_queries_do_not_grow_with_rows(
    people: People, make_plan: MakePlan, api: ApiFor, count_queries: CountQueries
) -> None:
    client, counts = api(people.engineer), []
    for size in (3, 30):
        for number in range(size):
            make_plan(f"p{size}-{number}")
        with count_queries() as queries:
            assert client.get(ROOT).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_roles_and_teams_are_kept(people: People, make_plan: MakePlan, api: ApiFor) -> None:
    plan = make_plan()
    assert api(people.viewer).post(ROOT, ASKED, format="json").status_code == 403
    assert api(people.engineer, ["read"]).post(ROOT, ASKED, format="json").status_code == 403
    assert api(people.outsider).get(f"{ROOT}{plan.pk}/").status_code == 404
    assert api(people.outsider).post(f"{ROOT}{plan.pk}/again/").status_code == 404
    assert api(people.outsider).get(ROOT).json()["count"] == 0
    assert api(people.auditor).get(ROOT).json()["count"] == 1
    assert api(people.engineer).get(f"{ROOT}not-a-uuid/").status_code == 404
    assert api(people.engineer).delete(f"{ROOT}{plan.pk}/").status_code == 405
