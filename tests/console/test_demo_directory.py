"""Which directory a demo takes, what it keeps of an earlier run, and what it says otherwise."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from fleetportal.console.demo.directory import (
    KEYS,
    directory_clear,
    directory_keys,
    directory_take,
)
from fleetportal.console.demo.options import CannotStart, options_from
from fleetportal.console.demo.supervisor import Demo, _Stopped


def test_a_directory_of_somebody_else_is_neither_emptied_nor_closed_to_others(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "portal.sqlite3").write_text("a real portal's")
    with pytest.raises(CannotStart, match=f"DATA_DIR {tmp_path} holds something else"):
        directory_take(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["portal.sqlite3"]
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_directory_that_cannot_be_used_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for data in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        with pytest.raises(CannotStart, match=f"DATA_DIR {data} cannot be used: .*DATA_DIR=~/"):
            directory_take(data)


def test_a_home_of_nobody_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="DATA_DIR ~nobody-at-all/x names a home that does not"):
        options_from({"DATA_DIR": "~nobody-at-all/x"}, tmp_path)


def test_an_earlier_demos_directory_is_taken_again_without_its_state(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    with directory_take(data):
        for name in ("portal.sqlite3", "portal.sqlite3-wal", "logs/web.log", "fleet/ready.json"):
            (data / name).parent.mkdir(exist_ok=True)
            (data / name).touch()
        keys = directory_keys(data)
        with pytest.raises(CannotStart, match=r"runs in .* already"):
            directory_take(data)
    with directory_take(data):
        directory_clear(data)
        assert sorted(path.name for path in data.iterdir()) == ["demo.lock", "keys.json", "logs"]
        assert list((data / "logs").iterdir()) == []
        assert directory_keys(data) == keys


@pytest.mark.parametrize("left", ["", "[]", '{"SECRET_KEY": "half"}'])
def test_keys_that_a_crash_left_unfinished_are_made_anew(tmp_path: Path, left: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(left)
    keys = directory_keys(tmp_path)
    assert set(keys) == set(KEYS) and json.loads(path.read_text()) == keys
    assert path.stat().st_mode & 0o077 == 0


def test_a_second_signal_does_not_cut_short_the_end_of_the_children(tmp_path: Path) -> None:
    demo = Demo(options_from({}, tmp_path))
    with pytest.raises(_Stopped):
        demo._stop(signal.SIGINT, None)
    demo._stop(signal.SIGINT, None)
