"""`manage.py demo_seed`: the demo's people, catalog and clusters. Run by `manage.py demo`."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from fleetportal.console.demo import seed


class Command(BaseCommand):
    help = "Make the demo's database and fill it with what the demo starts with."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("Only the demo has these accounts; run manage.py demo.")
        seed.tables_make(settings.DATA_DIR)
        seed.people_seed(os.environ["DEMO_PASSWORD"])
        seed.catalog_seed()
        seed.fleet_wait(settings.DATA_DIR / "fleet" / "ready.json")
        count = seed.clusters_seed(settings.DATA_DIR / "fleet" / "clusters.json")
        self.stdout.write(f"{count} clusters registered")
