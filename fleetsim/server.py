"""Builds a simulator and serves it over TLS on 127.0.0.1: certificate, seeds, actors, uvicorn."""

import asyncio
import contextlib
import gc
import importlib
import importlib.util
import logging
import secrets
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fleetsim import certificates, crds, publish, spare
from fleetsim.faultfile import follow
from fleetsim.faults import FaultBook
from fleetsim.http.app import App
from fleetsim.http.reviews import mint
from fleetsim.http.state import Sim
from fleetsim.requestlog import RequestLog
from fleetsim.store import Fleet

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to start. `port` 0 picks a free one; `count` 0 leaves the number of clusters to the
    scenario; `faults` is a file that is followed.
    """

    state_dir: Path
    port: int = 0
    scenario: str = "story"
    count: int = 0
    speed: float = 20.0
    seed: int = 1
    actors: bool = True
    bookmark_seconds: float = 10.0
    faults: Path | None = None


class _Protocol(HttpToolsProtocol):
    """Gives the application its transport, so that a fault can cut the connection."""

    def on_message_begin(self) -> None:
        """Start of a request."""
        super().on_message_begin()
        self.scope["fleetsim.transport"] = self.transport  # type: ignore[typeddict-unknown-key]


class _Server(uvicorn.Server):
    """Stops at once on a signal: watches are open for ever."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM and SIGINT."""
        self.should_exit = True
        self.force_exit = True


def build(settings: Settings) -> Sim:
    """A simulator whose clusters are seeded but not served yet."""
    folder = settings.state_dir
    folder.mkdir(parents=True, exist_ok=True)
    secret = _secret(folder / "secret")
    fleet = Fleet(settings.seed, settings.speed)
    sim = Sim(
        fleet=fleet,
        faults=FaultBook(fleet.rng("faults")),
        log=RequestLog(folder / "requests.jsonl"),
        admin_token=mint(secret, "admin"),
        secret=secret,
        state_dir=folder,
        bookmark_seconds=settings.bookmark_seconds,
    )
    # Seeds live as long as the process: collecting them again and again would double the start.
    gc.disable()
    _seed(fleet, settings)
    gc.freeze()
    gc.enable()
    return sim


def _secret(path: Path) -> bytes:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


def _seed(fleet: Fleet, settings: Settings) -> None:
    if importlib.util.find_spec("fleetsim.scenario"):
        importlib.import_module("fleetsim.scenario").build(fleet, settings.scenario, settings.count)
        return
    for number in range(settings.count):
        fleet.add_cluster(f"c{number + 1:04d}", crds.load())


async def serve(settings: Settings) -> None:
    """Run until a signal. Prints ready.json's content on one line once it listens."""
    sim = build(settings)
    ca_file, cert_file, key_file = certificates.ensure(settings.state_dir)
    listener = _listen(settings.port)
    sim.url = f"https://{HOST}:{listener.getsockname()[1]}"
    sim.ca_pem = ca_file.read_text()
    config = uvicorn.Config(
        App(sim),
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        ssl_certfile=str(cert_file),
        ssl_keyfile=str(key_file),
        timeout_keep_alive=75,
        backlog=2048,
    )
    server = _Server(config)
    tasks = [
        asyncio.create_task(_announce(server, sim, ca_file)),
        asyncio.create_task(_act(sim.fleet, settings.actors)),
        asyncio.create_task(spare.run(sim, config, _listen(0), settings.state_dir)),
    ]
    if settings.faults:
        tasks.append(asyncio.create_task(follow(sim, settings.faults)))
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _listen(port: int) -> socket.socket:
    # asyncio switches Nagle off only on sockets that name TCP; with it each answer takes 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    return listener


async def _announce(server: uvicorn.Server, sim: Sim, ca_file: Path) -> None:
    while not (server.started and sim.spare_url):
        await asyncio.sleep(0.01)
    ready = publish.write_files(sim, ca_file)
    sys.stdout.write(orjson.dumps(ready).decode() + "\n")
    sys.stdout.flush()


async def _act(fleet: Fleet, wanted: bool) -> None:
    """Run the actors where there are any. A failure is logged; the server goes on."""
    if not wanted or importlib.util.find_spec("fleetsim.actors") is None:
        return
    actors: Any = importlib.import_module("fleetsim.actors")
    if not hasattr(actors, "run"):
        return
    try:
        await actors.run(fleet)
    except Exception:
        logging.getLogger("fleetsim").exception("the actors stopped")
