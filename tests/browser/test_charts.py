"""Charts of a deployment: drawn after the first paint, live, in words where silent, as a table."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.hand import log_in
from tests.browser.test_pages import AXE, RUN_AXE
from tests.demo import Demo

MEASURED = 60_000  # milliseconds until two scrapes have been stored


@pytest.fixture
def serving(demo: Demo, page: Page) -> Page:
    """The page of a deployment that serves, its charts drawn."""
    demo.wait_for_story()
    log_in(page, "engineer")
    page.goto(f"{demo.deployment('assist-chat')['url']}?range=15m")
    expect(page.locator("#serving[data-drawn]")).to_be_visible(timeout=MEASURED)
    return page


def test_a_chart_draws_curves_with_the_interval_and_names_its_value(serving: Page) -> None:
    chart = serving.locator("[data-chart=ttft]")
    expect(chart.locator(".js-fill").first).to_be_attached()  # the bucket of p95
    assert chart.locator("path.js-line").count() >= 3
    expect(chart.locator("[data-chart-now]")).to_contain_text("p95")
    label = chart.locator("[data-chart-plot]").get_attribute("aria-label")
    assert str(label).startswith("Time to first token: now p95")


def test_a_chart_updates_live(serving: Page) -> None:
    """New ticks come every 15 s; the page is told and draws again, without a reload."""
    serving.evaluate("window.sameDocument = true")
    last = "document.querySelector('[data-chart=requests] [data-chart-plot]').data.at(-1)"
    value = f"(() => {{ const t = {last}; return JSON.stringify([t.x.at(-1), t.y]); }})()"
    before = serving.evaluate(value)
    serving.wait_for_function(f"before => {value} !== before", arg=before, timeout=45_000)
    assert serving.evaluate("window.sameDocument")
    expect(serving.locator("[data-charts-age]")).to_contain_text("measured")


def test_a_shorter_range_is_looked_at_again_as_often_as_it_needs(serving: Page) -> None:
    """The patience of 90 days does not outlive the choice of 15 minutes."""
    drawn = "document.querySelector('#serving').dataset.drawn"
    shown = "document.querySelector('[data-charts-legend]').textContent"
    select = serving.locator("#f-serving-range")
    for key, step in (("90d", "6 h"), ("15m", "30 s")):
        select.select_option(key)
        serving.wait_for_function(f"step => {shown}.includes(`One point for ${{step}}.`)", arg=step)
    before = serving.evaluate(drawn)
    serving.wait_for_function(f"before => {drawn} !== before", arg=before, timeout=45_000)


def test_another_range_and_cluster_are_drawn_and_stay_in_the_address(serving: Page) -> None:
    names = serving.locator("#f-serving-cluster option").all_inner_texts()
    drawn = serving.locator("#serving").get_attribute("data-drawn")
    serving.locator("#f-serving-cluster").select_option(names[-1])
    expect(serving.locator("#serving")).not_to_have_attribute("data-drawn", str(drawn))
    serving.locator("#f-serving-range").select_option("24h")
    serving.wait_for_url("**range=24h**")
    assert f"cluster={names[-1]}" in serving.url
    serving.reload()
    expect(serving.locator("#f-serving-range")).to_have_value("24h")
    expect(serving.locator("#f-serving-cluster")).to_have_value(names[-1])


def test_a_theme_redraws_the_charts_in_its_colours(serving: Page) -> None:
    line = "document.querySelector('[data-chart=requests] path.js-line')"
    colour = f"getComputedStyle({line}).stroke"
    light = serving.evaluate(colour)
    serving.evaluate("window.fleetTheme('dark')")
    serving.wait_for_function(f"before => {colour} !== before", arg=light)


def test_the_numbers_are_there_as_a_table_and_as_csv(serving: Page) -> None:
    serving.get_by_role("button", name="Show as table").click()
    expect(serving.get_by_role("heading", name="Metrics")).to_be_visible()
    expect(serving.locator("tbody tr").first).to_contain_text("UTC")
    with serving.expect_download() as download:
        serving.get_by_role("link", name="Download CSV").click()
    assert download.value.suggested_filename == "assist-chat-15m.csv"


def test_a_deployment_that_serves_nowhere_says_why_it_has_no_charts(demo: Demo, page: Page) -> None:
    demo.wait_for_story()
    log_in(page, "engineer")
    page.goto(demo.deployment("code-review")["url"])
    expect(page.locator("[data-charts-empty]")).to_contain_text(
        "Nothing serves yet", timeout=30_000
    )
    expect(page.locator("[data-chart]").first).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_a_page_with_charts(serving: Page, scheme: str) -> None:
    serving.emulate_media(reduced_motion="reduce")  # no colour is looked at on its way to another
    serving.evaluate(f"window.fleetTheme('{scheme}')")
    serving.evaluate(AXE)
    assert serving.evaluate(RUN_AXE) == []
