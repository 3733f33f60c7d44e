"""Every page: nothing for axe to find, a silent console, none wider than a phone, no script needed.

Pictures of all of them are left in the folder that FLEETPORTAL_SHOTS names, or a temporary one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from tests.browser.hand import log_in
from tests.demo import Demo

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RUN_AXE = """async () => (await axe.run()).violations
    .filter((found) => ["serious", "critical"].includes(found.impact))
    .map((found) => [found.id, ...found.nodes.slice(0, 3).map((node) => node.html)].join(" | "))"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SHOT_HEIGHT = 2400
Where = Callable[[Demo], str]


def _page_of(kind: str, *arguments: Any, tail: str = "") -> Where:
    return lambda demo: str(getattr(demo, kind)(*arguments)["url"]) + tail


def _logs(demo: Demo) -> str:
    row = demo.api(f"deployments/{demo.deployment('assist-chat')['id']}/workspaces/")["results"][0]
    return f"/workspaces/{row['id']}/logs/"


def _plan(demo: Demo) -> str:
    return f"/plans/{demo.rollout('doc-summary', 2)['plan']}/"


# name -> (who looks, address)
PAGES: dict[str, tuple[str, Where]] = {
    "fleet": ("operator", lambda demo: "/fleet/"),
    "catalog": ("engineer", lambda demo: "/catalog/"),
    "model": ("engineer", lambda demo: "/catalog/microsoft--phi-4-mini-instruct/"),
    "model-gated": ("engineer", lambda demo: "/catalog/meta-llama--llama-3.1-8b-instruct/"),
    "plan": ("engineer", _plan),
    "deployments": ("engineer", lambda demo: "/deployments/"),
    "deployment": ("engineer", _page_of("deployment", "assist-chat")),
    "deployment-stuck": ("engineer", _page_of("deployment", "code-review")),
    "deployment-drifting": ("engineer", _page_of("deployment", "agent-tools")),
    "deployment-metrics": (
        "engineer",
        _page_of("deployment", "assist-chat", tail="metrics/?chart=ttft"),
    ),
    "deployment-objects": ("engineer", _page_of("deployment", "assist-chat", tail="?tab=objects")),
    "deployment-revisions": (
        "engineer",
        _page_of("deployment", "doc-summary", tail="?tab=revisions"),
    ),
    "deployment-history": ("engineer", _page_of("deployment", "agent-tools", tail="?tab=history")),
    "logs": ("engineer", _logs),
    "deployment-delete": ("engineer", _page_of("deployment", "assist-chat", tail="delete/")),
    "secret": ("engineer", lambda demo: "/teams/assist/secret/"),
    "rollouts": ("engineer", lambda demo: "/rollouts/"),
    "rollout-waiting": ("engineer", _page_of("rollout", "doc-summary", 2)),
    "rollout-stuck": ("engineer", _page_of("rollout", "code-review", 1)),
    "rollout-rejected": ("engineer", _page_of("rollout", "ticket-triage", 2)),
    "rollout-rolled-back": ("operator", _page_of("rollout", "fraud-notes", 2)),
    "rollout-soaking": ("engineer", _page_of("rollout", "meeting-notes", 1)),
    "rollout-history": ("engineer", _page_of("rollout", "ticket-triage", 2, tail="?tab=history")),
    "rollout-abort": ("engineer", _page_of("rollout", "code-review", 1, tail="abort/")),
    "approvals": ("approver", lambda demo: "/approvals/"),
    "approvals-decided": ("approver", lambda demo: "/approvals/?show=decided"),
    "approval-green": ("approver", _page_of("approval", "doc-summary")),
    "approval-red": ("approver", _page_of("approval", "kyc-extract")),
    "approval-own": ("approver", _page_of("approval", "claims-search")),
    "approval-approve": ("approver", _page_of("approval", "doc-summary", tail="approve/")),
    "clusters": ("operator", lambda demo: "/clusters/"),
    "clusters-engineer": ("engineer", lambda demo: "/clusters/"),
    "cluster": ("operator", lambda demo: "/clusters/prod-weu/"),
    "cluster-byo": ("operator", lambda demo: "/clusters/prod-swc/"),
    "cluster-away": ("operator", lambda demo: "/clusters/prod-euc1/"),
    "cluster-cordoned": ("operator", lambda demo: "/clusters/prod-apse1/"),
    "cluster-register": ("operator", lambda demo: "/clusters/register/"),
    "audit": ("operator", lambda demo: "/audit/"),
    "not-found": ("engineer", lambda demo: "/deployments/00000000-0000-0000-0000-000000000000/"),
}
WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 360, "height": 740}


