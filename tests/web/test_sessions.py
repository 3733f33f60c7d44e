from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from fleetportal.accounts.models import Membership, User
from fleetportal.web import sessions
from tests.conftest import CountQueries
from tests.support import People

pytestmark = pytest.mark.urls("tests.web.urls")


@pytest.fixture
def client(people: People, client_for: Callable[[User], Client]) -> Client:
    return client_for(people.engineer)


def age(client: Client, seconds: int) -> None:
    """Let the login be `seconds` ago."""
    session = client.session
    session[sessions.SINCE] -= seconds
    session.save()


def signed_in(client: Client) -> bool:
    return client.get("/page/").status_code == 200


def test_a_session_without_a_click_for_an_hour_ends(client: Client) -> None:
    key = client.session.session_key
    age(client, sessions.IDLE + 5)
    assert not signed_in(client)
    assert not Session.objects.filter(pk=key).exists()


def test_a_click_keeps_the_session_alive_without_a_write(
    client: Client, count_queries: CountQueries
) -> None:
    age(client, sessions.IDLE - 60)
    with count_queries() as queries:
        assert signed_in(client)
    assert not [query for query in queries if not query["sql"].startswith("SELECT")]
    assert sessions.COOKIE in client.cookies
    age(client, 300)
    assert signed_in(client)


def test_a_part_that_refreshes_itself_is_no_click(client: Client) -> None:
    age(client, sessions.IDLE - 60)
    answer = client.get("/page/", headers={"hx-request": "true"})
    assert answer.status_code == 200
    assert sessions.COOKIE not in client.cookies
    age(client, 300)
    assert not signed_in(client)


def test_after_twelve_hours_a_session_ends_however_busy(client: Client) -> None:
    age(client, sessions.IDLE - 60)
    assert signed_in(client)
    age(client, sessions.ABSOLUTE)
    assert not signed_in(client)


def test_the_click_of_one_session_does_not_keep_another_alive(
    people: People, client: Client, client_for: Callable[[User], Client]
) -> None:
    age(client, sessions.IDLE - 60)
    assert signed_in(client)
    other = client_for(people.approver)
    age(other, sessions.IDLE + 60)
    other.cookies[sessions.COOKIE] = client.cookies[sessions.COOKIE].value
    assert not signed_in(other)


@pytest.mark.parametrize("forged", ["", "x", "key@9999999999", "a:b:c"])
def test_a_forged_cookie_keeps_nothing_alive(client: Client, forged: str) -> None:
    age(client, sessions.IDLE + 60)
    client.cookies[sessions.COOKIE] = forged
    assert not signed_in(client)


def test_a_disabled_person_is_out_at_the_next_request(people: People, client: Client) -> None:
    assert signed_in(client)
    User.objects.filter(pk=people.engineer.pk).update(is_active=False)
    assert not signed_in(client)


def test_a_role_taken_away_is_gone_at_the_next_request(people: People, client: Client) -> None:
    assert signed_in(client)
    Membership.objects.filter(user=people.engineer).delete()
    assert client.get("/page/").status_code == 403


def test_a_changed_password_ends_the_session(people: People, client: Client) -> None:
    people.engineer.set_password("another long enough password")
    people.engineer.save()
    assert not signed_in(client)


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(people: People) -> None:
    client = Client()
    client.post("/login/", {"username": "engineer", "password": "correct horse battery staple"})
    cookie = client.cookies["fleetportal_main"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
