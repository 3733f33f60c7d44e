"""Parts of pages: one render for each change and kind of reader, and never another's content."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory

from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from fleetportal.kit import fragments, news
from fleetportal.kit.fragments import fragment
from tests.clusters.rows import make_cluster
from tests.live.pages import signed_in
from tests.process.stack import Redis
from tests.support import People, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
HTMX = {"HX-Request": "true"}


def asked(user: User, path: str = "/x/", htmx: bool = True) -> HttpRequest:
    request: Any = RequestFactory().get(path)
    request.htmx = type("Htmx", (), {"boosted": False, "__bool__": lambda self: htmx})()
    request.user, request.principal = user, Principal(user)
    return request  # type: ignore[no-any-return]


class Render:
    """Counts, and says who was first."""

    def __init__(self, text: Callable[[], str] = lambda: "body") -> None:
        self.times = 0
        self.text = text

    def __call__(self) -> HttpResponse:
        self.times += 1
        return HttpResponse(self.text())


def test_equal_readers_share_one_render_until_a_topic_changes(people: People) -> None:
    other = make_user("viewer2", viewer=people.assist)
    render = Render()
    for user in (people.viewer, other, people.viewer):
        assert fragment(asked(user), "k", ["fleet"], render).content == b"body"
    assert render.times == 1
    news.tell(["clusters"])
    fragment(asked(other), "k", ["fleet"], render)
    assert render.times == 1
    news.tell(["fleet"])
    fragment(asked(other), "k", ["fleet"], render)
    assert render.times == 2


def test_readers_of_other_teams_or_roles_never_share(people: People) -> None:
    render = Render()
    everybody = (
        people.viewer,
        people.engineer,
        people.outsider,
        people.approver,
        people.operator,
        people.admin,
        people.auditor,
    )
    for user in everybody:
        fragment(asked(user), "k", ["fleet"], render)
    assert render.times == len(everybody)


def test_a_personal_part_is_shared_with_nobody(people: People) -> None:
    other = make_user("viewer2", viewer=people.assist)
    render = Render()
    for user in (people.viewer, other, other):
        fragment(asked(user), "k", ["fleet"], render, personal=True)
    assert render.times == 2


def test_filters_and_pages_are_parts_of_their_own(people: People) -> None:
    render = Render()
    for path in ("/x/", "/x/?page=2", "/y/"):
        fragment(asked(people.viewer, path), "k", ["fleet"], render)
    assert render.times == 3


def test_a_part_with_a_form_token_is_never_kept(people: People) -> None:
    request = asked(people.viewer)
    render = Render(lambda: get_token(request))
    fragment(request, "k", ["fleet"], render)
    again = Render()
    fragment(asked(people.viewer), "k", ["fleet"], again)
    assert again.times == 1


def test_whole_pages_are_never_kept(people: People) -> None:
    render = Render()
    for _ in range(2):
        fragment(asked(people.viewer, htmx=False), "k", ["fleet"], render)
    assert render.times == 2


def test_a_render_that_fails_is_nobodys_answer(people: People) -> None:
    def broken() -> HttpResponse:
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError):
        fragment(asked(people.viewer), "k", ["fleet"], broken)
    assert fragment(asked(people.viewer), "k", ["fleet"], Render()).content == b"body"


def test_many_at_once_wait_for_one_render(people: People) -> None:
    started, go = threading.Event(), threading.Event()

    def slow() -> HttpResponse:
        render.times += 1
        started.set()
        assert go.wait(5)
        return HttpResponse("body")

    render = Render()
    requests = [asked(people.viewer) for _ in range(8)]
    for request in requests:
        assert request.principal.permission_class  # type: ignore[attr-defined]
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(fragment, requests[0], "k", ["fleet"], slow)
        assert started.wait(5)
        rest = [pool.submit(fragment, r, "k", ["fleet"], slow) for r in requests[1:]]
        go.set()
        bodies = [each.result(5).content for each in (first, *rest)]
    assert bodies == [b"body"] * 8
    assert render.times == 1


def test_what_is_kept_has_bounds(people: People) -> None:
    for number in range(fragments.MOST + 20):
        fragment(asked(people.viewer, f"/x/?q={number}"), "k", ["fleet"], Render())
    assert len(fragments.shelf.kept) == fragments.MOST
    assert fragments.shelf.size == 4 * fragments.MOST


@pytest.mark.parametrize(
    "path",
    [
        *("/fleet/parts/attention/", "/fleet/parts/usage/", "/fleet/parts/allocation/"),
        *("/clusters/", "/deployments/", "/rollouts/", "/approvals/"),
    ],
)
def test_pages_are_answered_from_one_render_and_then_not_modified(
    people: People, path: str
) -> None:
    make_cluster("weu")
    client, _ = signed_in(people.viewer)
    first = client.get(path, headers=HTMX)
    assert first.status_code == 200
    assert people.viewer.username.encode() not in first.content
    assert b"csrf" not in first.content.lower()
    assert len(fragments.shelf.kept) == 1
    same = client.get(path, headers=HTMX | {"If-None-Match": first["ETag"]})
    assert same.status_code == 304
    news.tell(["clusters", "fleet", "deployments", "rollouts", "approvals"])
    assert client.get(path, headers=HTMX).status_code == 200
    assert len(fragments.shelf.kept) == 2


def test_a_cluster_hidden_from_a_team_is_in_no_part_of_it(people: People) -> None:
    make_cluster("secret-lab", open_to_all=False)
    bodies = {}
    for user in (people.operator, people.viewer, people.outsider, people.operator):
        client, _ = signed_in(user)
        bodies[user.username] = client.get("/clusters/", headers=HTMX).content
    assert b"secret-lab" in bodies["operator"]
    assert b"secret-lab" not in bodies["viewer"]
    assert b"secret-lab" not in bodies["outsider"]


def test_without_redis_every_part_is_rendered(people: People, redis: Redis, no_redis: None) -> None:
    render = Render()
    for _ in range(3):
        fragment(asked(people.viewer), "k", ["fleet"], render)
    assert render.times == 3
    assert not fragments.shelf.kept


def test_renders_are_counted_for_prometheus(people: People) -> None:
    fragment(asked(people.viewer), "some-key", ["fleet"], Render())
    text = Client().get("/metrics").content.decode()
    assert 'fleetportal_fragment_renders_total{fragment="some-key"} 1' in text
    assert "fleetportal_live_streams 0" in text
