"""The stream: who gets in, what they hear, and when they are sent away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core import signing
from pytest_django import Settings

from clusters.models import Cluster, ClusterGrant
from fleetportal.accounts.models import Membership, User
from fleetportal.kit import news
from fleetportal.live import tickets
from fleetportal.live.client import MOST_NAMES, SEND_WITHIN
from fleetportal.live.hub import MOST_STREAMS, SPACING, Hub
from tests.clusters.rows import make_cluster
from tests.live.pages import Page, signed_in, ticket_of
from tests.process.stack import Redis
from tests.support import People

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

REVOKED_WITHIN = 10.0


def ask(user: User, *topics: str) -> tuple[str, str]:
    """(ticket, session) of a fresh browser."""
    client, session = signed_in(user)
    return ticket_of(client, *topics)["ticket"], session


def live(test: Callable[[Hub], Awaitable[None]], **options: Any) -> None:
    """Run `test` with a hub of its own."""

    async def run() -> None:
        hub = Hub(**options)
        try:
            await test(hub)
        finally:
            hub.close()
            await asyncio.sleep(0)

    asyncio.run(run())


@pytest.fixture
def mortal(tmp_path: Path, settings: Settings) -> Iterator[Redis]:
    """A Redis of the test's own, which it may harm."""
    server = Redis(tmp_path)
    server.start()
    settings.NEWS_URL = server.url
    yield server
    server.kill()


def refusal(ticket: str, session: str, method: str = "GET") -> int:
    found: list[int] = []

    async def test(hub: Hub) -> None:
        page = await Page(hub, ticket, session, method).open()
        assert page.status is not None
        found.append(page.status)
        assert not hub.clients or page.status == 200
        await page.close()

    live(test)
    return found[0]


def test_a_page_hears_the_names_it_asked_for_and_no_others(people: People) -> None:
    ticket, session = ask(people.viewer, "fleet", "rollouts")

    async def test(hub: Hub) -> None:
        page = await Page(hub, ticket, session).open()
        await page.hears("event: hearing")
        assert page.headers["content-type"] == "text/event-stream"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-accel-buffering"] == "no"
        assert page.text.startswith("retry: ")
        assert "cut" not in page.text, "Redis was only not asked yet"
        await asyncio.to_thread(news.tell, ["clusters"])
        await asyncio.to_thread(news.tell, ["fleet", "approvals"])
        await page.hears('data: ["fleet"]')
        assert "clusters" not in page.text
        assert "approvals" not in page.text
        await page.close()
        assert not hub.clients
        assert not hub.by_topic
        assert not hub.people

    live(test)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: "x" + text,
        lambda text: signing.dumps({"u": 1, "s": "", "a": "", "t": ["fleet"]}, salt="another"),
    ],
)
def test_a_forged_ticket_opens_nothing(people: People, spoil: Callable[[str], str]) -> None:
    ticket, session = ask(people.viewer, "fleet")
    assert refusal(ticket, session) == 200
    assert refusal(spoil(ticket), session) == 403


def test_a_query_of_many_fields_is_no_ticket(people: People) -> None:
    ticket, session = ask(people.viewer, "fleet")
    assert refusal(ticket + "&a=1" * 9, session) == 403


def test_a_ticket_opens_nothing_without_the_session_it_was_given_to(people: People) -> None:
    ticket, _ = ask(people.viewer, "fleet")
    _, other = signed_in(people.admin)
    assert refusal(ticket, other) == 403
    assert refusal(ticket, "") == 403


