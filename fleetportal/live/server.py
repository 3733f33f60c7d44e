"""uvicorn as this product runs it: streams are told when the process ends, and may be many."""

from __future__ import annotations

import resource
import socket
import sys

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from fleetportal.live.hub import hub

__all__ = ["Multiprocess", "Protocol", "Server", "raise_open_files", "share_the_interpreter"]

MOST_HEAD = 64 << 10  # bytes of a request that are no body; up to one read more slips through


class Protocol(HttpToolsProtocol):
    """Refuses a head, or what follows a body, that does not end: the parser keeps all of it."""

    _head = 0

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        super().data_received(data)
        if self._head > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of this request is too large.")

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        self._head -= len(body)
        super().on_body(body)


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
