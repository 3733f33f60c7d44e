"""`manage.py demo_story`: what has happened before anyone looks. Run by `manage.py demo`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from fleetportal.console.demo.simulator import Simulator
from fleetportal.console.demo.story import Story


class Command(BaseCommand):
    help = "Let the demo's people and clusters do what they do."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This acts as other people; only the demo may. Run manage.py demo.")
        Story(Simulator(settings.DATA_DIR / "fleet")).run()
