"""Pages that change by themselves, and what must not change under the reader meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.hand import log_in
from tests.demo import Demo

SOON = 15_000  # milliseconds: two seconds between polls, the collector's moment, a busy machine
QUIET = 5_000  # milliseconds in which nothing happens
WATCH_WORDS = """button => {
  window.words = [];
  new MutationObserver(() => window.words.push(button.textContent.trim()))
    .observe(button, {characterData: true, childList: true, subtree: true});
}"""
CLUSTER = "prod-eus2"
NAMESPACE = "fp-assist"


@pytest.fixture
def chat(demo: Demo, page: Page) -> Iterator[Page]:
    """The page of assist-chat, open to its engineer; edits on the cluster are taken back."""
    demo.wait_for_story()
    log_in(page, "engineer")
    page.goto(demo.deployment("assist-chat")["url"])
    yield page
    scale(demo, 1)


def scale(demo: Demo, replicas: int) -> None:
    """What somebody's `kubectl edit` leaves on the cluster."""
    cluster = demo.cluster(CLUSTER)
    held = next(each for each in cluster.objects("InferenceSet", NAMESPACE) if is_chat(each))
    patch = {"spec": {"replicas": replicas}}
    cluster.edit("InferenceSet", NAMESPACE, held["metadata"]["name"], patch)


def is_chat(obj: dict[str, Any]) -> bool:
    return str(obj["metadata"]["name"]).startswith("assist-chat-")


def test_a_change_on_a_cluster_shows_without_a_reload(demo: Demo, chat: Page) -> None:
    row = chat.locator("#clusters tbody tr", has_text=CLUSTER)
    expect(row).not_to_contain_text("Changed outside")
    chat.evaluate("window.sameDocument = true")
    scale(demo, 2)
    expect(row).to_contain_text("Changed outside", timeout=SOON)
    expect(row).to_contain_text("spec.replicas")
    scale(demo, 1)
    expect(row).not_to_contain_text("Changed outside", timeout=SOON)
    assert chat.evaluate("window.sameDocument")


def test_open_folds_and_focus_survive_updates(demo: Demo, chat: Page) -> None:
    row = chat.locator("#clusters tbody tr", has_text=CLUSTER)
    fold = row.locator("details")
    fold.locator("summary").click()
    expect(fold.locator("summary")).to_be_focused()
    scale(demo, 2)
    expect(row).to_contain_text("Changed outside", timeout=SOON)
    expect(fold).to_have_attribute("open", "")
    expect(fold.locator("summary")).to_be_focused()


def test_paused_updates_stay_away_until_they_are_resumed(demo: Demo, chat: Page) -> None:
    row = chat.locator("#clusters tbody tr", has_text=CLUSTER)
    chat.get_by_role("button", name="Pause updates").click()
    scale(demo, 2)
    chat.wait_for_timeout(QUIET)  # that nothing happens can only be waited for
    expect(row).not_to_contain_text("Changed outside")
    chat.get_by_role("button", name="Updates paused. Resume").click()
    expect(row).to_contain_text("Changed outside", timeout=SOON)


def test_a_line_is_copied_whole(chat: Page) -> None:
    line = chat.locator(".commands .copy").first
    line.get_by_role("button").evaluate(WATCH_WORDS)  # they stand for 1.5 s: a busy machine is late
    line.get_by_role("button", name="Copy").click()
    chat.wait_for_function("window.words.some(text => text.startsWith('Copied'))")
    copied = chat.evaluate("navigator.clipboard.readText()")
    assert copied == line.locator("code").inner_text()
    assert copied.startswith("kubectl --kubeconfig ")


def test_a_closed_dialog_gives_the_focus_back_to_its_opener(demo: Demo, page: Page) -> None:
    demo.wait_for_story()
    log_in(page, "engineer")
    page.goto(demo.rollout("code-review", 1)["url"])
    page.get_by_role("link", name="Abort").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#do-abort")).to_be_focused()


def test_j_and_k_walk_a_list_that_has_the_focus(page: Page) -> None:
    log_in(page, "operator")
    page.goto("/clusters/")
    rows = page.locator("[data-keys] [data-row] th a")
    rows.nth(0).focus()
    page.keyboard.press("j")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("j")
    expect(rows.nth(2)).to_be_focused()
    page.keyboard.press("k")
    expect(rows.nth(1)).to_be_focused()
