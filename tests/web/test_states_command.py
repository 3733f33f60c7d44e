from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from fleetportal.kit.states import Machine, State
from fleetportal.web.management.commands.states import machines, table


def test_the_document_names_every_machine_once_and_follows_the_code(
    settings: Settings, tmp_path: Path
) -> None:
    settings.BASE_DIR = tmp_path
    with pytest.raises(CommandError, match="make states"):
        call_command("states", "--check")
    call_command("states")
    text = (tmp_path / "docs" / "states.md").read_text()
    names = {machine.name for machine in machines()}
    assert {"cluster", "plan", "workspace"} <= names
    for name in names:
        assert text.count(f"## {name.replace('_', ' ').capitalize()}\n") == 1
    out = io.StringIO()
    call_command("states", "--check", stdout=out)
    assert "up to date" in out.getvalue()


def test_a_table_says_where_each_state_leads() -> None:
    machine = Machine(
        "big_thing",
        {"open": State("Open", "run"), "shut": State("Shut", "idle", terminal=True)},
        {("open", "shut")},
    )
    assert list(table(machine))[4:6] == [
        "| `open` | Open | run | `shut` |",
        "| `shut` | Shut | idle | (the end) |",
    ]