class Watch:
    """What a page complains about: console errors, content policy violations, exceptions."""

    def __init__(self, page: Page) -> None:
        self.found: list[str] = []
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.found.append(str(error)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "status of 404" not in text:
            self.found.append(text)


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("FLEETPORTAL_SHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("shots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def contexts(browser: Browser, demo: Demo) -> Iterator[dict[str, BrowserContext]]:
    """A signed-in window for each account, after the demo's story has been told."""
    demo.wait_for_story()
    found = {}
    for username in ("engineer", "approver", "operator"):
        found[username] = browser.new_context(base_url=demo.url, viewport=WIDE)
        page = found[username].new_page()
        log_in(page, username)
        page.close()
    yield found
    for context in found.values():
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_nothing_for_axe_no_errors_and_fits_a_phone(
    name: str, demo: Demo, contexts: dict[str, BrowserContext], shots: Path
) -> None:
    username, where = PAGES[name]
    page = contexts[username].new_page()
    watch = Watch(page)
    page.goto(where(demo))
    expect(page.locator("main h1").first).to_be_visible()
    page.wait_for_timeout(300)  # a live part's first answer, an approval's own pre-flight
    assert watch.found == []  # before axe, which sets styles that the policy refuses
    inspect(page, shots, name)
    page.close()


def test_the_login_page_has_nothing_for_axe_no_errors_and_fits_a_phone(
    page: Page, shots: Path
) -> None:
    watch = Watch(page)
    page.goto("/login/")
    page.wait_for_load_state("networkidle")
    assert watch.found == []
    inspect(page, shots, "login")


def inspect(page: Page, shots: Path, name: str) -> None:
    """Light, dark, and as narrow as a phone; leaves a picture of each."""
    page.evaluate(AXE)
    for look in ("light", "dark"):
        page.emulate_media(color_scheme=look, reduced_motion="reduce")
        shoot(page, shots / f"{name}-{look}.png")
        assert page.evaluate(RUN_AXE) == [], look
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(NARROW)
    shoot(page, shots / f"{name}-phone.png")
    assert page.evaluate(OVERFLOW) <= 0


def shoot(page: Page, path: Path) -> None:
    size = page.viewport_size
    assert size is not None
    tall = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": min(max(740, tall), SHOT_HEIGHT)})
    page.screenshot(path=path)
    page.set_viewport_size(size)


def test_a_plan_is_made_and_started_without_javascript(browser: Browser, demo: Demo) -> None:
    context = browser.new_context(base_url=demo.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page, "engineer")
    page.get_by_role("link", name="Deploy a model").click()
    page.get_by_role("link", name="Phi-4-mini-instruct", exact=True).click()
    name = page.get_by_label("Name").input_value()
    page.get_by_label("Replicas").fill("1")
    page.get_by_role("button", name="Show where it goes").click()
    while page.get_by_role("link", name="Look again").is_visible():
        page.get_by_role("link", name="Look again").click()
    expect(page.locator("p.lede")).to_contain_text("1 replica:")
    page.locator("#verdict-prod-swc summary").click()
    expect(page.locator("#verdict-prod-swc")).to_contain_text("0 whole nodes free")
    page.get_by_role("button", name="Start rollout").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    page.get_by_role("link", name="Abort").click()
    page.get_by_label("Reason").fill("Only to see that it works without scripts.")
    page.get_by_role("main").get_by_role("button", name="Abort the rollout").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    context.close()
