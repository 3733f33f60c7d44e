"""The time machine: a slider that is moved, a banner that says so, and a form without scripts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.hand import log_in
from tests.browser.test_pages import AXE as AXE_SOURCE
from tests.browser.test_pages import OVERFLOW, RUN_AXE
from tests.demo import Demo

SHOTS = os.environ.get("FLEETPORTAL_SHOTS", "")


def test_moving_the_slider_shows_the_past_and_says_so(page: Page) -> None:
    log_in(page, "operator")
    page.goto("/fleet/")
    page.get_by_label("Minute of that hour").press("Home")
    expect(page.get_by_text("You are looking at")).to_be_visible()
    assert "at=" in page.url
    hour = page.get_by_label("Hour, over 90 days")
    hour.press("PageDown")
    expect(page.get_by_text("Unknown then").first).to_be_visible()  # before it was registered
    page.get_by_role("link", name="Back to now").click()
    expect(page.get_by_text("You are looking at")).to_have_count(0)


def test_without_scripts_a_time_is_typed(browser: Browser, demo: Demo) -> None:
    context = browser.new_context(base_url=demo.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page, "operator")
    page.goto("/fleet/")
    page.get_by_role("button", name="Look", exact=True).click()
    expect(page.get_by_text("You are looking at")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_past_is_accessible_and_fits(
    browser: Browser, demo: Demo, width: int, scheme: str, tmp_path: Path
) -> None:
    wide = ViewportSize(width=1280, height=900)
    context = browser.new_context(
        base_url=demo.url,
        viewport=wide,
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    log_in(page, "operator")
    page.set_viewport_size(ViewportSize(width=width, height=900))
    page.goto("/fleet/")
    page.get_by_label("Look back to").press("Enter")
    expect(page.get_by_text("You are looking at")).to_be_visible()
    page.evaluate(AXE_SOURCE)
    assert page.evaluate(RUN_AXE) == []
    assert page.evaluate(OVERFLOW) == 0
    folder = Path(SHOTS) if SHOTS else tmp_path
    page.screenshot(path=folder / f"moment-{width}-{scheme}.png", full_page=True)
    context.close()
