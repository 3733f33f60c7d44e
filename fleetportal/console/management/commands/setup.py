"""`manage.py setup`: make or bring up to date everything that a portal keeps in its database."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from rollouts.services.strategies import strategies_sync
from workspaces.services.catalog import catalog_sync


class Command(BaseCommand):
    help = "Migrate, then write the shipped catalog and strategies. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        self.stdout.write(f"{catalog_sync()} models, {strategies_sync()} strategies")
