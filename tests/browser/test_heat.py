"""The heatmap in Chromium, over a small fleet of its own process with a cluster of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from bench.heat_server import Served, served

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RUN_AXE = """async () => (await axe.run()).violations
    .filter((found) => ["serious", "critical"].includes(found.impact))
    .map((found) => [found.id, ...found.nodes.slice(0, 3).map((node) => node.html)].join(" | "))"""
HEAT = "document.querySelector('[data-heat]').heat"
PIXELS = """([cluster, node, card]) => {
    const heat = document.querySelector("[data-heat]").heat;
    const box = heat.boxOf(cluster, node, card), frame = heat.box.getBoundingClientRect();
    const scale = devicePixelRatio;
    const found = heat.canvas.getContext("2d").getImageData(
      Math.round((box.x - frame.left) * scale) + 1, Math.round((box.y - frame.top) * scale) + 1,
      Math.round(box.width * scale) - 3, Math.round(box.height * scale) - 3).data;
    const colours = {};
    for (let i = 0; i < found.length; i += 4) {
      const colour = [found[i], found[i + 1], found[i + 2]].join(" ");
      colours[colour] = (colours[colour] ?? 0) + 1;
    }
    return colours;
}"""
RED, SURFACE = "161 22 29", "255 255 255"


@pytest.fixture(scope="module")
def portal() -> Iterator[Served]:
    with served("tests.browser.heat_fleet") as running:
        yield running


@pytest.fixture
def map_page(browser: Browser, portal: Served) -> Iterator[Page]:
    """The fleet's page in the light theme, its map painted and ready to be zoomed."""
    context = browser.new_context(
        base_url=portal.url, viewport={"width": 1280, "height": 900}, color_scheme="light"
    )
    context.add_cookies([portal.cookie])  # type: ignore[list-item]
    page = context.new_page()
    show(page, "/fleet/?metric=util")
    yield page
    context.close()


def show(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.locator("[data-heat][data-ready]")).to_be_attached()


def cell(page: Page, cluster: str, node: str, card: int) -> dict[str, float]:
    """Where a GPU is on the screen now."""
    page.locator("[data-heat-box]").scroll_into_view_if_needed()
    found: dict[str, float] = page.evaluate(f"{HEAT}.boxOf({cluster!r}, {node!r}, {card})")
    return found


def colours(page: Page, cluster: str, node: str, card: int) -> dict[str, int]:
    found: dict[str, int] = page.evaluate(PIXELS, [cluster, node, card])
    return found


def most(found: dict[str, int]) -> str:
    return max(found, key=lambda colour: found[colour])


def point_at(page: Page, cluster: str, node: str, card: int) -> tuple[float, float]:
    box = cell(page, cluster, node, card)
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_metric_switch_changes_the_cells_and_the_address(map_page: Page) -> None:
    busy = most(colours(map_page, "prod-weu", "h100-0", 0))
    idle = most(colours(map_page, "prod-weu", "h100-2", 0))
    assert busy != idle
    map_page.get_by_role("radio", name="Allocation").check(force=True)
    expect(map_page.locator("[data-heat-kinds]")).to_be_visible()
    assert most(colours(map_page, "prod-weu", "h100-2", 0)) == SURFACE
    assert most(colours(map_page, "prod-weu", "h100-0", 0)) not in (busy, SURFACE)
    assert "metric=allocation" in map_page.url
    map_page.reload()
    expect(map_page.get_by_role("radio", name="Allocation")).to_be_checked()


def test_dragging_zooms_and_back_shows_all_again(map_page: Page) -> None:
    before = cell(map_page, "prod-weu", "h100-1", 0)
    map_page.mouse.move(before["x"] - 40, before["y"] - 8)
    map_page.mouse.down()
    map_page.mouse.move(before["x"] + 160, before["y"] + 40, steps=6)
    map_page.mouse.up()
    expect(map_page.locator("[data-heat-crumbs]")).to_contain_text("a part")
    after = cell(map_page, "prod-weu", "h100-1", 0)
    assert after["width"] > 3 * before["width"]
    map_page.get_by_role("button", name="Back").click()
    expect(map_page.locator("[data-heat-crumbs]")).not_to_contain_text("a part")
    assert cell(map_page, "prod-weu", "h100-1", 0)["width"] == before["width"]


