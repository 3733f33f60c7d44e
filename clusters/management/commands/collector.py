"""`manage.py collector`: watches its share of the registered clusters until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Any

import uvloop
from django.core.management.base import BaseCommand, CommandParser

from clusters.collector.fleet import Fleet
from clusters.collector.limits import files_raise, memory_tidy
from fleetportal.web.safety import ready_to_serve

log = logging.getLogger(__name__)

# Seconds that the event loop may keep the threads of the database waiting: while a thousand
# handshakes keep it busy, Python's 5 ms for each statement add up to minutes.
SWITCH = 0.0005


class Command(BaseCommand):
    help = "Watch registered clusters and store what they hold. Several collectors share them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--name", default="", help="of this process in heartbeats and logs (host:pid)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        ready_to_serve()
        files_raise()
        memory_tidy()
        sys.setswitchinterval(SWITCH)
        # uvloop: half the memory for a thousand TLS watches (measured on 300: 88 against 146 MiB).
        uvloop.run(_run(options["name"]))


async def _run(name: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_unhandled)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Fleet(name).run(stop)


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Connections that are cut in their handshake are no news: uvloop would log each at length."""
    if str(context.get("message", "")).startswith("Fatal error on SSL protocol"):
        log.debug("collector.cut", extra={"error": str(context.get("exception"))})
    else:
        loop.default_exception_handler(context)
