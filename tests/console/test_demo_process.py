"""The demo as processes: what it refuses, what it leaves behind, what it does without."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetportal.console.demo.children import end_leftovers
from fleetportal.console.demo.options import CannotStart, options_from
from tests.demo import (
    COMMAND,
    PASSWORD,
    ROOT,
    Demo,
    alive,
    environment,
    free_port,
    left_of,
    output_of,
    wait_until,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo.start(tmp_path_factory.mktemp("demo"))
    yield demo
    if demo.process.poll() is None:
        demo.stop()


@pytest.fixture
def broker() -> Iterator[str]:
    """Somebody's own Redis."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("no redis-server on the PATH")
    port = free_port()
    arguments = ["--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    process = subprocess.Popen([server, *arguments], stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(10)


def refused(data: Path, port: int, **more: str) -> str:
    """What the demo says when it does not start."""
    done = subprocess.run(
        COMMAND,
        cwd=ROOT,
        env=environment(data, port, **more),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    return done.stderr


def test_it_prints_where_to_go_and_the_password_last(running: Demo) -> None:
    lines = output_of(running.data).read_text().strip().splitlines()
    assert running.url in lines[0]
    assert lines[-1] == PASSWORD


def test_what_it_keeps_is_for_its_owner_alone(running: Demo) -> None:
    for name in ("keys.json", "redis.conf", "fleet.kubeconfig"):
        assert (running.data / name).stat().st_mode & 0o077 == 0
    assert running.data.stat().st_mode & 0o077 == 0


def test_a_second_demo_in_the_same_directory_is_refused(running: Demo) -> None:
    said = refused(running.data, free_port())
    assert f"A demo runs in {running.data} already" in said
    assert "DATA_DIR" in said


def test_a_port_in_use_is_named_with_a_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} is in use. Choose another: PORT={port + 1}" in refused(tmp_path, port)


def test_a_child_that_is_killed_ends_the_demo_with_a_word(tmp_path: Path) -> None:
    demo = Demo.start(tmp_path, CLUSTERS="1")
    os.kill(demo.children()["collector"], signal.SIGKILL)
    assert demo.process.wait(30) == 1
    said = output_of(tmp_path).read_text()
    assert "collector was ended by SIGKILL, and the demo ends with it" in said
    assert f"{tmp_path / 'logs' / 'collector.log'}. Start the demo again." in said
    assert left_of(tmp_path) == []


def test_a_signal_ends_it_and_leaves_no_process(running: Demo) -> None:
    assert left_of(running.data)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0
    assert left_of(running.data) == []
    assert not (running.data / "children.pid").exists()


def test_killed_it_takes_its_children_along_and_starts_again(tmp_path: Path, broker: str) -> None:
    demo = Demo.start(tmp_path, CLUSTERS="100", REDIS_URL=broker)
    assert "redis" not in demo.children()
    assert demo.api("clusters/")["count"] == 100
    demo.process.kill()
    demo.process.wait()
    wait_until(lambda: not left_of(tmp_path), 20, "the end of the children")
    again = Demo.start(tmp_path, CLUSTERS="3")
    try:
        with urllib.request.urlopen(f"{again.url}/login/", timeout=10) as answer:
            assert answer.status == 200
        assert again.api("clusters/")["count"] == 3
    finally:
        again.stop()
    assert left_of(tmp_path) == []


def test_leftovers_are_ended_only_where_they_carry_our_mark(tmp_path: Path) -> None:
    ours = sleeper({"DATA_DIR": str(tmp_path)})
    foreign = sleeper({"DATA_DIR": "/elsewhere"})
    record = tmp_path / "children.pid"
    record.write_text(f"{ours.pid} web\n{foreign.pid} worker\nnonsense\n")
    try:
        assert end_leftovers(record) == 1
        assert ours.wait(10) == -signal.SIGKILL
        assert alive(foreign.pid)
        assert not record.exists()
    finally:
        foreign.kill()
        foreign.wait()


def sleeper(env: dict[str, str]) -> subprocess.Popen[bytes]:
    """A process in a group of its own that only waits."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    return subprocess.Popen(command, env={**os.environ, **env}, start_new_session=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("CLUSTERS", "0"),
        ("CLUSTERS", "1001"),
        ("SPEED", "-1"),
        ("SPEED", "\u00b2"),
    ],
)
def test_a_bad_variable_is_named_with_its_limits(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=f"{name} must be a whole number from 1 to"):
        options_from({name: value}, tmp_path)


def test_without_variables_it_has_nine_clusters_and_a_password_of_its_own(tmp_path: Path) -> None:
    options = options_from({}, tmp_path)
    assert (options.port, options.clusters, options.speed) == (8000, 0, 20.0)
    assert len(options.password) >= 16
    assert options.password != options_from({}, tmp_path).password