def test_an_old_ticket_opens_nothing(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket, session = ask(people.viewer, "fleet")
    monkeypatch.setattr(tickets, "GOOD_FOR", 0)
    assert refusal(ticket, session) == 403


def test_with_an_older_ticket_nothing_is_told_before_access_was_asked_again(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "FRESH", 0.0)
    asked = ask(people.viewer, "fleet", "rollouts")
    revoked = [True]

    def check(held: Any) -> Any:
        return set(held) if revoked[0] else set()

    async def test(hub: Hub) -> None:
        page = await Page(hub, *asked).open()
        await page.hears("event: hearing")
        hub.tell(["fleet"])
        await page.hears("event: over\ndata: access")
        assert "changed" not in page.text and "everything" not in page.text
        revoked[0] = False
        page = await Page(hub, *asked).open()
        hub.tell(["rollouts"])
        await page.hears('data: ["rollouts"]')
        await page.close()

    live(test, check=check, look_again=0.3)


def test_the_stream_is_only_read(people: People) -> None:
    ticket, session = ask(people.viewer, "fleet")
    assert refusal(ticket, session, "POST") == 405


def test_a_ticket_leaves_out_what_one_may_not_see_as_if_it_were_not_there(people: People) -> None:
    shown, hidden = make_cluster("shown"), make_cluster("hidden", open_to_all=False)
    nowhere = "00000000-0000-4000-8000-000000000000"
    wanted = [f"cluster:{pk}" for pk in (shown.pk, hidden.pk, nowhere, "' OR 1=1")]
    client, _ = signed_in(people.viewer)
    assert ticket_of(client, *wanted, "fleet", "secrets", "user:1")["topics"] == [
        f"cluster:{shown.pk}",
        "fleet",
    ]
    client, _ = signed_in(people.operator)
    heard = ticket_of(client, *wanted)["topics"]
    assert set(heard) == {f"cluster:{shown.pk}", f"cluster:{hidden.pk}"}


def end_session(people: People) -> None:
    Session.objects.all().delete()


def deactivate(people: People) -> None:
    User.objects.filter(pk=people.viewer.pk).update(is_active=False)


def change_password(people: People) -> None:
    people.viewer.set_password("another one entirely")
    people.viewer.save()


def change_role(people: People) -> None:
    Membership.objects.filter(user=people.viewer).update(role="engineer")


def hide_cluster(people: People) -> None:
    ClusterGrant.objects.all().delete()


@pytest.mark.parametrize(
    "revoke", [end_session, deactivate, change_password, change_role, hide_cluster]
)
def test_who_lost_access_is_sent_away_within_ten_seconds(
    people: People, revoke: Callable[[People], None]
) -> None:
    cluster = make_cluster("granted", open_to_all=False)
    ClusterGrant.objects.create(cluster=cluster, team=people.assist)
    ticket, session = ask(people.viewer, f"cluster:{cluster.pk}", "fleet")
    others = ask(people.operator, f"cluster:{cluster.pk}")

    async def test(hub: Hub) -> None:
        page = await Page(hub, ticket, session).open()
        other = await Page(hub, *others).open()
        await asyncio.to_thread(revoke, people)
        await page.hears("event: over\ndata: access", REVOKED_WITHIN)
        await page.until(lambda: page.over)
        await asyncio.sleep(0.1)
        assert other.over == (revoke is end_session)  # which ended theirs, too
        await other.close()

    live(test)


def test_nobody_listens_on_when_access_cannot_be_asked(
    people: People,
) -> None:
    def broken(tickets: Any) -> Any:
        raise RuntimeError("no database")

    asked = ask(people.viewer, "fleet")

    async def test(hub: Hub) -> None:
        page = await Page(hub, *asked).open()
        await page.hears("event: over\ndata: access")

    live(test, check=broken, look_again=0.05)


def test_one_person_has_only_so_many_streams(people: People) -> None:
    ticket, session = ask(people.viewer, "fleet")
    other = ask(people.engineer, "fleet")

    async def test(hub: Hub) -> None:
        pages = [await Page(hub, ticket, session).open() for _ in range(MOST_STREAMS)]
        assert (await Page(hub, ticket, session).open()).status == 429
        assert (await Page(hub, *other).open()).status == 200
        await pages[0].close()
        assert (await Page(hub, ticket, session).open()).status == 200

    live(test)


def test_a_slow_page_costs_no_memory_and_hears_that_everything_changed(people: People) -> None:
    clusters = [make_cluster(f"c-{number}") for number in range(MOST_NAMES + 10)]
    names = [f"cluster:{cluster.pk}" for cluster in clusters]
    asked = ask(people.viewer, *names)

    async def test(hub: Hub) -> None:
        page = Page(hub, *asked, stuck=asyncio.Event())
        await page.open()
        for name in names:
            hub.tell([name])
        client = next(iter(hub.clients))
        assert client.everything
        assert len(client.pending) <= MOST_NAMES
        assert page.stuck is not None
        page.stuck.set()
        await page.hears("event: everything")
        assert "event: changed" not in page.text
        await page.close()

    live(test)


def test_a_name_that_changes_all_the_time_is_told_twice_a_second(people: People) -> None:
    asked = ask(people.viewer, "fleet")

    async def test(hub: Hub) -> None:
        page = await Page(hub, *asked).open()
        begun = time.monotonic()
        for _ in range(100):
            hub.tell(["fleet"])
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.2 * SPACING)
        most = (time.monotonic() - begun) / SPACING + 1  # a busy machine takes longer
        assert 3 <= page.text.count("event: changed") <= most
        await page.close()

    live(test)


