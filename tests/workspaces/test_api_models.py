"""`models/`: the catalog over REST, and the fit of a model."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.models import Cluster
from tests.conftest import ApiFor, CountQueries
from tests.support import People
from tests.workspaces.conftest import PHI, MakeDeployment
from workspaces import catalog

ROOT = "/api/v1/models/"
LLAMA = "meta-llama--llama-3.1-8b-instruct"


def get(api: ApiFor, people: People, path: str, status: int = 200) -> Any:
    response = api(people.engineer).get(path)
    assert response.status_code == status, response.content
    return response.json()


def test_the_list_has_all_sixty_with_their_facts(
    people: People, fleet: dict[str, Cluster], api: ApiFor
) -> None:
    body = get(api, people, f"{ROOT}?page_size=200")
    assert body["count"] == len(catalog.load()) == len(body["results"])
    row = next(one for one in body["results"] if one["id"] == PHI)
    assert row["url"] == f"/catalog/{PHI}/"
    assert (row["fits"], row["clusters"], row["price_per_hour"]) == (6, 9, pytest.approx(0.8048))
    assert row["parameters"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("search=gpt-oss", {"openai--gpt-oss-20b", "openai--gpt-oss-120b"}),
        ("publisher=OpenAI", {"openai--gpt-oss-20b", "openai--gpt-oss-120b"}),
        ("task=completion", {"mistralai--mistral-7b-v0.3"}),
        ("gated=true&search=llama-3.1", {LLAMA}),
        ("fits=false&search=phi-4-mini", set()),
    ],
)
def test_filters(
    people: People, fleet: dict[str, Cluster], api: ApiFor, query: str, expected: set[str]
) -> None:
    found = {row["id"] for row in get(api, people, f"{ROOT}?{query}")["results"]}
    assert found == expected


def test_ordering_and_unknown_parameters(
    people: People, fleet: dict[str, Cluster], api: ApiFor
) -> None:
    rows = get(api, people, f"{ROOT}?ordering=-weights_gib")["results"]
    weights = [row["weights_gib"] for row in rows]
    assert weights == sorted(weights, reverse=True)
    body = get(api, people, f"{ROOT}?publishr=OpenAI", 422)
    assert body["errors"][0]["field"] == "publishr"


@pytest.mark.parametrize("name", [PHI, PHI.upper(), "phi-4-mini-instruct"])
def test_a_model_answers_to_its_slug_and_its_aliases(
    people: People, fleet: dict[str, Cluster], api: ApiFor, name: str
) -> None:
    assert get(api, people, f"{ROOT}{name}/")["id"] == PHI


def test_an_unknown_model_is_a_problem_document(
    people: People, fleet: dict[str, Cluster], api: ApiFor
) -> None:
    assert get(api, people, f"{ROOT}no-such/", 404)["type"] == "not-found"
    assert get(api, people, f"{ROOT}no-such/fit/", 404)["type"] == "not-found"


def test_fit_has_a_row_for_every_pool_with_the_reason(
    people: People, fleet: dict[str, Cluster], api: ApiFor
) -> None:
    rows = get(api, people, f"{ROOT}{PHI}/fit/")["results"]
    assert {row["cluster"] for row in rows} == set(fleet)
    by = {(row["cluster"], row["pool"]): row for row in rows}
    here = by["test-use1", "g6.xlarge"]
    assert (here["shape"], here["nodes"], here["fits"], here["reason"]) == ("1x22", 1, True, "")
    assert here["replicas"] == 4
    swc = by["prod-swc", "Standard_ND96isr_H100_v5"]
    assert not swc["fits"]
    assert swc["reason"].startswith("19 GPUs free, 0 whole nodes free (needs 1).")


def test_fit_of_an_arbitrary_shape_is_kaitos_figure(
    people: People, fleet: dict[str, Cluster], api: ApiFor
) -> None:
    path = f"{ROOT}{LLAMA}/fit/?shape=2x80&max_model_len=32768&kaito=0.12.0"
    (row,) = get(api, people, path)["results"]
    assert (row["cluster"], row["pool"], row["shape"]) == (None, None, "2x80")
    assert (row["nodes"], row["gpus"], row["fits"]) == (1, 2, True)
    assert row["arithmetic"][0]["label"] == "Usable per GPU"
    (known,) = get(api, people, f"{ROOT}{LLAMA}/fit/?shape=Standard_NC24ads_A100_v4")["results"]
    assert (known["shape"], known["instance_type"]) == ("1x80", "Standard_NC24ads_A100_v4")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("shape=80", "shape"),
        ("shape=0x80", "shape"),
        ("shape=2x80&max_model_len=-1", "max_model_len"),
        ("max_model_len=many", "max_model_len"),
        ("team=risk", "team"),
        ("shpe=2x80", "shpe"),
    ],
)
def test_fit_refuses_what_it_cannot_use_by_field(
    people: People, fleet: dict[str, Cluster], api: ApiFor, query: str, field: str
) -> None:
    assert get(api, people, f"{ROOT}{PHI}/fit/?{query}", 422)["errors"][0]["field"] == field


def test_a_cluster_of_another_team_is_not_in_the_fit(
    people: People, fleet: dict[str, Cluster], api: ApiFor
) -> None:
    Cluster.objects.filter(name="prod-weu").update(open_to_all=False)
    rows = get(api, people, f"{ROOT}{PHI}/fit/")["results"]
    assert "prod-weu" not in {row["cluster"] for row in rows}
    admin = api(people.auditor).get(f"{ROOT}{PHI}/fit/").json()["results"]
    assert "prod-weu" in {row["cluster"] for row in admin}


def test_the_lists_queries_do_not_grow_with_deployments(
    people: People, api: ApiFor, make_deployment: MakeDeployment, count_queries: CountQueries
) -> None:
    client, counts = api(people.engineer), []
    for size in (3, 30):
        for number in range(size):
            make_deployment(f"d{size}-{number}", {"prod-weu": "ready"})
        with count_queries() as queries:
            assert client.get(ROOT).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_without_a_token_nothing_is_answered(api: ApiFor, people: People) -> None:
    from rest_framework.test import APIClient

    assert APIClient().get(ROOT).status_code == 401
    assert api(people.engineer, ["approve"]).get(ROOT).status_code == 200
    assert api(people.engineer).post(ROOT, {}, format="json").status_code == 405


def test_a_teams_token_is_written_and_never_read(
    people: People, fleet: dict[str, Cluster], api: ApiFor
) -> None:
    path = "/api/v1/teams/assist/secret/"
    client = api(people.engineer)
    first = client.put(path, {"value": "hf_abcdefgh"}, format="json")
    assert (first.status_code, first.json()["version"]) == (200, 1)
    again = client.put(path, {"value": "hf_ijklmnop"}, format="json")
    assert again.json()["version"] == 2
    assert "hf_" not in again.content.decode()
    assert client.get(path).status_code == 405
    bad = client.put(path, {"value": "x"}, format="json")
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "value")
    assert api(people.viewer).put(path, {"value": "hf_abcdefgh"}, format="json").status_code == 403
    assert api(people.outsider).put(path, {"value": "hf_abcdef"}, format="json").status_code == 404
