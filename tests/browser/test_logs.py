"""The log of a pod: found from its deployment, followed, and read as it was before a restart."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Response, expect

from tests.browser.hand import log_in
from tests.demo import Demo

STARTED = "Application startup complete"


def is_look(answer: Response) -> bool:
    return answer.request.method == "POST" and "/logs/" in answer.url


def test_a_pods_log_is_two_clicks_from_its_deployment(demo: Demo, page: Page) -> None:
    demo.wait_for_story()
    log_in(page, "engineer")
    page.goto(demo.deployment("assist-chat")["url"])
    page.get_by_role("link", name="Logs of").first.click()
    expect(page.locator("#log")).to_contain_text(STARTED)
    assert page.evaluate("document.querySelector('#log .log').scrollTop") == 0  # at its end
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as text").click()
    assert download.value.suggested_filename.endswith(".txt")


def test_a_followed_log_is_read_again_every_few_seconds(demo: Demo, page: Page) -> None:
    demo.wait_for_story()
    log_in(page, "engineer")
    page.goto(demo.deployment("assist-chat")["url"])
    page.get_by_role("link", name="Logs of").first.click()
    page.get_by_label("Follow").check()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="Following")).to_be_visible()
    expect(page.locator("#log")).to_contain_text(STARTED)
    for _ in range(2):
        with page.expect_response(is_look):
            pass
    page.get_by_role("button", name="Pause updates").click()
    expect(page.locator("html")).to_have_attribute("data-live", "stopped")
    page.get_by_label("Run").select_option(label="the run before")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#log")).to_contain_text(re.compile("has not run before|is empty"))
