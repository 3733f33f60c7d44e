from __future__ import annotations

from typing import Any

import pytest

from fleetportal.accounts.models import Team
from tests.conftest import ApiFor
from tests.support import People

pytestmark = pytest.mark.urls("tests.rest.urls")


@pytest.fixture
def get(people: People, api: ApiFor) -> Any:
    client = api(people.auditor)
    return lambda query="": client.get(f"/api/v1/teams/{query}")


def slugs(answer: Any) -> list[str]:
    return [row["slug"] for row in answer.json()["results"]]


def test_a_list_says_how_many_there_are_and_where_it_stands(get: Any) -> None:
    body = get("?page=2&page_size=1").json()
    assert (body["count"], body["page"], body["page_size"]) == (2, 2, 1)
    assert [row["slug"] for row in body["results"]] == ["risk"]
    assert body["next"] is None
    assert "page_size=1" in body["previous"]


def test_a_wish_for_more_than_200_rows_is_cut_and_says_so(get: Any) -> None:
    assert get("?page_size=5000").json()["page_size"] == 200


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "page=", "page_size=0", "page=²"])
def test_a_page_that_is_no_number_is_refused_by_name(get: Any, query: str) -> None:
    answer = get(f"?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


def test_a_page_beyond_the_last_is_not_there(get: Any) -> None:
    answer = get("?page=9")
    assert (answer.status_code, answer.json()["type"]) == (404, "not-found")


def test_a_parameter_that_means_nothing_is_refused_by_name(get: Any) -> None:
    answer = get("?nmae=assist&page=1")
    assert answer.status_code == 422
    assert [row["field"] for row in answer.json()["errors"]] == ["nmae"]
    assert "name" in answer.json()["errors"][0]["remedy"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ordering=-slug", ["risk", "assist"]),
        ("ordering=name", ["assist", "risk"]),
        ("slug=risk", ["risk"]),
        ("slug=risk,assist", ["assist", "risk"]),
        ("slug=risk&slug=assist", ["assist", "risk"]),
        ("kind=risk", ["risk"]),
        ("name=Assist", ["assist"]),
        ("empty=TRUE", []),
        ("since=2000-01-01T00:00:00%2B02:00&name=Risk&page_size=1", ["risk"]),
        ("token=6b1f466b-e19c-4c28-bd30-3edc00d965f6", []),
    ],
)
def test_filters_and_orderings_of_the_allow_list_work(
    get: Any, query: str, expected: list[str]
) -> None:
    assert slugs(get(f"?{query}")) == expected


@pytest.mark.parametrize(
    "query",
    [
        "ordering=password",
        "ordering=-",
        "ordering=slug__x",
        "kind=other",
        "kind=",
        "number=x",
        "number=9999999999999999999999",
        "empty=perhaps",
        "since=yesterday",
        "since=2000-99-99T00:00:00Z",
        "token=7",
        "name=a&name=b",
        "since=0001-01-01T00:00:00%2B14:00",
        "since=9999-12-31T23:59:59-14:00",
        f"name={'a' * 201}",
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(get: Any, query: str) -> None:
    answer = get(f"?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.postgres
def test_a_nul_character_is_refused_before_the_database_sees_it(get: Any) -> None:
    assert get("?name=%00").status_code == 400
    assert get("a%00b/").status_code in (400, 404)


def test_an_object_is_found_by_a_name_with_dots_and_a_missing_one_is_404(get: Any) -> None:
    Team.objects.create(slug="a.b-1.5", name="Dots")
    assert get("a.b-1.5/").json()["name"] == "Dots"
    assert get("nothing/").status_code == 404


def test_a_list_costs_the_same_queries_for_any_number_of_rows(
    get: Any, django_assert_max_num_queries: Any
) -> None:
    Team.objects.bulk_create(Team(slug=f"t{n}", name=f"T{n}") for n in range(120))
    with django_assert_max_num_queries(4):
        assert len(get("?page_size=100").json()["results"]) == 100
