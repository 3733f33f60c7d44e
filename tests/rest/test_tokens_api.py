from __future__ import annotations

import base64
from typing import Any

import pytest
from rest_framework.test import APIClient

from fleetportal.accounts import limits
from fleetportal.accounts.models import Token
from fleetportal.journal.models import Event
from tests.conftest import ApiFor
from tests.support import PASSWORD, People

URL = "/api/v1/tokens/"


def basic(username: str, password: str) -> APIClient:
    client = APIClient()
    word = base64.b64encode(f"{username}:{password}".encode()).decode()
    client.credentials(HTTP_AUTHORIZATION=f"Basic {word}")
    return client


def post(client: APIClient, **body: object) -> Any:
    return client.post(URL, {"name": "ci", **body}, format="json")


def test_a_password_gets_a_token_that_works(people: People) -> None:
    answer = post(basic("engineer", PASSWORD), scopes=["read"], expires_in_days=7)
    assert answer.status_code == 201
    body = answer.json()
    assert body["scopes"] == ["read"]
    assert isinstance(body["id"], str)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {body['token']}")
    assert client.get("/api/v1/events/").status_code == 200


def test_the_text_is_shown_once(people: People, api: ApiFor) -> None:
    text = post(basic("engineer", PASSWORD)).json()["token"]
    answer = api(people.engineer).get(URL)
    assert answer.json()["count"] == 2  # and the token that asks
    assert text.encode() not in answer.content
    assert "token" not in answer.json()["results"][0]


def test_the_limits_of_the_login_hold_here_too(people: People) -> None:
    for _ in range(limits.PER_ACCOUNT):
        assert post(basic("engineer", "wrong")).status_code == 401
    answer = post(basic("engineer", PASSWORD))
    assert answer.status_code == 429
    assert answer.json()["type"] == "too-many-tries"
    assert answer.headers["Retry-After"] == "900"


@pytest.mark.parametrize(
    "word", ["Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff").decode()]
)
def test_a_basic_header_that_is_none_is_401(people: People, word: str) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=word)
    assert post(client).status_code == 401


def test_a_password_opens_only_the_making_of_a_token(people: People) -> None:
    assert basic("engineer", PASSWORD).get(URL).status_code == 401
    token = Token.objects.first()
    assert token is None


def test_people_list_and_revoke_only_their_own(people: People, api: ApiFor) -> None:
    client = api(people.engineer)
    other = post(api(people.admin)).json()["id"]
    mine = post(client).json()["id"]
    assert mine in {row["id"] for row in client.get(URL).json()["results"]}
    assert other not in {row["id"] for row in client.get(URL).json()["results"]}
    assert client.delete(f"{URL}{other}/").status_code == 404
    assert client.delete(f"{URL}nonsense/").status_code == 404
    assert client.delete(f"{URL}{mine}/").status_code == 204
    assert client.delete(f"{URL}{mine}/").status_code == 204
    assert Token.objects.get(pk=mine).revoked_at is not None


def test_making_and_revoking_are_in_the_journal_once_each(people: People, api: ApiFor) -> None:
    client = api(people.engineer)
    pk = post(client, scopes=["read"]).json()["id"]
    client.delete(f"{URL}{pk}/")
    client.delete(f"{URL}{pk}/")
    rows = Event.objects.order_by("id").values_list("action", "actor_name", "via", "object_id")
    assert list(rows) == [
        ("token.create", "engineer", "token test", pk),
        ("token.revoke", "engineer", "token test", pk),
    ]


def test_a_token_makes_no_wider_one(people: People, api: ApiFor) -> None:
    assert post(api(people.engineer, ["read"])).status_code == 403
    assert post(api(people.engineer, ["deploy"]), scopes=["admin"]).status_code == 403
    assert post(api(people.engineer, ["admin"]), scopes=["read"]).status_code == 201


def test_a_lost_answer_is_given_again_for_the_same_key(people: People) -> None:
    client = basic("engineer", PASSWORD)
    answers = [
        client.post(URL, {"name": "ci"}, format="json", HTTP_IDEMPOTENCY_KEY="k") for _ in "ab"
    ]
    assert answers[0].json() == answers[1].json()
    assert Token.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"scopes": ["root"]}, "scopes.0"),
        ({"scopes": "read"}, "scopes"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": "soon"}, "expires_in_days"),
    ],
)
def test_a_wrong_field_is_named(
    people: People, api: ApiFor, body: dict[str, object], field: str
) -> None:
    answer = post(api(people.engineer), **body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
