from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from fleetportal.accounts import limits
from fleetportal.accounts.models import User
from tests.support import PASSWORD, People

pytestmark = pytest.mark.urls("tests.web.urls")

ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "http:evil.example",
    "http:/evil.example",
    "https:///evil.example",
    "HTTPS://EVIL.EXAMPLE",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "ftp://evil.example/",
    " https://evil.example/",
    "\thttps://evil.example/",
    "\nhttps://evil.example/",
    "/\t/evil.example",
    "/\n/evil.example",
    "%2f%2fevil.example",
    "https:evil.example",
    "http://testserver@evil.example/",
    "http://testserver.evil.example/",
    "https://testserver:80@evil.example",
    "//testserver@evil.example/",
    "evil.example",
    "?next=//evil.example",
    "#//evil.example",
    "http://[::1",
    "/\u2028/evil.example\x00",
]


def sign_in(client: Client, username: str, password: str = PASSWORD, **more: str) -> Any:
    return client.post("/login/", {"username": username, "password": password, **more})


def test_the_right_password_leads_to_where_one_wanted_to_go(people: People) -> None:
    client = Client()
    asked = client.get("/page/?a=1&b=2")
    assert asked.status_code == 302
    assert asked.headers["Location"] == "/login/?next=/page/%3Fa%3D1%26b%3D2"
    form = client.get(asked.headers["Location"])
    assert b'name="next" value="/page/?a=1&amp;b=2"' in form.content
    answer = sign_in(client, "engineer", next="/page/?a=1&b=2")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/page/?a=1&b=2")
    assert client.get("/page/").content == b"hello engineer"


@pytest.mark.parametrize("target", ELSEWHERE)
def test_no_form_of_next_leads_out_of_the_portal(people: People, target: str) -> None:
    for answer in (
        sign_in(Client(), "engineer", next=target),
        Client().post(
            "/login/?" + "next=" + target.replace("#", "%23"),
            {"username": "engineer", "password": PASSWORD},
        ),
    ):
        if answer.status_code == 400:  # a NUL in the address
            continue
        assert answer.status_code == 302
        assert answer.headers["Location"] == "/"


def test_a_wrong_password_and_an_unknown_name_get_the_same_words(people: People) -> None:
    wrong = sign_in(Client(), "engineer", "wrong")
    unknown = sign_in(Client(), "nobody--", "wrong")
    assert wrong.status_code == unknown.status_code == 422
    assert b"User name or password is wrong." in wrong.content
    assert len(wrong.content) == len(unknown.content)


def test_the_eleventh_try_is_told_to_wait(people: People) -> None:
    for _ in range(limits.PER_ACCOUNT):
        sign_in(Client(), "engineer", "wrong")
    answer = sign_in(Client(), "engineer")
    assert answer.status_code == 429
    assert b"Try again in 15 minutes" in answer.content


def test_the_session_key_changes_at_login_and_logout(people: People) -> None:
    client = Client()
    session = client.session
    session["planted"] = "x"
    session.save()
    planted = str(session.session_key)
    sign_in(client, "engineer")
    signed_in = str(client.session.session_key)
    assert signed_in != planted
    assert not Session.objects.filter(pk=planted).exists()
    assert client.post("/logout/").headers["Location"] == "/login/"
    assert not Session.objects.filter(pk=signed_in).exists()
    assert client.get("/page/").status_code == 302


def test_forms_need_the_csrf_token(people: People) -> None:
    client = Client(enforce_csrf_checks=True)
    for path in ("/login/", "/logout/", "/switch/"):
        assert client.post(path, {"username": "engineer", "password": PASSWORD}).status_code == 403
    client.get("/login/")
    token = client.cookies["fleetportal_csrf"].value
    assert sign_in(client, "engineer", csrfmiddlewaretoken=token).status_code == 302


def test_a_form_from_another_site_is_refused(people: People) -> None:
    client = Client(enforce_csrf_checks=True)
    client.get("/login/")
    token = client.cookies["fleetportal_csrf"].value
    answer = client.post(
        "/login/",
        {"username": "engineer", "password": PASSWORD, "csrfmiddlewaretoken": token},
        headers={"origin": "https://evil.example"},
    )
    assert answer.status_code == 403


def test_a_foreign_host_is_refused(people: People) -> None:
    answer = Client().get("/login/", headers={"host": "evil.example"})
    assert (answer.status_code, answer.content) == (400, b"Bad request")


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("engineer", "deployments"),
        ("approver", "deployments"),
        ("operator", "fleet"),
        ("auditor", "fleet"),
    ],
)
def test_everybody_starts_at_their_own_page(
    people: People, client_for: Callable[[User], Client], name: str, home: str
) -> None:
    answer = client_for(getattr(people, name)).get("/")
    assert answer.headers["Location"] == reverse(home)


class TestDemo:
    @pytest.fixture(autouse=True)
    def demo(self, people: People, settings: Settings) -> None:
        settings.DEMO = True
        User.objects.filter(username__in=["engineer", "approver"]).update(is_demo=True)

    def test_the_login_page_offers_a_card_for_each_demo_account(self, settings: Settings) -> None:
        page = Client().get("/login/?username=engineer").content
        assert b"Engineer: deploys models" in page
        assert b"Approver: decides on stages" in page
        assert b"Operator" not in page
        assert b'value="engineer"' in page
        settings.DEMO = False
        assert b"Engineer: deploys models" not in Client().get("/login/").content

    def test_after_a_password_one_goes_on_as_another_account_at_the_same_page(self) -> None:
        client = Client()
        sign_in(client, "engineer")
        before = client.session.session_key
        answer = client.post("/switch/", {"username": "approver", "next": "/page/?x=1"})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/page/?x=1")
        assert client.get("/page/").content == b"hello approver"
        assert client.session.session_key != before
        assert client.post("/switch/", {"username": "engineer"}).status_code == 302

    def test_without_a_password_login_nobody_switches(
        self, people: People, client_for: Callable[[User], Client]
    ) -> None:
        assert (
            client_for(people.engineer).post("/switch/", {"username": "approver"}).status_code
            == 403
        )

    @pytest.mark.parametrize("name", ["admin", "nobody", "", "engineer\x00"])
    def test_only_to_demo_accounts(self, name: str) -> None:
        client = Client()
        sign_in(client, "engineer")
        assert client.post("/switch/", {"username": name}).status_code in (400, 403)
        assert client.get("/page/").content == b"hello engineer"

    def test_only_from_demo_accounts(self) -> None:
        client = Client()
        sign_in(client, "operator")
        assert client.post("/switch/", {"username": "approver"}).status_code == 403

    def test_outside_the_demo_nobody_switches(self, settings: Settings) -> None:
        client = Client()
        sign_in(client, "engineer")
        settings.DEMO = False
        assert client.post("/switch/", {"username": "approver"}).status_code == 403

    @pytest.mark.parametrize("target", ELSEWHERE)
    def test_a_switch_leads_nowhere_else(self, target: str) -> None:
        client = Client()
        sign_in(client, "engineer")
        answer = client.post("/switch/", {"username": "approver", "next": target})
        assert answer.status_code == 400 or answer.headers["Location"] == "/"
