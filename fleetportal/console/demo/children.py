"""Child processes of the demo: started with a log file each, ended together, never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOOK = 0.02  # seconds between two looks at a child that is waited for
STOP_AFTER = 10.0  # seconds between asking and forcing
PR_SET_PDEATHSIG = 1


class ChildDied(SystemExit):
    """A child ended by itself; the message names its log."""


@dataclass
class Children:
    """The processes in the order of their start; they end in reverse."""

    logs: Path
    record: Path  # their process ids, for the clean-up after a killed run
    _running: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)
    _may_end: set[str] = field(default_factory=set)

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str], *, may_end: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a child in a session of its own, so that Ctrl-C reaches only the supervisor.

        `may_end`: it has something to do and then ends by itself.
        """
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self._running.append((name, process))
        if may_end:
            self._may_end.add(name)
        lines = [f"{process.pid} {name}\n" for name, process in self._running]
        self.record.write_text("".join(lines), encoding="utf-8")
        return process

    def run(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Run one to its end while the others live. Raises ChildDied with the end of its log."""
        process = self.start(name, command, env, may_end=True)
        while process.poll() is None:
            self.check()
            time.sleep(LOOK)
        if process.returncode:
            log = self.logs / f"{name}.log"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise ChildDied(f"{name} failed; its log: {log}\n{tail}")

    def check(self) -> None:
        """Raise ChildDied when one has ended."""
        for name, process in self._running:
            if process.poll() is not None and name not in self._may_end:
                log = self.logs / f"{name}.log"
                raise ChildDied(
                    f"{name} {_ended(process.returncode)}, and the demo ends with it. Its log: "
                    f"{log}. Start the demo again."
                )

    def stop(self) -> None:
        """End all of them and everything they started, each while what it needs still runs."""
        deadline = time.monotonic() + STOP_AFTER
        for _, process in reversed(self._running):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for _, process in self._running:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()
        self.record.unlink(missing_ok=True)


def end_leftovers(record: Path) -> int:
    """End what a killed run left behind: only processes that still carry our mark. How many."""
    if not record.exists():
        return 0
    ended = 0
    for line in record.read_text(encoding="utf-8").splitlines():
        pid, _, _ = line.partition(" ")
        if pid.isdigit() and _is_ours(int(pid), record.parent):
            _signal_group(int(pid), signal.SIGKILL)
            ended += 1
    record.unlink(missing_ok=True)
    return ended


def _is_ours(pid: int, data: Path) -> bool:
    """Process ids are used again, so the environment must name this data directory."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"DATA_DIR={data}".encode() in environ.split(b"\0")


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def die_with_parent() -> None:
    """In the child, before exec: the kernel ends it when the supervisor is gone (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
