"""The first five minutes: a model on three clusters in fourteen clicks, checked on the clusters."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.demo import PASSWORD, Demo

SENTENCE = "3 replicas: test-use1, stg-weu, prod-weu. 3 spare, 3 rejected. $8.15/h."
CLUSTERS = ("test-use1", "stg-weu", "prod-weu")
NAMESPACE = "fp-assist"
NAME = "phi-4-mini-instruct"
ROLLS = 120_000  # milliseconds for a stage on a busy machine
LIMIT = 25


class Hand:
    """Clicks, and counts them."""

    def __init__(self) -> None:
        self.clicks = 0

    def click(self, control: Locator) -> None:
        self.clicks += 1
        control.click()


def first_words(page: Page) -> Locator:
    return page.locator("#waits-for")


def log_in(page: Page, hand: Hand) -> None:
    page.goto("/")
    hand.click(page.get_by_role("link", name="Engineer: deploys models"))
    expect(page.get_by_label("User name")).to_have_value("engineer")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    hand.click(page.get_by_role("button", name="Sign in"))
    expect(page.get_by_role("heading", name="Deployments", exact=True)).to_be_visible()
    expect(page.get_by_text("First five minutes")).to_be_visible()


def pick_the_model(page: Page, hand: Hand) -> None:
    hand.click(page.get_by_role("link", name="Deploy a model"))
    expect(page.get_by_role("searchbox", name="Search models")).to_be_focused()
    assert "needs token" not in page.locator("#results li").first.inner_text()
    hand.click(page.get_by_role("link", name="Phi-4-mini-instruct", exact=True))
    expect(page.get_by_label("Name")).to_have_value(NAME)
    expect(page.get_by_label("Replicas")).to_have_value("3")
    expect(page.get_by_label("Context")).to_have_value("2,048")
    expect(page.get_by_label("Strategy")).to_have_value("staged")
    hand.click(page.get_by_role("button", name="Show where it goes"))


def read_the_plan(page: Page, hand: Hand) -> None:
    lede = page.locator("p.lede")
    expect(lede).to_contain_text(SENTENCE)
    expect(lede).to_contain_text("Ready in about")
    rejected = page.locator("#verdict-prod-swc")
    hand.click(rejected.locator("summary"))
    expect(rejected).to_contain_text(
        "19 GPUs free, 0 whole nodes free (needs 1). KAITO takes all 8 GPUs of a node."
    )
    selected = page.locator("#verdict-prod-weu")
    hand.click(selected.locator("summary"))
    points = selected.locator(".score tbody tr:not(.none) td:last-child").all_inner_texts()
    shown = sum(float(text) for text in points)
    total = float(selected.locator(".score tfoot td").inner_text())
    assert shown == pytest.approx(total, abs=0.1 * len(points))
    hand.click(page.get_by_role("button", name="Start rollout"))


def wait_for_approval(page: Page) -> None:
    expect(page.locator(".stage h2")).to_have_text(
        ["test", "staging", "production"], ignore_case=True
    )
    expect(page.locator(".stage").nth(1)).to_contain_text("After test")
    expect(first_words(page)).to_contain_text("Waiting for approval", timeout=ROLLS)
    expect(page.locator("#rollout")).to_contain_text("You asked for this, so someone else decides.")
    expect(page.get_by_role("link", name="Review and decide")).to_have_count(0)


def approve_as_another(page: Page, hand: Hand) -> None:
    rollout = page.url
    hand.click(page.locator("details[data-menu] summary"))
    hand.click(page.get_by_role("button", name="Switch to approver"))
    expect(page.locator("details[data-menu] summary")).to_have_text("approver")
    assert page.url == rollout
    hand.click(page.get_by_role("link", name="Review and decide"))
    expect(page.locator("#preflight")).to_contain_text("1 of 1 target can take it now")
    expect(page.locator("#preflight")).to_contain_text("checked")
    expect(page.locator("main")).to_contain_text("+$3.67/h")
    hand.click(page.get_by_role("link", name="Approve production"))
    hand.click(page.get_by_role("dialog").get_by_role("button", name="Approve"))
    page.wait_for_url(rollout)
    expect(page.locator("main")).to_contain_text("Approved by approver")


def open_the_deployment(page: Page, hand: Hand) -> None:
    expect(first_words(page)).to_have_text("Succeeded: running on 3 clusters", timeout=ROLLS)
    hand.click(page.get_by_role("link", name="Open deployment"))
    expect(page.get_by_role("heading", name=NAME, level=1)).to_be_visible()
    for cluster in CLUSTERS:
        row = page.locator("#clusters tbody tr", has_text=cluster)
        expect(row).to_contain_text("Ready")
        expect(row).to_contain_text(f"{NAME}.{NAMESPACE}.svc")
    expect(page.locator(".commands code").first).to_contain_text("kubectl --kubeconfig")


def ask_it(page: Page) -> None:
    page.get_by_role("textbox", name="Prompt").fill("What is KAITO?")
    page.get_by_role("button", name="Send a test prompt").click()
    expect(page.locator("#prompt .answer")).to_contain_text("You asked: What is KAITO?")


def of_ours(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in objects if each["metadata"]["name"].startswith(NAME)]


def managers(obj: dict[str, Any]) -> set[str]:
    return {row["manager"] for row in obj["metadata"]["managedFields"]}


def the_clusters_hold_it(demo: Demo) -> None:
    """Asked of the clusters, not of the portal."""
    for name in CLUSTERS:
        cluster = demo.cluster(name)
        (held,) = of_ours(cluster.objects("InferenceSet", NAMESPACE))
        assert held["spec"]["replicas"] == 1
        assert "fleetportal" in managers(held)
        service = next(
            each
            for each in cluster.objects("Service", NAMESPACE)
            if each["metadata"]["name"] == NAME
        )
        assert "fleetportal" in managers(service)
        assert held["metadata"]["name"] in service["spec"]["selector"].values()
    for name in ("test-weu", "stg-eus", "prod-eus2", "prod-swc", "prod-euc1", "prod-apse1"):
        assert not of_ours(demo.cluster(name).objects("Workspace", NAMESPACE)), name


def test_a_model_runs_on_three_clusters_after_fourteen_clicks(page: Page, demo: Demo) -> None:
    hand = Hand()
    log_in(page, hand)
    pick_the_model(page, hand)
    read_the_plan(page, hand)
    wait_for_approval(page)
    approve_as_another(page, hand)
    open_the_deployment(page, hand)
    assert hand.clicks == 14 <= LIMIT
    ask_it(page)
    the_clusters_hold_it(demo)


def test_the_story_is_told_to_its_end(demo: Demo) -> None:
    demo.wait_for_story()
    ended = {row["part"] for row in demo.story_log() if row["message"] == "story.done"}
    bad = [row for row in demo.story_log() if row["level"] in ("warning", "error")]
    assert not bad
    assert len(ended) == 11
