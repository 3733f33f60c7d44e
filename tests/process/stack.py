"""Real processes of the portal on the test's own database: Redis, worker, collector.

The test asks services and rows in its own process; the rest is done by the children,
which can be killed at any moment.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.db import connection

from fleetportal.console.demo.supervisor import redis_server
from tests.fleet.harness import until

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Child:
    """One child in a process group of its own, with its output in a file."""

    def __init__(self, name: str, folder: Path, env: dict[str, str]) -> None:
        self.output = folder / f"{name}.log"
        self.env = env
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with self.output.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to it and to all it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """SIGSTOP: it keeps its sockets and answers nobody, until `wake`."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def wake(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def stop(self) -> bool:
        self.kill()
        return True


class Redis(Child):
    """On a port of its own, keeping nothing on disk; it can be started again there."""

    def __init__(self, folder: Path) -> None:
        super().__init__("redis", folder, dict(os.environ))
        self.folder = folder
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        options = f"--bind {HOST} --port {self.port} --appendonly no --dir {self.folder}"
        return [redis_server(), *options.split(), "--save", ""]

    def start(self) -> None:
        super().start()
        until("Redis listens", self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            return probe.connect_ex((HOST, self.port)) == 0


class Worker(Child):
    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "celery", "-A", "fleetportal", "worker"),
            *("--pool", "prefork", "--concurrency", "2", "--loglevel", "INFO"),
            *("--without-gossip", "--without-mingle", "--hostname", "test@localhost"),
        ]


class CollectorProcess(Child):
    def command(self) -> list[str]:
        return [sys.executable, "manage.py", "collector"]


def environment(redis_url: str, folder: Path) -> dict[str, str]:
    """Children use this test's database, keys and broker."""
    return {
        **os.environ,
        "DATABASE_URL": database_url(connection.settings_dict),
        "REDIS_URL": redis_url,
        "DATA_DIR": str(folder),
        "FLEETPORTAL_ALLOW_LOOPBACK_CLUSTERS": "1",
        "PYTHONPATH": str(ROOT),
    }


def database_url(settings: dict[str, Any]) -> str:
    if settings["ENGINE"].endswith("sqlite3"):
        return f"sqlite:///{settings['NAME']}"
    where = f"{settings['HOST']}:{settings['PORT']}"
    return f"postgres://{settings['USER']}:{settings['PASSWORD']}@{where}/{settings['NAME']}"
