"""What is kept is answered ahead of Django, to those whose stream is open and to nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session

from fleetportal.accounts.models import User
from fleetportal.kit import news
from fleetportal.kit.fragments import Kept, Route, shelf
from fleetportal.live.hub import Hub
from fleetportal.live.shortcut import with_shortcut
from tests.live.pages import Page, signed_in, ticket_of
from tests.support import People

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

URL = "/clusters/?q=a%20b"
ROUTE = Route("clusters", ("clusters",), False)


class Django:
    """Stands behind: counts, keeps what it renders as a view would, and takes its time."""

    def __init__(self, access: str, user: int) -> None:
        self.times = 0
        self.access, self.user = access, user

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.times += 1
        version = await asyncio.to_thread(news.versions, ROUTE.topics)
        assert version is not None
        shelf.remember(URL, ROUTE)
        full = ROUTE.full(URL, self.access, self.user, version)
        await asyncio.sleep(0.1)
        if shelf.take(full)[2]:
            shelf.put(full, Kept(b"body", 200, "text/html", '"tag"', float("inf")))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"django"})


async def get(
    application: Any,
    session: str,
    headers: dict[str, str] | None = None,
    taken: asyncio.Event | None = None,
) -> tuple[int, bytes]:
    """GET of URL as htmx sends it. `taken`: nothing of the answer is read until it is set."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        if taken is not None:
            await taken.wait()
        sent.append(message)

    path, _, query = URL.partition("?")
    given = {"hx-request": "true", "cookie": f"{settings.SESSION_COOKIE_NAME}={session}"}
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in (given | (headers or {})).items() if v],
    }
    await application(scope, None, send)
    return sent[0]["status"], sent[1]["body"]


def live(user: User, test: Callable[[Any, Django, str, Hub], Awaitable[None]]) -> None:
    """A page of `user` is open and its access has been asked."""
    client, session = signed_in(user)
    ticket = ticket_of(client, "clusters")["ticket"]

    async def run() -> None:
        hub = Hub(look_again=0.05)
        page = await Page(hub, ticket, session).open()
        await page.hears("event: hearing")
        await page.until(lambda: hub.proven(session) is not None)
        held = hub.proven(session)
        assert held is not None
        django = Django(held.access, user.pk)
        try:
            await test(with_shortcut(django, hub), django, session, hub)
        finally:
            await page.close()
            hub.close()

    asyncio.run(run())


def test_one_asks_django_and_the_others_get_what_it_rendered(people: People) -> None:
    async def test(application: Any, django: Django, session: str, hub: Hub) -> None:
        assert await get(application, session) == (200, b"django")  # the first shows the way
        answers = await asyncio.gather(*(get(application, session) for _ in range(50)))
        assert set(answers) == {(200, b"body")}
        assert django.times == 1
        await asyncio.to_thread(news.tell, ["clusters"])
        answers = await asyncio.gather(*(get(application, session) for _ in range(50)))
        assert sorted(set(answers)) == [(200, b"body"), (200, b"django")]
        assert django.times == 2

    live(people.viewer, test)


def test_nobody_waits_for_another_reader_to_take_its_answer(people: People) -> None:
    async def test(application: Any, django: Django, session: str, hub: Hub) -> None:
        await get(application, session)
        await asyncio.to_thread(news.tell, ["clusters"])
        taken = asyncio.Event()
        slow = asyncio.ensure_future(get(application, session, taken=taken))
        while django.times < 2:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(5):  # WAIT is longer
            assert await get(application, session) == (200, b"body")
        taken.set()
        assert await slow == (200, b"django")

    live(people.viewer, test)


def test_what_the_browser_has_is_not_sent_again(people: People) -> None:
    async def test(application: Any, django: Django, session: str, hub: Hub) -> None:
        await get(application, session)
        assert await get(application, session, {"if-none-match": '"tag"'}) == (304, b"")
        assert await get(application, session, {"if-none-match": '"old"'}) == (200, b"body")

    live(people.viewer, test)


def test_strangers_whole_pages_and_forms_go_to_django(people: People) -> None:
    _, other = signed_in(people.outsider)

    async def test(application: Any, django: Django, session: str, hub: Hub) -> None:
        await get(application, session)
        for asker, headers in (
            ("", {}),
            ("nobody", {}),
            (other, {}),  # signed in, but without a stream that is open
            (session, {"hx-request": ""}),
            (session, {"hx-boosted": "true"}),
        ):
            assert await get(application, asker, headers) == (200, b"django")
        assert django.times == 6

    live(people.viewer, test)


def test_after_the_session_ended_nothing_is_answered_ahead_of_django(people: People) -> None:
    async def test(application: Any, django: Django, session: str, hub: Hub) -> None:
        await get(application, session)
        assert await get(application, session) == (200, b"body")
        await asyncio.to_thread(Session.objects.all().delete)
        async with asyncio.timeout(10):
            while hub.proven(session) is not None:
                await asyncio.sleep(0.02)
        assert await get(application, session) == (200, b"django")

    live(people.viewer, test)


def test_another_kind_of_reader_never_gets_it(people: People) -> None:
    shelf.remember(URL, ROUTE)
    version = news.versions(ROUTE.topics)
    assert version is not None
    full = ROUTE.full(URL, "another class", 0, version)
    shelf.take(full)
    shelf.put(full, Kept(b"secret", 200, "text/html", '"tag"', float("inf")))

    async def test(application: Any, django: Django, session: str, hub: Hub) -> None:
        assert await get(application, session) == (200, b"django")

    live(people.viewer, test)
