"""The spare port: the same clusters behind a certificate that a fault can let expire.

A certificate is shown before any cluster is named, so it cannot expire for one of them alone: who
wants that registers the cluster at this port.
"""

import contextlib
import socket
from collections.abc import Generator
from pathlib import Path

import uvicorn

from fleetsim import certificates
from fleetsim.http.state import Sim


class _Quiet(uvicorn.Server):
    """Leaves signals to the main server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """None of them."""
        yield


async def run(sim: Sim, like: uvicorn.Config, listener: socket.socket, folder: Path) -> None:
    """Serve until cancelled, with the settings of the main server and a TLS context of its own."""
    config = uvicorn.Config(
        like.app,
        http=like.http,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        ssl_certfile=like.ssl_certfile,
        ssl_keyfile=like.ssl_keyfile,
        timeout_keep_alive=like.timeout_keep_alive,
        backlog=like.backlog,
    )
    config.load()
    server = _Quiet(config)
    sim.on_faults = lambda: _turn(sim, config, server, folder)
    sim.spare_url = f"https://{listener.getsockname()[0]}:{listener.getsockname()[1]}"
    await server.serve(sockets=[listener])


def _turn(sim: Sim, config: uvicorn.Config, server: uvicorn.Server, folder: Path) -> None:
    """Show the certificate that the faults ask for; open connections end when it has expired."""
    expired = sim.faults.expired()
    chosen = folder / certificates.EXPIRED if expired else config.ssl_certfile
    if config.ssl is not None and chosen is not None:
        config.ssl.load_cert_chain(str(chosen), str(config.ssl_keyfile))
    if expired:
        for connection in list(server.server_state.connections):
            transport = connection.transport
            if transport is not None:
                transport.abort()