def test_when_redis_goes_pages_are_told_and_when_it_is_back_they_hear_again(
    people: People, mortal: Redis
) -> None:
    asked = ask(people.viewer, "fleet")

    async def test(hub: Hub) -> None:
        page = await Page(hub, *asked).open()
        await page.hears("event: hearing")
        page.text = ""
        await asyncio.to_thread(mortal.kill)
        await page.hears("event: cut")
        page.text = ""
        await asyncio.to_thread(mortal.start)
        await page.hears("event: hearing", 10)
        await page.hears("event: everything")
        news._Line.quiet_until = 0.0
        assert await asyncio.to_thread(news.tell, ["fleet"])
        await page.hears('data: ["fleet"]')
        await page.close()

    live(test)


def test_a_first_page_is_told_that_redis_is_away(people: People, mortal: Redis) -> None:
    asked = ask(people.viewer, "fleet")
    mortal.kill()

    async def test(hub: Hub) -> None:
        page = await Page(hub, *asked).open()
        await page.hears("event: cut")
        page.text = ""
        await asyncio.to_thread(mortal.start)
        await page.hears("event: hearing", 10)
        await page.close()

    live(test)


def test_a_redis_that_hangs_is_as_good_as_gone(people: People, mortal: Redis) -> None:
    asked = ask(people.viewer, "fleet")

    async def test(hub: Hub) -> None:
        page = await Page(hub, *asked).open()
        await page.hears("event: hearing")
        page.text = ""  # what it heard before there was news
        mortal.hang()
        assert await hub.version(("fleet",)) is None
        await page.hears("event: cut")
        page.text = ""
        mortal.wake()
        await page.hears("event: hearing", 10)
        await asyncio.sleep(2.0)  # several times as long as a silence may be
        assert "cut" not in page.text
        await page.close()

    live(test, ask=0.5)  # much longer than a busy machine lets Redis wait


def test_a_process_that_ends_sends_its_pages_elsewhere(people: People) -> None:
    asked = ask(people.viewer, "fleet")

    async def test(hub: Hub) -> None:
        page = await Page(hub, *asked).open()
        hub.close()
        await page.hears("event: over\ndata: restart")
        await page.until(lambda: page.over)
        assert (await Page(hub, *asked).open()).status == 503

    live(test)


def test_without_redis_there_is_no_ticket_and_pages_poll(people: People, settings: Any) -> None:
    settings.NEWS_URL = ""
    client, _ = signed_in(people.viewer)
    assert ticket_of(client, "fleet") == {"ticket": "", "topics": ["fleet"]}


def test_access_is_asked_of_five_hundred_pages_in_a_few_queries(
    people: People, count_queries: Any
) -> None:
    from fleetportal.live.access import revoked

    make_cluster("weu")
    topic = f"cluster:{Cluster.objects.get().pk}"
    asked: dict[Hashable, tickets.Ticket] = {}
    for user in (people.viewer, people.engineer, people.operator, people.admin):
        ticket, session = ask(user, "fleet", topic)
        opened = tickets.read(ticket, session)
        asked |= {(user.pk, number): opened for number in range(125)}
    with count_queries() as queries:
        assert revoked(asked) == set()
    assert len(queries) <= 8


def test_a_page_that_takes_nothing_for_long_is_let_go(people: People) -> None:
    asked = ask(people.viewer, "fleet")

    async def test(hub: Hub) -> None:
        page = await Page(hub, *asked, stuck=asyncio.Event()).open()
        client = next(iter(hub.clients))
        await page.until(lambda: client.sending)
        client.tend(client.told_at + SEND_WITHIN + 1)
        await page.until(lambda: not hub.clients)
        await page.close()

    live(test)
