"""`manage.py demo`: a whole portal with a simulated fleet on this machine, for looking around."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from fleetportal.console.demo.options import options_from
from fleetportal.console.demo.supervisor import Demo


class Command(BaseCommand):
    help = "Start a portal with a simulated fleet (PORT, CLUSTERS, SPEED, DATA_DIR, DEMO_PASSWORD)."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        Demo(options_from(dict(os.environ), settings.BASE_DIR / "var" / "demo")).run()
