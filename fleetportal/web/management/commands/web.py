"""`manage.py web`: the portal on uvicorn. On loopback unless told otherwise."""

from __future__ import annotations

import warnings
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand

from fleetportal.env import env_int, env_str
from fleetportal.live.server import Multiprocess, Protocol, Server, raise_open_files
from fleetportal.web.safety import ready_to_serve

STARTUP_FAILURE = 3  # as uvicorn's own command ends


class Command(BaseCommand):
    help = "Serve the portal. Several workers share nothing but the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=env_str("HOST", "127.0.0.1"))
        parser.add_argument("--port", type=int, default=env_int("PORT", 8000, least=1, most=65535))
        parser.add_argument("--workers", type=int, default=1)

    def handle(self, *args: Any, **options: Any) -> None:
        ready_to_serve()
        # Static files are read whole, which is what is wanted of them.
        warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous")
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # empty without collectstatic
        raise_open_files()
        config = uvicorn.Config(
            "fleetportal.asgi:application",
            host=options["host"],
            port=options["port"],
            workers=options["workers"],
            http=Protocol,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=bool(env_str("FORWARDED_ALLOW_IPS")),  # whose X-Forwarded-For counts
            timeout_graceful_shutdown=5,
        )
        if config.workers > 1:
            Multiprocess(config, sockets=[config.bind_socket()]).run()
            return
        server = Server(config)
        with suppress(KeyboardInterrupt):  # uvicorn raises it again after a clean end
            server.run()
        if not server.started:
            raise SystemExit(STARTUP_FAILURE)
