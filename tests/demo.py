"""A running demo for tests: started as a person would, and asked past the portal."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetportal.console.demo.children import die_with_parent
from tests.simfleet import SimCluster, SimFleet

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "a-password-for-tests-only"
COMMAND = [sys.executable, "-m", "fleetportal.console.demo"]  # what `make demo` runs
STORY = 180.0  # seconds that the demo's story may take on a busy machine
OURS = ("FLEETPORTAL_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DATA_DIR", "LOG_LEVEL")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data: Path, port: int, **more: str) -> dict[str, str]:
    """A person's environment: nothing of the test suite's own settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    kept.pop("DJANGO_SETTINGS_MODULE", None)
    return {**kept, "DATA_DIR": str(data), "PORT": str(port), "DEMO_PASSWORD": PASSWORD, **more}


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Raises AssertionError naming `what` when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s"
        time.sleep(0.2)


def output_of(data: Path) -> Path:
    """Beside the directory: the demo takes none that holds other people's files."""
    return data.with_name(f"{data.name}.output.txt")


@dataclass
class Demo:
    """A demo that runs. `sim` is the simulated fleet's own control: what the clusters hold."""

    process: subprocess.Popen[bytes]
    data: Path
    url: str
    sim: SimFleet
    _token: str = ""

    @classmethod
    def start(cls, data: Path, **more: str) -> Demo:
        """Start it and wait for its last line. Raises AssertionError with its output."""
        port = free_port()
        output = output_of(data)
        with output.open("wb") as log:
            process = subprocess.Popen(
                COMMAND,
                cwd=ROOT,
                env=environment(data, port, **more),
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        deadline = time.monotonic() + 120
        while PASSWORD not in output.read_text():
            ended = process.poll() is not None or time.monotonic() > deadline
            if ended:
                process.kill()
            assert not ended, f"the demo did not start: {output.read_text()}"
            time.sleep(0.1)
        sim = SimFleet(process, data / "fleet")
        return cls(process, data, f"http://127.0.0.1:{port}", sim)

    def stop(self) -> None:
        """As Ctrl-C would."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    def children(self) -> dict[str, int]:
        """Name -> process id, as the supervisor recorded them."""
        lines = (self.data / "children.pid").read_text().splitlines()
        return {name: int(pid) for pid, _, name in (line.partition(" ") for line in lines)}

    def api(self, path: str) -> Any:
        """GET below /api/v1/ as admin."""
        return self._call("GET", path, self._bearer())

    def post(self, path: str, body: Any) -> Any:
        """POST below /api/v1/ as admin."""
        return self._call("POST", path, self._bearer(), body)

    def _bearer(self) -> str:
        if not self._token:
            basic = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
            answer = self._call("POST", "tokens/", f"Basic {basic}", {"name": "browser tests"})
            self._token = answer["token"]
        return f"Bearer {self._token}"

    def _call(self, method: str, path: str, auth: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/v1/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": auth, "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def deployment(self, name: str) -> dict[str, Any]:
        """The deployment of that name, in whichever team."""
        found: dict[str, Any] = self.api(f"deployments/?name={name}")["results"][0]
        return found

    def rollout(self, name: str, revision: int) -> dict[str, Any]:
        """The rollout that brought (or brings) a revision of a deployment."""
        rows = self.api("rollouts/?page_size=100")["results"]
        return next(r for r in rows if (r["name"], r["revision"]) == (name, revision))

    def approval(self, name: str) -> dict[str, Any]:
        """The newest approval of a deployment's rollouts."""
        rows = self.api("approvals/?page_size=100")["results"]
        return next(r for r in rows if r["name"] == name)

    def cluster(self, name: str) -> SimCluster:
        return next(each for each in self.sim.clusters() if each.name == name)

    def fleet_is_known(self) -> bool:
        """Every cluster's first inventory is stored and the story's lost one is lost."""
        states = {row["name"]: row["state"] for row in self.api("clusters/")["results"]}
        lost = states.pop("prod-euc1", "") == "unreachable"
        return lost and set(states.values()) == {"ready"}

    def story_log(self) -> list[dict[str, Any]]:
        text = (self.data / "logs" / "story.log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def wait_for_story(self) -> None:
        """Until every part of it has ended."""
        wait_until(lambda: not alive(self.children()["story"]), STORY, "the end of the story")


def alive(pid: int) -> bool:
    """Whether a process still runs; one that ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def left_of(data: Path) -> list[str]:
    """Command lines of every process that was started for this data directory."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            environ = (folder / "environ").read_bytes().split(b"\0")
            if f"DATA_DIR={data}".encode() in environ and alive(int(folder.name)):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (OSError, ValueError):
            continue
    return found
