"""Run a command with DATABASE_URL naming a private PostgreSQL server that ends with it.

Usage: python scripts/with_postgres.py [--optional] -- COMMAND...
With --optional a machine without PostgreSQL is said so, and the command is skipped.
The server refuses to run as root; it then runs as the user postgres that its package made.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Nothing in here has to survive a crash, so nothing waits for a disk.
OPTIONS = (
    "-c listen_addresses=127.0.0.1 -c unix_socket_directories={directory} -c fsync=off "
    "-c synchronous_commit=off -c full_page_writes=off -c max_connections=120"
)
TRIES = 5  # another process may take the free port before we do


def programs() -> Path | None:
    """The directory of initdb and pg_ctl: of the newest version installed, else on the PATH."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: _number(path.parts[-3])
    )
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).resolve().parent if on_path else None


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def free_port() -> int:
    """A port below the range that the kernel hands out, free at this moment."""
    while True:
        port = random.randrange(20000, 32000)  # noqa: S311 - not a secret
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


@contextmanager
def server(binaries: Path) -> Iterator[str]:
    """A running server; gives its URL. Everything of it is gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="fleetportal-pg-"))
    prefix: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(directory, "postgres")
        prefix = ["runuser", "-u", "postgres", "--"]
    data = str(directory / "data")
    init = [str(binaries / "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]
    control = [*prefix, str(binaries / "pg_ctl"), "-D", data, "-w", "-s"]
    try:
        quiet([*prefix, *init, "-E", "UTF8", "--locale=C.UTF-8"], directory)
        yield f"postgres://postgres@127.0.0.1:{start(control, directory)}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], cwd=directory, check=False)
        shutil.rmtree(directory, ignore_errors=True)


def start(control: list[str], directory: Path) -> int:
    """Start the server on a free port, which is returned."""
    log = directory / "log"
    for attempt in range(TRIES):
        port = free_port()
        options = f"-p {port} {OPTIONS.format(directory=directory)}"
        command = [*control, "-l", str(log), "-o", options, "start"]
        if subprocess.run(command, cwd=directory, check=False).returncode == 0:
            return port
        print(f"PostgreSQL did not start on port {port} (try {attempt + 1} of {TRIES})")
    raise SystemExit(f"PostgreSQL did not start: {log.read_text()[-2000:]}")


def quiet(command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[-1]} failed: {done.stderr or done.stdout}")


def main() -> int:
    if "--" not in sys.argv[:-1]:
        raise SystemExit(__doc__)
    split = sys.argv.index("--")
    optional, command = "--optional" in sys.argv[:split], sys.argv[split + 1 :]
    binaries = programs()
    if binaries is None:
        message = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if optional:
            print(f"SKIPPED: {message}")
            return 0
        raise SystemExit(message)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with server(binaries) as url:
        environment = {**os.environ, "DATABASE_URL": url}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
