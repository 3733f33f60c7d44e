from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from django.conf import settings
from django.test import Client
from django.urls import get_resolver

from fleetportal.accounts.checks import declared_verb, walk
from fleetportal.accounts.models import User
from fleetportal.web.middleware import LONGEST_QUERY
from tests.support import People

pytestmark = [pytest.mark.urls("tests.web.urls"), pytest.mark.django_db]
ClientFor = Callable[[User], Client]

# Everything that answers without signing in. A seventh needs a reason.
PUBLIC = {"healthz", "readyz", "metrics", "login/", "logout/", "api/schema/", "api/^.*$"}


def test_only_these_urls_answer_without_signing_in() -> None:
    routes = walk(get_resolver("fleetportal.urls").url_patterns)
    public = {route for route, entry in routes if declared_verb(entry.callback) == "public"}
    assert public == PUBLIC


def test_every_other_page_sends_a_stranger_to_the_login() -> None:
    for route, _ in walk(get_resolver("fleetportal.urls").url_patterns):
        if route in PUBLIC or route.startswith("api/") or "<" in route or "(" in route:
            continue
        for method in ("get", "post", "put", "delete"):
            answer = getattr(Client(), method)(f"/{route}")
            assert answer.status_code in (302, 405), (route, method, answer.status_code)
            if answer.status_code == 302:
                assert answer.headers["Location"].startswith("/login/")


def test_a_view_that_declares_nothing_answers_nobody(people: People, client_for: ClientFor) -> None:
    assert Client().get("/undeclared/").status_code == 302
    answer = client_for(people.admin).get("/undeclared/")
    assert answer.status_code == 403
    assert b"canary" not in answer.content


def test_a_verb_that_is_not_granted_is_403(people: People, client_for: ClientFor) -> None:
    assert client_for(people.admin).get("/admins/").content == b"canary"
    assert client_for(people.operator).get("/admins/").status_code == 403


def test_a_form_sent_without_a_session_comes_back_to_no_form(people: People) -> None:
    assert Client().post("/page/", {}).headers["Location"] == "/login/?next="


def test_a_part_without_a_session_sends_the_whole_page_to_the_login() -> None:
    headers = {"hx-request": "true", "hx-current-url": "http://testserver/page/?tab=2"}
    answer = Client().get("/test-fleet/", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == "/login/?next=%2Fpage%2F%3Ftab%3D2"
    foreign = {**headers, "hx-current-url": "https://evil.example/page/"}
    answer = Client().get("/test-fleet/", headers=foreign)
    assert "evil" not in answer.headers["HX-Redirect"]


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ("missing", 404, b"Not found"),
        ("refused", 409, b"Wait for it."),
        ("invalid", 422, b"replicas"),
    ],
)
def test_the_portals_errors_are_pages_with_the_remedy(
    people: People, client_for: ClientFor, how: str, status: int, words: bytes
) -> None:
    answer = client_for(people.engineer).get(f"/fails/{how}/")
    assert answer.status_code == status
    assert words in answer.content


def test_a_fault_of_ours_shows_an_id_only(
    people: People, client_for: ClientFor, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_for(people.engineer)
    client.raise_request_exception = False
    with caplog.at_level(logging.ERROR):
        answer = client.get("/fails/otherwise/")
    assert answer.status_code == 500
    assert b"canary" not in answer.content
    record = next(record for record in caplog.records if record.message == "web.failed")
    assert str(vars(record)["incident"]).encode() in answer.content


def test_a_page_that_does_not_exist_is_404_for_all(people: People, client_for: ClientFor) -> None:
    assert Client().get("/nothing/here/").status_code == 404
    assert client_for(people.engineer).get("/nothing/here/").status_code == 404


@pytest.mark.postgres
@pytest.mark.parametrize("path", ["/a%00b/", "/page/?q=%00", "/login/?next=%00"])
def test_a_nul_character_is_a_bad_request(path: str) -> None:
    assert Client().get(path).status_code == 400


@pytest.mark.postgres
@pytest.mark.parametrize("path", ["/clusters/", "/api/v1/clusters/"])
def test_a_nul_character_in_the_sessions_cookie_is_a_bad_request(path: str) -> None:
    cookie = f'{settings.SESSION_COOKIE_NAME}="abcdefgh\\000"'
    assert Client(headers={"cookie": cookie}).get(path).status_code == 400


def test_what_is_refused_before_any_view_says_why_to_programs_and_people() -> None:
    long = "q=" + "a" * LONGEST_QUERY
    for query, status, remedy in (("q=%00", 400, "NUL"), (long, 414, "16,384 bytes")):
        page = Client().get(f"/page/?{query}")
        assert page.status_code == status
        assert remedy in page.content.decode()
        problem = Client().get(f"/api/v1/clusters/?{query}")
        assert problem.headers["Content-Type"] == "application/problem+json"
        assert problem.json()["status"] == problem.status_code == status
        assert remedy in problem.json()["remedy"]


def test_every_answer_carries_the_policy(people: People, client_for: ClientFor) -> None:
    paths = ["/", "/page/", "/login/", "/nothing/", "/healthz", "/api/v1/tokens/", "/metrics"]
    for client in (Client(), client_for(people.engineer)):
        for path in paths:
            headers = client.get(path).headers
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self';" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "same-origin"
            assert "no-cache" in headers["Cache-Control"] or "no-store" in headers["Cache-Control"]


def test_a_page_may_not_be_kept_by_shared_caches(people: People, client_for: ClientFor) -> None:
    assert "private" in client_for(people.engineer).get("/page/").headers["Cache-Control"]
