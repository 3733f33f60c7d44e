"""Pages hear of changes at once, say so when they cannot, and ask every few seconds instead."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Page, Request, expect

from tests.browser.hand import log_in
from tests.demo import Demo

CLUSTER = "test-weu"
BY_STREAM = 10_000  # milliseconds; a page whose stream is open does not poll at all
BY_POLL = 6_000
QUIET = 5_000  # in which a page that polls would have asked at least once
HEARS = re.compile("^stream$")


@pytest.fixture
def clusters(demo: Demo, page: Page) -> Iterator[Page]:
    """The list of clusters, its stream open."""
    log_in(page, "operator")
    page.goto("/clusters/")
    expect(page.locator("html")).to_have_attribute("data-live", HEARS)
    yield page
    act(demo, "uncordon")


def act(demo: Demo, action: str) -> None:
    demo.post(f"clusters/{CLUSTER}/{action}/", {"reason": "A test"})


@contextmanager
def no_news(demo: Demo) -> Iterator[None]:
    """The portal's subscription is gone and cannot come back until the end of the block."""
    environ = Path(f"/proc/{demo.children()['web']}/environ").read_bytes().split(b"\0")
    url = next(e for e in environ if e.startswith(b"REDIS_URL=")).decode().partition("=")[2]
    server: Any = redis.Redis.from_url(url, single_connection_client=True)
    server.ping()
    try:
        server.config_set("maxclients", 1)
        server.client_kill_filter(_type="pubsub")
        yield
    finally:
        server.config_set("maxclients", 10_000)
        server.close()


def looks(page: Page) -> list[Request]:
    """The page's own questions for its part, as they go out."""
    found: list[Request] = []

    def note(request: Request) -> None:
        if request.url.endswith("/clusters/") and request.headers.get("hx-request"):
            found.append(request)

    page.on("request", note)
    return found


def streams(demo: Demo) -> float:
    with urllib.request.urlopen(f"{demo.url}/metrics", timeout=10) as answer:
        found = re.search(r"^fleetportal_live_streams (\S+)$", answer.read().decode(), re.M)
    assert found
    return float(found[1])


def row(page: Page) -> Any:
    return page.locator("#clusters tbody tr", has_text=CLUSTER)


def test_a_change_shows_within_a_second_of_being_made(demo: Demo, clusters: Page) -> None:
    expect(row(clusters)).not_to_contain_text("Cordoned")
    act(demo, "cordon")
    expect(row(clusters)).to_contain_text("Cordoned", timeout=BY_STREAM)
    act(demo, "uncordon")
    expect(row(clusters)).not_to_contain_text("Cordoned", timeout=BY_STREAM)


def test_charts_and_maps_are_told_too(demo: Demo, clusters: Page) -> None:
    clusters.evaluate(
        "document.addEventListener('portal:changed', (e) => { window.told = e.detail.topics; })"
    )
    act(demo, "cordon")
    clusters.wait_for_function("window.told?.includes('clusters')", timeout=5_000)


def test_a_page_has_one_stream_and_a_hidden_one_has_none(demo: Demo, clusters: Page) -> None:
    before = streams(demo)
    clusters.evaluate(
        "Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect(clusters.locator("html")).to_have_attribute("data-live", "stopped")
    clusters.wait_for_timeout(500)
    assert streams(demo) == before - 1
    asked = looks(clusters)
    act(demo, "cordon")
    clusters.wait_for_timeout(QUIET)  # that nothing happens can only be waited for
    assert not asked
    clusters.evaluate(
        "delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect(row(clusters)).to_contain_text("Cordoned", timeout=BY_STREAM)
    expect(clusters.locator("html")).to_have_attribute("data-live", HEARS)


def test_paused_updates_close_the_stream(clusters: Page) -> None:
    clusters.get_by_role("button", name="Pause updates").click()
    expect(clusters.locator("html")).to_have_attribute("data-live", "stopped")
    expect(clusters.locator("#live-cut")).to_be_hidden()
    clusters.get_by_role("button", name="Updates paused. Resume").click()
    expect(clusters.locator("html")).to_have_attribute("data-live", HEARS)


def test_a_cut_stream_is_said_and_the_page_asks_instead_until_it_is_back(
    demo: Demo, clusters: Page
) -> None:
    note = clusters.get_by_text("Live updates are cut; the page asks every few seconds.")
    expect(note).to_be_hidden()
    with no_news(demo):
        expect(note).to_be_visible()
        expect(clusters.locator("html")).to_have_attribute("data-live", "cut")
        act(demo, "cordon")
        expect(row(clusters)).to_contain_text("Cordoned", timeout=BY_POLL)
    expect(clusters.locator("html")).to_have_attribute("data-live", HEARS)
    expect(note).to_be_hidden()
    act(demo, "uncordon")
    expect(row(clusters)).not_to_contain_text("Cordoned", timeout=BY_POLL)


def test_a_stream_that_nobody_answers_is_said_too(page: Page) -> None:
    page.route("**/live/**", lambda route: route.abort())
    log_in(page, "operator")
    asked = looks(page)
    page.goto("/clusters/")
    expect(page.locator("#live-cut")).to_be_visible()
    page.wait_for_timeout(QUIET)
    assert asked
    page.unroute("**/live/**")
    expect(page.locator("html")).to_have_attribute("data-live", HEARS, timeout=30_000)
    expect(page.locator("#live-cut")).to_be_hidden()