def test_a_name_leads_to_its_nodes_and_one_node_fills_the_map(map_page: Page) -> None:
    box = cell(map_page, "prod-weu", "h100-0", 0)
    map_page.mouse.click(box["x"] - 100, box["y"] + box["height"] / 2)
    expect(map_page.locator("[data-heat-crumbs]")).to_contain_text("prod-weu")
    row = cell(map_page, "prod-weu", "h100-1", 0)
    assert row["width"] > box["width"] and row["y"] > cell(map_page, "prod-weu", "h100-0", 0)["y"]
    map_page.mouse.click(row["x"] - 100, row["y"] + row["height"] / 2)
    expect(map_page.locator("[data-heat-crumbs]")).to_contain_text("h100-1")
    assert cell(map_page, "prod-weu", "h100-1", 0)["width"] > row["width"]
    map_page.get_by_role("button", name="Fleet").click()
    assert cell(map_page, "prod-weu", "h100-0", 0)["width"] == box["width"]


def test_a_click_opens_the_drawer_of_that_device_and_escape_closes_it(map_page: Page) -> None:
    x, y = point_at(map_page, "prod-weu", "h100-3", 5)
    map_page.mouse.click(x, y)
    drawer = map_page.get_by_role("dialog", name="GPU")
    expect(drawer).to_be_focused()
    expect(drawer).to_contain_text("GPU 5")
    expect(drawer).to_contain_text("h100-3")
    expect(drawer).to_contain_text("XID 79")
    assert map_page.url.endswith("#gpu=prod-weu/h100-3/5")
    map_page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(map_page.locator("[data-heat-box]")).to_be_focused()
    assert "#" not in map_page.url


def test_an_address_with_a_gpu_opens_its_drawer(map_page: Page) -> None:
    map_page.goto("about:blank")
    show(map_page, "/fleet/#gpu=prod-weu/h100-0/7")
    expect(map_page.get_by_role("dialog", name="GPU")).to_contain_text("GPU 7")


def test_pointing_says_the_gpu_in_words(map_page: Page) -> None:
    map_page.mouse.move(*point_at(map_page, "prod-weu", "h100-0", 5))
    tip = map_page.locator("[data-heat-tip]")
    expect(tip).to_contain_text("prod-weu, h100-0, GPU 5: 80 % used, allocated")
    map_page.mouse.move(*point_at(map_page, "prod-euc1", "ip-10-7-0-1", 0))
    expect(tip).to_contain_text("unknown, cluster not in contact")
    map_page.mouse.move(*point_at(map_page, "test-weu", "a100-0", 5))
    expect(tip).to_contain_text("blocked")


def test_a_fault_is_crossed_and_others_are_not(map_page: Page) -> None:
    assert colours(map_page, "prod-weu", "h100-3", 5).get(RED, 0) > 5
    assert RED not in colours(map_page, "prod-weu", "h100-3", 4)
    assert RED not in colours(map_page, "prod-weu", "h100-1", 2)  # a program's error


def test_old_measurements_are_hatched_and_silent_clusters_are_empty(map_page: Page) -> None:
    fresh = colours(map_page, "prod-weu", "h100-0", 0)
    assert SURFACE not in fresh
    old = colours(map_page, "prod-swc", "node-0", 0)
    assert old[SURFACE] > 10 and most(old) == most(fresh)
    for name, node in (("prod-euc1", "ip-10-7-0-1"), ("prod-new", "fresh-0")):
        found = colours(map_page, name, node, 0)
        assert found[SURFACE] > 0.7 * sum(found.values())


def test_the_keyboard_walks_says_and_opens(map_page: Page) -> None:
    map_page.locator("[data-heat-box]").focus()
    map_page.keyboard.press("Home")
    says = map_page.locator("[data-heat-says]")
    expect(says).to_contain_text("GPU 0")
    map_page.keyboard.press("ArrowRight")
    expect(says).to_contain_text("GPU 1")
    where = says.inner_text().split(":")[0]
    map_page.keyboard.press("Enter")
    drawer = map_page.get_by_role("dialog", name="GPU")
    expect(drawer).to_contain_text("GPU 1")
    expect(drawer).to_contain_text(where.split(", ")[0])
    map_page.keyboard.press("Escape")
    map_page.keyboard.press("+")
    expect(map_page.locator("[data-heat-crumbs]")).to_contain_text("a part")
    map_page.keyboard.press("Escape")
    expect(map_page.locator("[data-heat-crumbs]")).not_to_contain_text("a part")


