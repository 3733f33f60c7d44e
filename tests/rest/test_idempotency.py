from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from fleetportal.accounts.models import Team
from fleetportal.accounts.tokens import token_create
from fleetportal.rest import idempotency
from fleetportal.rest.models import IdempotencyRecord
from tests.conftest import ApiFor
from tests.rest.urls import Act
from tests.support import People, race

pytestmark = pytest.mark.urls("tests.rest.urls")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    Act.calls = 0
    yield
    Act.during.clear()


@pytest.fixture
def client(people: People, api: ApiFor) -> APIClient:
    return api(people.engineer)


def act(client: APIClient, body: dict[str, Any], key: str = "k1") -> Any:
    return client.post("/api/v1/act/", body, format="json", HTTP_IDEMPOTENCY_KEY=key)


def test_the_same_write_twice_happens_once_with_the_same_answer(client: APIClient) -> None:
    first, second = act(client, {"a": 1, "b": 2}), act(client, {"b": 2, "a": 1})
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert Act.calls == 1
    assert idempotency.REPLAYED not in first.headers
    assert second.headers[idempotency.REPLAYED] == "true"


def test_status_and_location_are_repeated_too(client: APIClient) -> None:
    body = {"slug": "new", "name": "New"}
    answers = [
        client.post("/api/v1/teams/", body, format="json", HTTP_IDEMPOTENCY_KEY="k") for _ in "ab"
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert [answer.headers["Location"] for answer in answers] == ["/somewhere/"] * 2
    assert Team.objects.filter(slug="new").count() == 1


def test_another_body_with_the_same_key_is_refused_with_422(client: APIClient) -> None:
    act(client, {"a": 1})
    answer = act(client, {"a": 2})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert Act.calls == 1


def test_another_path_principal_or_scope_has_its_own_keys(
    people: People, api: ApiFor, client: APIClient
) -> None:
    act(client, {"a": 1})
    assert act(api(people.admin), {"a": 2}).status_code == 200
    assert act(api(people.engineer, ["deploy"]), {"a": 3}).status_code == 200
    body = {"slug": "new", "name": "New"}
    other = client.post("/api/v1/teams/", body, format="json", HTTP_IDEMPOTENCY_KEY="k1")
    assert other.status_code == 201


def test_a_call_still_in_flight_answers_409(client: APIClient) -> None:
    inner: list[Any] = []
    Act.during.append(lambda: inner.append(act(client, {"a": 1})))
    assert act(client, {"a": 1}).status_code == 200
    assert inner[0].status_code == 409
    assert inner[0].json()["type"] == "in-flight"
    assert Act.calls == 1


def test_a_call_that_died_in_flight_lets_its_key_go(client: APIClient) -> None:
    act(client, {"a": 1})
    long_ago = timezone.now() - idempotency.STUCK - timedelta(seconds=1)
    IdempotencyRecord.objects.update(status=0, created_at=long_ago)
    assert act(client, {"a": 1}).status_code == 200
    assert Act.calls == 2


@pytest.mark.parametrize(("does", "status"), [("refuse", 409), ("wait", 503), ("break", 500)])
def test_a_refusal_is_not_kept_so_that_the_key_may_try_again(
    client: APIClient, does: str, status: int
) -> None:
    assert act(client, {"does": does}).status_code == status
    assert not IdempotencyRecord.objects.exists()
    assert act(client, {"does": "well"}).status_code == 200


def test_after_a_day_the_key_is_forgotten_with_all_old_ones(client: APIClient) -> None:
    act(client, {"a": 1}, key="k1")
    act(client, {"a": 1}, key="k2")
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert act(client, {"a": 2}, key="k1").status_code == 200
    assert IdempotencyRecord.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb"])
def test_a_key_that_is_none_is_named(client: APIClient, key: str) -> None:
    answer = act(client, {}, key=key)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


def test_answers_are_sealed_in_the_database(client: APIClient) -> None:
    act(client, {"secret": "canary-4711"})
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM rest_idempotencyrecord")
        rows = b" ".join(
            bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
            for value in cursor.fetchone()
        )
    assert b"canary-4711" not in rows


def test_without_the_header_nothing_is_kept(client: APIClient) -> None:
    client.post("/api/v1/act/", {}, format="json")
    client.post("/api/v1/act/", {}, format="json")
    assert Act.calls == 2
    assert not IdempotencyRecord.objects.exists()


def test_someone_who_may_not_write_learns_nothing_from_a_key(
    people: People, api: ApiFor, client: APIClient
) -> None:
    act(client, {"a": 1})
    assert act(api(people.viewer), {"a": 1}).status_code == 403
    assert act(APIClient(), {"a": 1}).status_code == 401


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_four_calls_at_once_one_acts(people: People) -> None:
    _, token = token_create(user=people.engineer, name="ci")

    def call(_: int) -> int:
        own = APIClient()
        own.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return int(act(own, {"a": 1}).status_code)

    statuses = race(call, 4)
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    assert Act.calls == 1
