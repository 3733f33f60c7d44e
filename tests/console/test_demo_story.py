"""The demo's story: parts run side by side, and a part that fails does not take others along."""

from __future__ import annotations

import logging

import pytest

from fleetportal.console.demo.acting import Part, drive
from fleetportal.kit.errors import Refused


def test_a_part_goes_on_once_its_condition_holds() -> None:
    heard: list[str] = []

    def first() -> Part:
        yield lambda: "second" in heard
        heard.append("first")

    def second() -> Part:
        yield lambda: True
        heard.append("second")

    drive({"first": first(), "second": second()})
    assert heard == ["second", "first"]


@pytest.mark.parametrize("error", [Refused("No room."), OSError("gone"), KeyError("a bug")])
def test_a_part_that_fails_is_logged_and_the_others_go_on(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def failing() -> Part:
        yield lambda: True
        raise error

    def well() -> Part:
        yield lambda: True
        yield lambda: True
        heard.append("well")

    with caplog.at_level(logging.INFO):
        drive({"failing": failing(), "well": well()})
    assert heard == ["well"]
    assert {"story.refused", "story.failed"} & {record.message for record in caplog.records}
