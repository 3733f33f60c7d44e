from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from tests.conftest import ApiFor
from tests.support import PASSWORD, People

pytestmark = pytest.mark.urls("tests.rest.urls")
JSON = "application/json"


@pytest.fixture
def client(people: People, api: ApiFor) -> APIClient:
    return api(people.engineer)


def is_problem(answer: Any, status: int, type_: str) -> bool:
    body = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, body["status"], body["type"]) == (status, status, type_)
    assert body["title"]
    return True


def act(client: Any, body: object, **headers: str) -> Any:
    return client.post("/api/v1/act/", body, format="json", **headers)


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/", "/api/v1/nothing/", "/api/v2/x", "/api/v1/act"]
)
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
@pytest.mark.django_db
def test_a_path_that_does_not_exist_is_a_problem_for_anybody(path: str, method: str) -> None:
    assert is_problem(getattr(APIClient(), method)(path), 404, "not-found")


def test_without_a_token_401_names_the_way_in(people: People) -> None:
    answer = act(APIClient(), {})
    assert is_problem(answer, 401, "not-authenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="fleetportal"'


@pytest.mark.parametrize("text", ["Bearer fp_x", "Bearer", "Bearer \x7f", "bearer fp_0_0"])
def test_a_token_that_is_none_is_401(people: People, text: str) -> None:
    assert is_problem(act(APIClient(), {}, HTTP_AUTHORIZATION=text), 401, "not-authenticated")


def test_basic_opens_nothing_but_the_making_of_tokens(people: People) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Basic ZW5naW5lZXI6" + PASSWORD)
    assert act(client, {}).status_code == 401


@pytest.mark.parametrize(
    "raw",
    [b"{", b" ", b"\xff", b'{"a": NaN}', b'{"a": "\\ud800"}', b"[" * 5000, b'{"a": "\\u0000"}'],
)
def test_a_body_that_is_no_json_is_400(client: APIClient, raw: bytes) -> None:
    assert is_problem(client.post("/api/v1/act/", raw, content_type=JSON), 400, "bad-request")


def test_a_body_of_another_kind_is_415(client: APIClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml", "text/yaml"):
        answer = client.post("/api/v1/act/", b"a=1", content_type=kind)
        assert is_problem(answer, 415, "unsupported-media-type")


def test_a_body_that_is_too_large_is_413(client: APIClient, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    answer = client.post("/api/v1/act/", b'"' + b"x" * 200 + b'"', content_type=JSON)
    assert is_problem(answer, 413, "too-large")


def test_a_method_that_is_not_there_is_405(client: APIClient) -> None:
    assert is_problem(client.delete("/api/v1/act/"), 405, "method-not-allowed")


def test_an_answer_that_is_not_there_is_406(client: APIClient) -> None:
    answer = client.get("/api/v1/teams/", HTTP_ACCEPT="image/png")
    assert is_problem(answer, 406, "not-acceptable")


def test_fields_that_are_wrong_are_named(people: People, client: APIClient) -> None:
    answer = client.post("/api/v1/teams/", {"slug": "not a slug"}, format="json")
    assert is_problem(answer, 422, "invalid")
    assert [row["field"] for row in answer.json()["errors"]] == ["slug", "name"]


def test_a_wrong_field_says_what_to_send_and_repeats_little(client: APIClient) -> None:
    missing = client.post("/api/v1/tokens/", {}, format="json").json()["errors"]
    assert [(row["field"], row["remedy"]) for row in missing] == [("name", "Send this field.")]
    scopes = {"name": "x", "scopes": ["z" * 5_000]}
    (row,) = client.post("/api/v1/tokens/", scopes, format="json").json()["errors"]
    assert row["remedy"] and len(row["message"]) <= 300


@pytest.mark.parametrize("body", [[], "text", 7, None])
def test_a_body_that_is_no_object_is_422(client: APIClient, body: object) -> None:
    answer = client.post("/api/v1/teams/", body, format="json")
    assert is_problem(answer, 422, "invalid")


def test_the_portals_own_refusals_keep_their_type(client: APIClient) -> None:
    assert is_problem(act(client, {"does": "refuse"}), 409, "not-now")
    assert is_problem(act(client, {"does": "wait"}), 503, "temporary")


def test_a_verb_that_is_not_granted_is_403(people: People, api: ApiFor) -> None:
    assert is_problem(act(api(people.viewer), {}), 403, "forbidden")
    assert is_problem(act(api(people.engineer, ["read"]), {}), 403, "forbidden")


def test_a_fault_of_ours_answers_an_id_only_and_logs_the_rest(
    client: APIClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = act(client, {"does": "break"})
    assert is_problem(answer, 500, "internal")
    assert set(answer.json()) == {"type", "title", "status", "id"}
    record = next(record for record in caplog.records if record.message == "rest.failed")
    assert vars(record)["incident"] == answer.json()["id"]
    assert record.exc_info


def test_a_session_needs_the_csrf_token_to_write(people: People) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people.engineer)
    answer = browser.post("/api/v1/act/", {}, content_type=JSON)
    assert is_problem(answer, 403, "forbidden")
    assert browser.get("/api/v1/teams/").status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (None, 200),
        ('"7"', 200),
        ("7", 200),
        ('W/"7"', 200),
        ("*", 200),
        ('"6", "7"', 200),
        ('"6"', 412),
        ("7.0", 422),
        ("", 422),
        ('"²"', 422),
    ],
)
def test_if_match_lets_only_the_version_through(
    client: APIClient, sent: str | None, status: int
) -> None:
    headers = {} if sent is None else {"HTTP_IF_MATCH": sent}
    answer = act(client, {"does": "version"}, **headers)
    assert answer.status_code == status
    if status == 412:
        assert is_problem(answer, 412, "version-mismatch")
