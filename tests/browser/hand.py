"""What every browser test does by hand first."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.demo import PASSWORD


def log_in(page: Page, username: str) -> None:
    """Sign in; ends wherever that leads."""
    page.goto("/login/")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
