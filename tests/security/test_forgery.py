"""Requests that come from somewhere else: without the form's token, from another site, by another
name of this host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from tests.security.matrix import is_api, names, url_of, whiches
from tests.security.table import ROWS
from tests.security.world import World

pytestmark = pytest.mark.django_db
UNSAFE = ("post", "put", "patch", "delete")
PAGES = [name for name in names() if not is_api(name)]


@pytest.fixture
def strict(world: World) -> Client:
    """The admin's browser; the test client's usual pass for CSRF is off."""
    user = world.askers["admin"].user
    assert user is not None
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(user)
    return client


def addresses(world: World) -> Iterator[tuple[str, str]]:
    for name in names():
        yield name, url_of(world, name, whiches(world, ROWS[name])[0], world.askers["admin"])


def token(client: Client) -> str:
    client.get("/login/")
    return client.cookies["fleetportal_csrf"].value


def test_no_page_takes_an_unsafe_method_without_the_forms_token(
    world: World, strict: Client
) -> None:
    for name, url in addresses(world):
        for method in UNSAFE:
            answer = getattr(strict, method)(url, data={}, content_type="application/json")
            if not is_api(name):
                assert answer.status_code == 403, (name, method)
            elif name not in ("api-schema", "api-nothing"):
                assert answer.status_code in (403, 405), (name, method)


def test_no_page_takes_a_form_of_another_site(world: World, strict: Client) -> None:
    value = token(strict)
    foreign = {"origin": "https://evil.example", "x-csrftoken": value}
    for name, url in addresses(world):
        if not is_api(name):
            assert strict.post(url, {}, headers=foreign).status_code == 403, name
    null = {"origin": "null", "x-csrftoken": value}
    assert strict.post("/logout/", {}, headers=null).status_code == 403
    own = {"origin": "http://testserver", "x-csrftoken": value}
    assert strict.post("/logout/", {}, headers=own).status_code == 302


def test_the_api_takes_a_session_only_with_its_token(world: World, strict: Client) -> None:
    body = {"data": {"name": "mine"}, "content_type": "application/json"}
    answer = strict.post("/api/v1/tokens/", **body)  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    value = token(strict)
    good = strict.post("/api/v1/tokens/", headers={"x-csrftoken": value}, **body)  # type: ignore[arg-type]
    assert good.status_code == 201


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil"])
def test_another_host_name_is_a_bad_request_everywhere(world: World, host: str) -> None:
    client = world.askers["admin"].client
    for name, url in addresses(world):
        for method in ("get", "post"):
            answer = getattr(client, method)(url, headers={"host": host})
            assert answer.status_code == 400, (name, method, host)
            assert host.encode() not in answer.content


@pytest.mark.parametrize(
    "target",
    [
        *("//evil.example", "https://evil.example/", "///evil.example", "/\\evil.example"),
        *("\\\\evil.example", "http:evil.example", "javascript:alert(1)", "/%0d%0aX: y"),
        *("https:///evil.example", "/\t/evil.example", " //evil.example", "//\\evil.example"),
        *("data:text/html,x", "http://testserver@evil.example/", "/ok\r\nSet-Cookie: a=b"),
    ],
)
def test_no_redirect_leaves_the_portal(world: World, target: str) -> None:
    engineer = world.askers["engineer"]
    sent = {"value": "hf_abcdefgh", "next": target}
    answers = [engineer.client.post("/teams/assist/secret/", sent)]
    login = {"username": "engineer", "password": "correct horse battery staple", "next": target}
    answers.append(Client().post("/login/", login))
    for answer in answers:
        location = answer.headers["Location"]
        assert location.startswith("/"), location
        assert not location.startswith(("//", "/\\")), location
        assert "evil" not in location.split("?")[0] or location.startswith("/%"), location
        assert "\r" not in location
        assert "\n" not in location


def test_cookies_are_kept_from_scripts_and_from_other_sites(world: World) -> None:
    client = Client()
    login = {"username": "engineer", "password": "correct horse battery staple"}
    client.post("/login/", login)
    session = next(value for key, value in client.cookies.items() if "csrf" not in key)
    assert session["httponly"]
    assert {cookie["samesite"] for cookie in client.cookies.values()} == {"Lax"}
