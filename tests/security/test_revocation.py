"""Whoever loses the right to ask is refused at the next request, also by a page that polls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from fleetportal.accounts.models import Membership, Token, User
from fleetportal.accounts.tokens import token_create
from tests.security.world import Asker, World

pytestmark = pytest.mark.django_db
POLL = {"hx-request": "true", "hx-target": "deployment", "hx-current-url": "http://testserver/x/"}


def asker(world: World, name: str) -> Asker:
    return world.askers[name]


def own_page(world: World) -> str:
    return f"/deployments/{world.urls['deployment']['assist']['pk']}/"


def is_refused(client: Client, url: str) -> bool:
    """Pages, parts that poll, and the API alike."""
    page = client.get(url)
    part = client.get(url, headers=POLL)
    api = client.get("/api/v1/deployments/")
    assert page.status_code == 302
    assert page.headers["Location"].startswith("/login/")
    assert part.status_code == 204
    assert part.headers["HX-Redirect"].startswith("/login/")
    assert api.status_code == 401
    return b"phi-assist" not in page.content + part.content + api.content


def disable(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def change_password(user: User) -> None:
    user.set_password("another long pass phrase")
    user.save()


def delete_sessions(user: User) -> None:
    from django.contrib.sessions.models import Session

    Session.objects.all().delete()


@pytest.mark.parametrize("lose", [disable, change_password, delete_sessions])
@pytest.mark.parametrize("who", ["engineer", "admin"])
def test_a_session_ends_at_the_next_request(
    world: World, who: str, lose: Callable[[User], None]
) -> None:
    one, url = asker(world, who), own_page(world)
    assert one.user is not None
    client = Client()
    client.force_login(one.user)
    assert client.get(url, headers=POLL).status_code == 200
    lose(User.objects.get(pk=one.user.pk))
    assert is_refused(client, url)


def test_after_logging_out_the_old_cookie_is_worth_nothing(world: World) -> None:
    user = asker(world, "engineer").user
    assert user is not None
    client, other = Client(), Client()
    client.force_login(user)
    other.cookies.load(client.cookies.output(header="", sep=";"))
    assert other.get(own_page(world)).status_code == 200
    client.post("/logout/")
    assert is_refused(other, own_page(world))


def test_signing_in_gives_the_session_another_key(world: World) -> None:
    client = Client()
    client.cookies.load("fleetportal_main=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
    sent = {"username": "engineer", "password": "correct horse battery staple"}
    client.post("/login/", sent)
    first = client.session.session_key
    assert first
    assert first != "a" * 32
    client.post("/login/", {**sent, "username": "viewer"})
    assert client.session.session_key != first


def test_leaving_a_team_takes_effect_at_the_next_poll(world: World) -> None:
    one, url = asker(world, "engineer"), own_page(world)
    assert one.client.get(url, headers=POLL).status_code == 200
    Membership.objects.filter(user=one.user).delete()
    assert one.client.get(url, headers=POLL).status_code in (403, 404)
    assert one.client.get(f"/api/v1{url}").status_code in (403, 404)


def test_a_lesser_role_takes_effect_at_the_next_click(world: World) -> None:
    one = asker(world, "engineer")
    url = f"/rollouts/{world.urls['rollout']['assist']['pk']}/pause/"
    assert one.client.get(url).status_code == 200
    Membership.objects.filter(user=one.user).update(role="viewer")
    assert one.client.post(url, {"comment": "Stop"}).status_code == 403
    assert one.client.get(own_page(world)).status_code == 200


@pytest.mark.parametrize("who", ["operator", "admin", "auditor"])
def test_losing_the_fleet_role_hides_every_team(world: World, who: str) -> None:
    one = asker(world, who)
    assert one.client.get(own_page(world)).status_code == 200
    User.objects.filter(username=who).update(fleet_role="")
    assert one.client.get(own_page(world)).status_code in (403, 404)
    assert one.client.get("/clusters/register/").status_code == 403


@pytest.mark.parametrize("how", ["revoke", "expire", "disable", "delete"])
def test_a_token_is_refused_at_the_next_call(world: World, how: str) -> None:
    user = User.objects.get(username="engineer")
    token, text = token_create(user=user, name="mine")
    headers = {"authorization": f"Bearer {text}"}
    assert Client().get("/api/v1/plans/", headers=headers).status_code == 200
    rows, now = Token.objects.filter(pk=token.pk), timezone.now()
    if how == "revoke":
        Client().delete(f"/api/v1/tokens/{token.pk}/", headers=headers)
    elif how == "expire":
        rows.update(expires_at=now - timedelta(seconds=1))
    elif how == "disable":
        disable(user)
    else:
        rows.delete()
    answer = Client().get("/api/v1/plans/", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_does_not_outgrow_a_role_that_its_user_lost(world: World) -> None:
    user = User.objects.get(username="engineer")
    _, text = token_create(user=user, name="mine", scopes=["deploy"])
    headers = {"authorization": f"Bearer {text}"}
    url = f"/api/v1/plans/{world.urls['plan']['assist']['pk']}/again/"
    assert Client().post(url, headers=headers).status_code in (201, 202)
    Membership.objects.filter(user=user).update(role="viewer")
    assert Client().post(url, headers=headers).status_code == 403


def test_a_token_opens_no_page_and_a_broken_one_no_endpoint(world: World) -> None:
    _, text = token_create(user=User.objects.get(username="admin"), name="mine")
    headers = {"authorization": f"Bearer {text}"}
    assert Client().get("/clusters/", headers=headers).status_code == 302
    for wrong in (text[:-1], text + "x", text.upper(), "fp_", "fp__", "Bearer", "", "é" * 9):
        bad = {"authorization": f"Bearer {wrong}"}
        assert Client().get("/api/v1/plans/", headers=bad).status_code == 401, wrong


def test_a_token_makes_no_wider_token(world: World) -> None:
    user = User.objects.get(username="admin")
    _, text = token_create(user=user, name="mine", scopes=["read"])
    _, admin = token_create(user=user, name="wide", scopes=["admin"])
    for header, status in ((text, 403), (admin, 201)):
        answer = Client().post(
            "/api/v1/tokens/",
            {"name": "more", "scopes": ["deploy"]},
            content_type="application/json",
            headers={"authorization": f"Bearer {header}"},
        )
        assert answer.status_code == status
