"""uvicorn as this product runs it: streams are told when the process ends, and may be many."""

from __future__ import annotations

import resource
import socket
import sys

import uvicorn
from uvicorn.supervisors import Multiprocess

from fleetportal.live.hub import hub

__all__ = ["Multiprocess", "Server", "raise_open_files", "share_the_interpreter"]


class Server(uvicorn.Server):
    """Ends the streams first; else they would hold the shutdown up to its time limit."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        hub.close()
        await super().shutdown(sockets)


def share_the_interpreter() -> None:
    """Let the event loop have its turn every half millisecond, not every five.

    It waits for one at every socket that it writes to while a thread renders: with five hundred
    pages that made seconds.
    """
    sys.setswitchinterval(0.0005)


def raise_open_files() -> int:
    """As many open files as the system lets this process have: each stream is one. How many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1 << 20
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
