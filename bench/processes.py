"""What benches of live pages start beside themselves: Redis, web, the floor, five hundred viewers.

Each is a real process that ends with the `with` block that started it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from bench import portal
from fleetportal.accounts.models import Team, User
from fleetportal.accounts.principal import Principal
from fleetportal.console.demo.supervisor import redis_server
from fleetportal.live import tickets

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
VIEWERS, EACH = 500, 10  # EACH: streams of one person
CLASSES = 2  # kinds of reader among the viewers
NOBODY = [{"query": "", "cookie": ""}] * VIEWERS  # the floor asks for no tickets

Viewer = dict[str, str]


class Pages:
    """The viewers' process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert "wrong" not in found, f"a viewer: {found['wrong']}"
        return found

    def nudged(self, names: Sequence[str]) -> float:
        """When (monotonic) the last of them heard of exactly these names.

        Raises AssertionError when somebody heard of others, or more often than once.
        """
        found = self.answer()
        assert found["named"] == [list(names)], found["named"]
        return float(max(found["nudged"]))


class Web:
    def __init__(self, pid: int, port: int) -> None:
        self.pid, self.port = pid, port

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def renders(self) -> float:
        with urllib.request.urlopen(f"http://{HOST}:{self.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        rows = [line for line in text.splitlines() if 'renders_total{fragment="fleet-' in line]
        return sum(float(row.rpartition(" ")[2]) for row in rows)


@contextmanager
def child(*command: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, cwd=ROOT, text=True, **more)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)


@contextmanager
def redis() -> Iterator[str]:
    port = free_port()
    options = f"--bind {HOST} --port {port} --appendonly no --dir {portal.DIRECTORY}"
    with child(redis_server(), *options.split(), "--save", "", stdout=subprocess.DEVNULL):
        listens(port)
        yield f"redis://{HOST}:{port}/0"


@contextmanager
def web(url: str) -> Iterator[Web]:
    port = free_port()
    env = {**os.environ, "REDIS_URL": url}
    with child(sys.executable, "manage.py", "web", "--port", str(port), env=env) as process:
        listens(port)
        yield Web(process.pid, port)


@contextmanager
def fanout(**source: Any) -> Iterator[int]:
    """The floor on news or on watches (bench.fanout says what it takes); its port."""
    port = free_port()
    with child(sys.executable, "-m", "bench.fanout", str(port), stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(json.dumps(source) + "\n")
        process.stdin.flush()
        listens(port)
        yield port


@contextmanager
def pages(port: int, viewers: list[Viewer], paths: Sequence[str] = ()) -> Iterator[Pages]:
    """Open pages, at a web process or at the floor; `paths` are what `fetch` asks for."""
    command = (sys.executable, "-m", "bench.viewers", str(port))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with child(*command, **pipes) as process:
        opened = Pages(process)
        plan = json.dumps({"paths": paths, "viewers": viewers})
        assert opened.ask(plan) == {"ready": len(viewers)}
        yield opened


def viewers(team: Team, topics: Sequence[str]) -> list[Viewer]:
    """All of them, with tickets that are good for a minute."""
    return [viewer for user in _people(team) for viewer in _of_one(user, topics)]


def _people(team: Team) -> Iterator[User]:
    for number in range(VIEWERS // EACH):
        name, role = f"watcher-{number}", "operator" if number % CLASSES else ""
        known = User.objects.filter(username=name).first()
        yield known or portal.person(name, team, "viewer", role)


def _of_one(user: User, topics: Sequence[str]) -> Iterator[Viewer]:
    for _ in range(EACH):
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        ticket = tickets.issue(Principal(user), session.session_key or "", topics)
        cookie = f"{settings.SESSION_COOKIE_NAME}={session.session_key}"
        yield {"query": f"ticket={ticket}", "cookie": cookie}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        assert time.monotonic() < deadline, f"nothing listens on {port}"
        time.sleep(0.05)
