"""The Celery app. It carries pokes; the database holds the truth (docs/decisions/0002).

Why each setting: docs/operations.md, "The broker".
"""

from __future__ import annotations

import os
import threading
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_process_init, worker_process_shutdown

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetportal.settings")

app = Celery("fleetportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["fleetportal.pulse", "clusters", "workspaces", "rollouts"])

_stop: list[threading.Event] = []


@worker_init.connect
def refuse_unsafe_settings(**_: Any) -> None:
    from fleetportal.web.safety import ready_to_serve

    ready_to_serve()


@worker_process_init.connect
def start_ticker(**_: Any) -> None:
    """In the child, never in the forking parent: a fork beside a thread that holds SQLite hangs."""
    from django.db import connections

    from fleetportal.pulse import ticker

    connections.close_all()
    _stop.append(ticker.start())


@worker_process_shutdown.connect
def stop_ticker(**_: Any) -> None:
    for event in _stop:
        event.set()