def test_the_table_says_the_same_without_a_pointer(map_page: Page) -> None:
    map_page.get_by_role("link", name="Show as table").click()
    row = map_page.locator("#heat tbody tr", has_text="h100-1")
    expect(row).to_contain_text("60")  # six of eight at 80 %
    row.get_by_role("link", name="h100-1").click()
    expect(map_page.get_by_role("heading", level=1)).to_have_text("GPU 0 of h100-1")


def test_grouping_heads_the_rows_and_survives_a_reload(map_page: Page) -> None:
    map_page.locator("#heat").get_by_label("Group by").select_option("model")
    assert map_page.evaluate(f"{HEAT}.plan.headings.map((one) => one.text)") == []
    map_page.locator("#heat").get_by_label("Group by").select_option("team")
    teams = f"{HEAT}.plan.headings.map((one) => one.text).join()"
    map_page.wait_for_function(f"{teams} === ''")  # nobody holds a node: one group, no heading
    map_page.locator("#heat").get_by_label("Group by").select_option("state")
    heads = map_page.evaluate(f"{HEAT}.plan.headings.map((one) => one.text)")
    assert heads == ["In contact", "Not in contact"]
    map_page.reload()
    expect(map_page.locator("#heat").get_by_label("Group by")).to_have_value("state")


def test_the_ring_stays_on_its_gpu_when_the_rows_move(map_page: Page) -> None:
    """At 460 px the rows wrap, so that what stood below the first ones stands elsewhere."""
    map_page.locator("[data-heat-box]").focus()
    for _ in range(5):
        map_page.keyboard.press("ArrowDown")
    expect(map_page.locator("[data-heat-says]")).not_to_be_empty()
    ring = f"""() => {{
        const heat = {HEAT}, {{cursor}} = heat, scale = devicePixelRatio;
        const [red, green, blue] = fleetColour("accent").match(/[0-9]+/g).map(Number);
        const place = [cursor.x - 4, cursor.y - 4, cursor.w + 8, cursor.h + 8];
        const sizes = place.map((one) => one * scale);
        const found = heat.canvas.getContext("2d").getImageData(...sizes).data;
        let count = 0;
        for (let i = 0; i < found.length; i += 4)
          count += found[i] === red && found[i + 1] === green && found[i + 2] === blue;
        return count;
    }}"""
    before = map_page.evaluate(f"{HEAT}.cursor.y")
    assert map_page.evaluate(ring) > 20
    map_page.set_viewport_size({"width": 460, "height": 900})
    map_page.wait_for_function(f"{HEAT}.cursor.y !== {before}")
    assert map_page.evaluate(ring) > 20


def test_cells_are_read_again_when_the_fleet_changes(map_page: Page) -> None:
    asked: list[str] = []
    map_page.on("request", lambda request: asked.append(request.url))
    news = "new CustomEvent('portal:changed', {detail: {topics: ['fleet']}})"
    with map_page.expect_response("**/fleet/heat/cells?*"):
        map_page.evaluate(f"document.dispatchEvent({news})")
    assert not [url for url in asked if "layout" in url]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing_serious_and_the_map_fits(map_page: Page, theme: str, width: int) -> None:
    map_page.set_viewport_size({"width": width, "height": 800})
    map_page.evaluate(f"fleetTheme('{theme}')")
    map_page.mouse.click(*point_at(map_page, "prod-weu", "h100-0", 0))
    expect(map_page.get_by_role("dialog", name="GPU")).to_be_visible()
    map_page.wait_for_timeout(250)  # the drawer's slide
    map_page.evaluate(AXE)
    found: Any = map_page.evaluate(RUN_AXE)
    assert found == []
    wide = "(part) => part.scrollWidth - part.clientWidth"
    assert map_page.locator("#heat").evaluate(wide) == 0


def test_a_clusters_page_shows_its_nodes_and_no_way_out(map_page: Page) -> None:
    show(map_page, "/clusters/prod-weu/")
    first, second = (cell(map_page, "prod-weu", f"h100-{n}", 0) for n in (0, 1))
    assert first["x"] == second["x"] and second["y"] > first["y"]
    expect(map_page.get_by_role("button", name="Back")).to_be_disabled()
    map_page.mouse.click(*point_at(map_page, "prod-weu", "h100-3", 5))
    expect(map_page.get_by_role("dialog", name="GPU")).to_contain_text("XID 79")
