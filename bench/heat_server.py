"""The portal as a process of its own over a made-up fleet, for browsers that look at the heatmap.

`python -m bench.heat_server PORT`: a thousand clusters of ten nodes with eight cards. Prints one
line of JSON when it is ready: its address and the cookie of a signed-in operator.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    cookie: dict[str, Any]  # as Playwright's add_cookies takes it


@contextmanager
def served(module: str, port: int = 0) -> Iterator[Served]:
    """`python -m module port`, until the block ends. Port 0: any that is free."""
    command = [sys.executable, "-m", module, str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError(f"{module} ended before it was ready; its errors stand above")
            yield Served(**json.loads(line))
        finally:
            process.terminate()


def serve(port: int, fill: Callable[[], None]) -> None:
    """Make the rows, say so, and serve until the process is ended."""
    import uvicorn
    from django.conf import settings

    from bench import portal  # sets Django up
    from fleetportal.accounts.models import Team

    portal.migrate()
    fill()
    operator = portal.person("operator", Team.objects.create(slug="ops", name="Ops"), "viewer")
    operator.fleet_role = "operator"
    operator.save()
    value = portal.browser(operator).cookies[settings.SESSION_COOKIE_NAME].value
    cookie = {
        "name": settings.SESSION_COOKIE_NAME,
        "value": value,
        "domain": "127.0.0.1",
        "path": "/",
    }
    with socket.create_server(("127.0.0.1", port)) as listening:  # whoever is told can connect
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        print(json.dumps({"url": address, "cookie": cookie}), flush=True)
        server = uvicorn.Server(uvicorn.Config("fleetportal.asgi:application", log_level="error"))
        server.run(sockets=[listening])


def _many() -> None:
    from bench import heat

    heat.fleet_create()


if __name__ == "__main__":
    serve(int(sys.argv[1]), _many)
