"""The fleet's page around its map, and the price book, in Chromium over a process of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from bench.heat_server import Served, served

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RUN_AXE = """async () => (await axe.run()).violations
    .filter((found) => ["serious", "critical"].includes(found.impact))
    .map((found) => [found.id, ...found.nodes.slice(0, 3).map((node) => node.html)].join(" | "))"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SHEET = "provider,instance_type,usd_per_hour,source\nazure,p5.48xlarge,42.5,contract\n"


@pytest.fixture(scope="module")
def portal() -> Iterator[Served]:
    with served("tests.browser.money_fleet") as running:
        yield running


@pytest.fixture
def page(browser: Browser, portal: Served) -> Iterator[Page]:
    """A wide window of an operator; what it complains about fails the test."""
    size = {"width": 1280, "height": 900}
    context = browser.new_context(base_url=portal.url, viewport=size)  # type: ignore[arg-type]
    context.add_cookies([portal.cookie])  # type: ignore[list-item]
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda said: complaints.extend([said.text] * (said.type == "error")))
    yield opened
    context.close()
    assert complaints == []


def test_parts_that_come_later_come_and_the_chart_is_drawn(page: Page) -> None:
    page.goto("/fleet/")
    expect(page.locator("#figure-running dd")).to_contain_text("$196.64/h")
    expect(page.locator("#figure-running")).to_contain_text("2 of unknown price")
    expect(page.locator("#idle tbody tr")).to_have_count(2)
    expect(page.locator("#idle")).to_contain_text("$24.58/h")
    expect(page.locator("#fragmentation tbody tr").first).to_contain_text("prod-swc")
    expect(page.locator("#trend .plot .scatterlayer .trace").first).to_be_attached()
    expect(page.locator("#trend")).to_contain_text("75 % allocated")


def test_a_price_moves_what_runs_without_a_price_to_what_has_one(page: Page) -> None:
    page.goto("/prices/")
    expect(page.get_by_role("heading", name="in use have no price")).to_be_visible()
    page.get_by_role("link", name="Import CSV").click()
    page.get_by_label("Sheet").fill(SHEET)
    page.get_by_role("button", name="Show what it would change").click()
    expect(page.get_by_role("heading", name="What it would change")).to_be_visible()
    page.get_by_role("button", name="Import 1 price").click()
    expect(page.get_by_role("status").filter(has_text="1 price imported")).to_be_visible()
    row = page.locator("#list tbody tr", has_text="contract")
    expect(row).to_contain_text("$42.50/h")
    row.get_by_role("link", name="p5.48xlarge").click()
    expect(page.locator("tbody tr").first).to_contain_text("operator")
    page.goto("/fleet/")
    expect(page.locator("#figure-running dd")).to_contain_text("$170.00/h")


@pytest.mark.parametrize("path", ["/fleet/", "/prices/", "/prices/set/", "/prices/import/"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_is_wide_enough_and_nothing_complains(
    page: Page, path: str, theme: str, tmp_path: Path
) -> None:
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.goto(path)
    if path == "/fleet/":
        expect(page.locator("#fragmentation tbody tr").first).to_be_visible()
        expect(page.locator("#usage #figure-tokens")).to_be_visible()
    folder = Path(os.environ.get("FLEETPORTAL_SHOTS") or tmp_path)
    name = path.strip("/").replace("/", "-")
    page.screenshot(path=folder / f"{name}-{theme}.png", full_page=True)
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_timeout(100)  # the map follows the window
    assert page.evaluate(OVERFLOW) <= 0
    page.screenshot(path=folder / f"{name}-{theme}-phone.png", full_page=True)


@pytest.mark.parametrize("path", ["/fleet/", "/prices/", "/prices/import/"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, portal: Served, path: str, theme: str) -> None:
    """In a window that may complain: axe sets styles that the content policy refuses."""
    context = browser.new_context(base_url=portal.url, color_scheme=theme)  # type: ignore[arg-type]
    context.add_cookies([portal.cookie])  # type: ignore[list-item]
    opened = context.new_page()
    opened.goto(path)
    if path == "/fleet/":
        expect(opened.locator("#fragmentation tbody tr").first).to_be_visible()
    opened.evaluate(AXE)
    found = opened.evaluate(RUN_AXE)
    context.close()
    assert found == []


def test_without_scripts_every_part_is_a_link_away(browser: Browser, portal: Served) -> None:
    context = browser.new_context(base_url=portal.url, java_script_enabled=False)
    context.add_cookies([portal.cookie])  # type: ignore[list-item]
    opened = context.new_page()
    opened.goto("/fleet/")
    opened.locator("#idle").get_by_role("link").click()
    expect(opened.get_by_role("heading", name="Allocated but idle")).to_be_visible()
    opened.goto("/fleet/")
    opened.locator("#trend").get_by_role("button", name="Show as table").click()
    expect(opened.locator("tbody tr").first).to_contain_text("75 %")
    context.close()
